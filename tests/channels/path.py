"""The path of a message around one network's channel: a double of the network, a real Redis, scripted models.

``Worker`` is the real runtime within the test process; Celery is not here: wake-ups are plain person keys, taken off
the queue by a thread. ``ChannelThread`` runs the adapter in this process, ``ChannelProcess`` as what it is in life.
"""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from channels.__main__ import make_adapter
from channels.runner import Runner
from core import settings
from core.dialogue import Prompt
from core.process import VARIABLE
from core.settings import Settings
from core.store import Store, keys
from tests.conftest import forget_settings
from tests.platforms.base import Double
from tests.waiting import eventually
from tests.workers.scripted import Script, models
from workers.runtime import Runtime

ROOT = Path(__file__).parent.parent.parent
# What a test's process must not wait for; the figures of the product are of minutes.
QUICK = {"lease_s": 1.0, "sweep_s": 0.1, "retry_s": 0.0}


def same(person: str) -> str:
    return person


def echo(prompt: Prompt, on_text: Callable[[str], None], cancelled: threading.Event) -> str:
    return f"you said {prompt.messages[-1].content}"


def quick_settings() -> Settings:
    """Return settings for tests: in a hurry, and without a look at what replies say, as these are made up."""
    base = settings.load()
    inbox = base.inbox.model_copy(update=QUICK)
    return base.model_copy(update={"inbox": inbox, "safety": base.safety.model_copy(update={"check_replies": False})})


class Worker:
    """Answers with what ``script`` says. ``on_taken`` and ``on_done`` see each wake-up begin and end."""

    def __init__(self, url: str) -> None:
        self.script: Script = echo
        self.on_taken: Callable[[], None] = lambda: None
        self.on_done: Callable[[], None] = lambda: None
        self._url = url
        self._stopping = threading.Event()
        self._resume = threading.Event()
        self._resume.set()
        self._pool = ThreadPoolExecutor(16)
        self._runtime = Runtime(
            quick_settings(),
            Store(url, quick_settings(), same),
            models(lambda prompt, on_text, cancelled: self.script(prompt, on_text, cancelled)),
            "scripted",
        )
        self._thread = threading.Thread(target=self._work, name="worker")
        self._thread.start()

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Take nothing on while the block runs, as if all workers had their hands full."""
        self._resume.clear()
        try:
            yield
        finally:
            self._resume.set()

    def close(self) -> None:
        self._resume.set()
        self._stopping.set()
        self._thread.join()
        self._pool.shutdown()
        self._runtime.close()

    def _work(self) -> None:
        store = Store(self._url, quick_settings(), same)
        while not self._stopping.is_set():
            self._resume.wait()
            try:
                found: Any = store.redis.brpop([keys.QUEUE], timeout=0.2)
            except redis.RedisError:
                self._stopping.wait(0.1)
                continue
            if found and not self._resume.is_set():
                store.redis.rpush(keys.QUEUE, found[1])
            elif found:
                self._pool.submit(self._drain, self._person(found[1]))
        store.close()

    def _drain(self, person: str) -> None:
        self.on_taken()
        self._runtime.drain(person)
        self.on_done()

    @staticmethod
    def _person(wake_up: str) -> str:
        """Return the key of the person: channel processes write Celery's own messages."""
        if not wake_up.startswith("{"):
            return wake_up
        import base64
        import json

        body = json.loads(base64.b64decode(json.loads(wake_up)["body"]))
        return str(body[0][0])


class ChannelThread:
    """The adapter with its runner, in a thread of this process."""

    def __init__(self, name: str, url: str) -> None:
        self._name = name
        self._url = url
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name)
        self._thread.start()
        self._ready.wait(20)

    def stop(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self.runner.stop)
        self._thread.join()
        if self._error:
            raise self._error

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self._error = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        store = Store(self._url, quick_settings(), same)
        try:
            self.runner = Runner(make_adapter(self._name), store, quick_settings().inbox)
            self._ready.set()
            await self.runner.run()
        finally:
            store.close()


class ChannelProcess:
    """``python -m channels NAME``, started again whenever it is killed, as ``rapport up`` does it."""

    def __init__(self, name: str, url: str, log: Path) -> None:
        self._name = name
        self._command = [sys.executable, "-m", "channels", name]
        self._store = Store(url, quick_settings(), same)
        self._log = log.open("ab")
        self._stopping = threading.Event()
        self._killed = threading.Lock()
        self.kills = 0
        self._process = self._start()
        self._thread = threading.Thread(target=self._watch, name=f"watch-{name}")
        self._thread.start()

    @property
    def sends(self) -> bool:
        """Tell whether it is the one that sends the channel's replies."""
        return self._store.redis.get(keys.courier(self._name)) == self._id

    def kill(self) -> None:
        """End it as the kernel does when memory is out."""
        with self._killed:
            process = self._process  # the next one may be there before this one's end is seen here
            if process.poll() is None:
                self.kills += 1
                process.send_signal(signal.SIGKILL)
                process.wait()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let it stand still while the block runs, as a machine does that sleeps."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        self._stopping.set()
        self._process.terminate()
        self._thread.join()
        self._log.close()
        self._store.close()

    def _start(self) -> "subprocess.Popen[bytes]":
        self._id = uuid.uuid4().hex
        environment = os.environ | {VARIABLE: self._id}
        return subprocess.Popen(self._command, cwd=ROOT, env=environment, stdout=self._log, stderr=subprocess.STDOUT)

    def _watch(self) -> None:
        while not self._stopping.is_set():
            self._process.wait()
            if not self._stopping.is_set():
                self._store.outbox(self._name).resign(self._id)
                self._process = self._start()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def surroundings(double: Double, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have the double run, and its addresses and tokens in the environment."""
    double.start()
    for name, value in double.environment.items():
        monkeypatch.setenv(name, value)
    forget_settings()
    try:
        yield
    finally:
        double.stop()


def let_in(double: Double) -> None:
    """Wait until the bot is there."""
    eventually(double.connected, timeout_s=30)
