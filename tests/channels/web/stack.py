"""The whole path within the test process: a Redis server, the real web adapter and runner, the real worker runtime.

The models alone are scripted. Celery is not here: wake-ups are plain person keys, taken off the queue by a thread.
"""

import asyncio
import dataclasses
import socket
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import redis

from channels.runner import Runner
from channels.web.adapter import WebAdapter
from channels.web.settings import Web
from core import settings
from core.dialogue import Prompt, Reading, Sentiment
from core.settings import Settings
from core.store import Store, keys
from rapport.stack import find_server
from tests.waiting import eventually
from tests.workers.scripted import Script, models
from workers.runtime import Runtime

LOW = ("late", "sad", "angry")
HIGH = ("good", "happy", "thank")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def same(person: str) -> str:
    return person


def read_mood(text: str) -> Reading:
    low = any(word in text.lower() for word in LOW)
    high = any(word in text.lower() for word in HIGH)
    scores = (
        {"negative": 0.9, "neutral": 0.08, "positive": 0.02}
        if low
        else {
            "negative": 0.02,
            "neutral": 0.08 if high else 0.96,
            "positive": 0.9 if high else 0.02,
        }
    )
    return Reading(sentiment=Sentiment.of(scores), embedding=())  # type: ignore[arg-type]


def echo(prompt: Prompt, on_text: Callable[[str], None], cancelled: threading.Event) -> str:
    return f"you said {prompt.messages[-1].content}"


class RedisServer:
    """A server process of its own: channels live longer here than a test, and some see their Redis go and come."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._command = [
            str(find_server()[0]),
            "--port",
            str(self.port),
            "--bind",
            "127.0.0.1",
            "--dir",
            str(folder),
            "--save",
            "",
            "--appendonly",
            "yes",
            "--appendfsync",
            "always",
        ]
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        eventually(self._answers)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()

    def url(self, number: int = 0) -> str:
        return f"redis://127.0.0.1:{self.port}/{number}"

    def _answers(self) -> bool:
        client = redis.Redis(port=self.port)
        try:
            return bool(client.ping())
        except redis.ConnectionError:
            return False
        finally:
            client.close()


class Stack:
    """One web channel and one worker on one Redis database."""

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        host: str = "127.0.0.1",
        reply_timeout_s: float = 20,
        inbox: dict[str, Any] | None = None,
        route: dict[str, str] | None = None,
        bot: dict[str, Any] | None = None,
        safety: dict[str, Any] | None = None,
    ) -> None:
        base = settings.load()
        quick = {"lease_s": 1.0, "sweep_s": 0.1, "retry_s": 0.0} | (inbox or {})
        known = dict.fromkeys((route or {}).values(), base.generation)
        self.settings: Settings = base.model_copy(
            update={
                "inbox": base.inbox.model_copy(update=quick),
                "models": known,
                "route": route or {},
                "bot": base.bot.model_copy(update=bot or {}),
                "safety": base.safety.model_copy(update=safety or {}),
            }
        )
        self.url = url
        self.script: Script = echo
        self.store = Store(url, self.settings, same)
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self.adapter = WebAdapter(
            Web(host=host, port=self.port, reply_timeout_s=reply_timeout_s), key, self.settings, url
        )
        self._stopping = threading.Event()
        self._ready = threading.Event()
        self._worker: threading.Thread | None = None
        self._pool = ThreadPoolExecutor(8)
        self._channel = threading.Thread(target=lambda: asyncio.run(self._serve()), name="channel")
        self._channel.start()
        eventually(self._answers)

    def start_worker(self) -> None:
        chosen = dataclasses.replace(
            models(lambda prompt, on_text, cancelled: self.script(prompt, on_text, cancelled)), read_mood=read_mood
        )
        runtime = Runtime(self.settings, Store(self.url, self.settings, same), chosen, "scripted")
        self._worker = threading.Thread(target=self._work, args=(runtime,), name="worker")
        self._worker.start()

    def close(self) -> None:
        self._stopping.set()
        if self._worker:
            self._worker.join()
        self._pool.shutdown()
        self.stop_channel()
        self.store.close()

    def stop_channel(self) -> None:
        if self._channel.is_alive():
            self._loop.call_soon_threadsafe(self._runner.stop)
            self._channel.join()

    def client(self, **options: Any) -> httpx.Client:
        return httpx.Client(base_url=self.base, timeout=30, **options)

    def waiting(self) -> int:
        """Return how many requests wait for a reply."""
        return sum(len(waiters) for waiters in self.adapter._room._waiters.values())

    async def _serve(self) -> None:
        store = Store(self.url, self.settings, same)
        self._loop = asyncio.get_running_loop()
        self._runner = Runner(self.adapter, store, self.settings.inbox)
        try:
            await self._runner.run()
        finally:
            store.close()

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.base}/healthz").status_code == 200
        except httpx.TransportError:
            return False

    def _work(self, runtime: Runtime) -> None:
        client = Store(self.url, self.settings, same).redis
        while not self._stopping.is_set():
            try:
                found: Any = client.brpop([keys.QUEUE], timeout=0.2)
            except redis.RedisError:
                self._stopping.wait(0.1)
                continue
            if found:
                self._pool.submit(runtime.drain, found[1])
        client.close()
        runtime.close()
