"""The driver: a whole Rapport of real processes under the real supervisor, people who write to it, and its ledger.

    with Town(tmp_path, workers=3) as town:
        town.people.write(["ada", "bob"], messages=10)
        town.workers[0].kill()
        town.settle()
        ledger = town.ledger()

The models alone are scripted (scripted_worker.py). Faults are injected from outside: signals, and a wire between the
processes and Redis (wire.py) if the town is ``wired``.
"""

import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil
import pytest
import redis

from core import settings
from core.errors import StoreUnavailable
from core.store import Store, keys
from rapport.logfile import log_file
from rapport.procfile import ChannelProcess, WorkerProcess
from rapport.stack import PrivateRedis, answers
from rapport.supervisor import Backoff, Child, Launch, Supervisor
from tests.conftest import forget_settings
from tests.crash.ledger import Ledger, read
from tests.crash.people import People
from tests.crash.wire import Wire
from tests.waiting import eventually

ROOT = Path(__file__).parent.parent.parent
CELERY = (sys.executable, "-m", "celery", "--quiet", "-A")
FLAGS = ("worker", "--without-gossip", "--without-mingle", "--without-heartbeat")


def in_series() -> Backoff:
    """Of a supervisor that takes every death for the first one: here many kills follow each other within a minute."""
    return Backoff(longest_s=0.5)


@dataclass
class Process:
    """A process that the supervisor starts again. ``id`` is the present one's."""

    child: Child
    made: WorkerProcess | ChannelProcess

    @property
    def id(self) -> str:
        return self.made.id

    @property
    def pid(self) -> int:
        return eventually(lambda: self.child.pid)

    def signal(self, signum: signal.Signals) -> int:
        """Send it; return the process that got it."""
        pid = self.pid
        os.kill(pid, signum)
        return pid

    def kill(self) -> int:
        return self.signal(signal.SIGKILL)

    @contextmanager
    def frozen(self) -> Iterator[int]:
        """Let it stand still while the block runs."""
        pid = self.signal(signal.SIGSTOP)
        try:
            yield pid
        finally:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


class Town:
    """``supervised``: dead workers' leases are broken by the supervisor, as ``rapport up`` does; else they run out.

    ``channels`` are started as they are in life; people of ``people`` write to "web". ``settings`` are variables of
    the environment of all processes, ``app`` the module that the workers run. ``log`` is where everybody's output goes.
    """

    def __init__(
        self,
        folder: Path,
        *,
        workers: int = 3,
        channels: Sequence[str] = ("web",),
        wired: bool = False,
        supervised: bool = True,
        app: str = "tests.crash.scripted_worker",
        **environment: str,
    ) -> None:
        self.log = folder / "town.log"
        self._count = workers
        self._channels = channels
        self._wired = wired
        self._supervised = supervised
        self._app = app
        self._environment = {
            "RAPPORT_INBOX__LEASE_S": "2",
            "RAPPORT_LOG__FORMAT": "json",
            "RAPPORT_HISTORY__MAX_TURNS": "5000",  # the ledger reads all of it
        } | environment
        self._whole = ExitStack()
        self._running = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            # The path of a socket must be short.
            self.data = Path(tempfile.mkdtemp(prefix="town-"))
            stack.callback(shutil.rmtree, self.data, ignore_errors=True)
            with socket.create_server(("127.0.0.1", 0)) as free:
                self.url = f"http://127.0.0.1:{free.getsockname()[1]}"
            self._patch = patch = stack.enter_context(pytest.MonkeyPatch.context())
            for name, value in self._environment.items():
                patch.setenv(name, value)
            patch.setenv("RAPPORT_WEB__PORT", self.url.rpartition(":")[2])
            stack.callback(forget_settings)
            forget_settings()
            self.people = People(self.url)
            stack.callback(self.people.close)
            stack.callback(lambda: self._running.close())
            self.start()
            self._whole = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._whole.close()

    def start(self) -> None:
        """Start all processes, on what the Redis kept."""
        with ExitStack() as stack:
            self.private = PrivateRedis(self.data, lambda line: None)
            self.private._child._backoff = in_series()
            stack.enter_context(self.private)
            path = Path(self.private.url.removeprefix("unix://"))
            self.wire = Wire(self.data / "wire.sock", path)
            stack.callback(self.wire.close)
            self._url = self.wire.url if self._wired else self.private.url
            self._patch.setenv("REDIS_URL", self._url)  # as rapport/local.py does: whoever tidies up needs it
            forget_settings()
            self.store = Store(self.private.url, settings.load(), _nobody)
            stack.callback(self.store.close)
            self.workers = [self._worker(number) for number in range(self._count)]
            self.channels = {name: self._channel(name) for name in self._channels}
            children = [process.child for process in (*self.workers, *self.channels.values())]
            self.supervisor = stack.enter_context(Supervisor(children))
            self._running = stack.pop_all()
        self.ready()

    def stop(self) -> float:
        """Stop all as ``rapport up`` does when it is asked to end (SIGTERM to all at once); return how long it took."""
        began = time.monotonic()
        self._running.close()
        return time.monotonic() - began

    @property
    def web(self) -> Process:
        return self.channels["web"]

    def kill_redis(self) -> None:
        pid = eventually(lambda: self.private.pid)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def ready(self, timeout_s: float = 60) -> None:
        """Wait until every process is up again."""

        def up() -> bool:
            with suppress(StoreUnavailable):
                signs = {sign.id for sign in self.store.workers.alive() if sign.ready}
                sending = all(self.store.overview.channel(name).senders for name in self._channels)
                return sending and {worker.id for worker in self.workers} <= signs and answers(self.private.url)
            return False

        eventually(up, timeout_s)

    def worker_of(self, pid: int) -> Process | None:
        """Return the worker whose present process this is."""
        return next((worker for worker in self.workers if worker.child.pid == pid), None)

    def holder(self, person: str) -> Process | None:
        """Return the worker that has this person of the web's API in its hands."""
        with suppress(redis.RedisError):
            token = str(self.store.redis.get(keys.lease(f"web:api:{person}")) or "")
            return next((worker for worker in self.workers if token.startswith(f"{worker.id}|")), None)
        return None

    @property
    def quiet(self) -> bool:
        """Tell whether everything that was said is answered and every answer sent."""
        with suppress(redis.RedisError):
            waiting = self.store.redis.exists(keys.WAITING)
            return not waiting and not any(self.store.redis.xlen(keys.outbox(name)) for name in self._channels)
        return False

    def settle(self, timeout_s: float = 90) -> None:
        """Wait until all is written, answered and sent."""
        eventually(lambda: self.people.done and self.quiet, timeout_s)
        # What is on its way to people over connections that stand.
        with suppress(AssertionError):
            eventually(lambda: not self.people.unheard, 2)

    def ledger(self) -> Ledger:
        return read(self.store, self.people.said, self.people.heard)

    def check(self) -> Ledger:
        """Return the ledger; fail, with the end of the log, if it is not clean."""
        ledger = self.ledger()
        assert ledger.clean, f"{ledger}\n{self.tail()}"
        return ledger

    def tail(self, lines: int = 60) -> str:
        return "\n".join(self.log.read_text("utf-8").splitlines()[-lines:]) if self.log.exists() else ""

    def _worker(self, number: int) -> Process:
        made = WorkerProcess(self._url, (*CELERY, self._app, *FLAGS))
        tidy = made.clean_up if self._supervised else _leave
        return self._process(f"worker{number}", made, made.launch, tidy)

    def _channel(self, name: str) -> Process:
        made = ChannelProcess(self._url, name)

        def launch() -> Launch:
            given = made.launch()
            return Launch(given.command, {**given.environment, "REDIS_URL": self._url})

        return self._process(name, made, launch, made.clean_up if self._supervised else _leave)

    def _process(
        self,
        name: str,
        made: WorkerProcess | ChannelProcess,
        launch: Callable[[], Launch],
        tidy: Callable[[Child], None],
    ) -> Process:
        write = log_file(self.log)
        return Process(
            Child(
                name,
                launch,
                folder=ROOT,
                say=lambda line: write(f"{time.monotonic():.2f} {name}: {line}"),
                on_death=tidy,
                backoff=in_series(),
            ),
            made,
        )


def gone(pid: int) -> bool:
    """Tell whether this process has ended."""
    with suppress(psutil.Error):
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    return True


def at_once(kills: Sequence[Callable[[], object]]) -> None:
    """Kill together: each from a thread that waits for the others."""
    gate = threading.Barrier(len(kills))

    def one(kill: Callable[[], object]) -> None:
        gate.wait()
        kill()

    threads = [threading.Thread(target=one, args=(kill,)) for kill in kills]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _leave(child: Child) -> None:
    """Nobody tidies up after it."""


def _nobody(person: str) -> str:
    raise RuntimeError(f"nobody is woken here (asked to wake {person})")
