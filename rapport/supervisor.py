"""Child processes that must live: started, watched, restarted with back-off, and all stopped together.

What the children are is not known here; that is in procfile.py and stack.py. One thread per child starts it and
waits for it. The same thread must do both, as the kernel's parent-death signal (child.py) watches the thread that
started a process, not its process.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

Say = Callable[[str], None]
Heed = Callable[["Child"], None]

EXEC = Path(__file__).with_name("child.py")
TROUBLE_AFTER = 3  # failures in a row
STOP_S = 10.0
ASK_AGAIN_S = 0.2


@dataclass(frozen=True)
class Launch:
    """How to start a process. ``environment`` is added to our own."""

    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    pass_fds: tuple[int, ...] = ()
    when_orphaned: signal.Signals = signal.SIGKILL


@dataclass
class Backoff:
    """How long to wait before the next start: doubled with each death, from anew after a long life."""

    first_s: float = 0.5
    longest_s: float = 30
    long_life_s: float = 60
    _next_s: float = 0

    def after(self, lived_s: float) -> float:
        """Return the wait after a life of this length."""
        wait_s = self.first_s if lived_s >= self.long_life_s else max(self._next_s, self.first_s)
        self._next_s = min(wait_s * 2, self.longest_s)
        return min(wait_s, self.longest_s)


def spawn(launch: Launch, folder: Path, **popen: Any) -> "subprocess.Popen[bytes]":
    """Start a process that dies with the calling thread; raises OSError."""
    guard = (sys.executable, "-I", "-S", str(EXEC), str(int(launch.when_orphaned)), str(os.getpid()))
    environment = os.environ | launch.environment
    return subprocess.Popen(guard + launch.command, env=environment, cwd=folder, pass_fds=launch.pass_fds, **popen)


class Child:
    """One process that must live, in a session of its own: a terminal's Ctrl-C reaches only us.

    ``launch`` is asked before each start; None means "not now, ask again". ``on_death`` is called after each death,
    before the next start. ``on_trouble`` is called when it has failed several times in a row: ended by itself with
    an exit code other than 0, or could not be started. ``say`` gets each line of its output. All of them are called
    from threads of the child, and none of them can keep it from being started again.
    """

    def __init__(
        self,
        name: str,
        launch: Callable[[], Launch | None],
        *,
        folder: Path,
        say: Say,
        on_death: Heed = lambda child: None,
        on_trouble: Heed = lambda child: None,
        backoff: Backoff | None = None,
    ) -> None:
        self.name = name
        self.deaths = 0
        self._launch = launch
        self._folder = folder
        self._say = say
        self._on_death = on_death
        self._on_trouble = on_trouble
        self._backoff = backoff or Backoff()
        self._failures = 0
        self._recent: deque[str] = deque(maxlen=20)
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._live, name=f"child-{name}", daemon=True)

    @property
    def pid(self) -> int | None:
        """The process that runs now, if one does."""
        process = self._process
        return process.pid if process and process.returncode is None else None

    @property
    def last_pid(self) -> int | None:
        """The process that was started last, be it alive or dead."""
        return self._process.pid if self._process else None

    @property
    def last_lines(self) -> tuple[str, ...]:
        """The end of its output."""
        return tuple(self._recent)

    def start(self) -> None:
        """Start it, and from now on again whenever it dies."""
        self._thread.start()

    def ask_to_stop(self) -> None:
        """Send SIGTERM and start it no more."""
        self._stopping.set()
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL to it and what it started."""
        with self._lock, contextlib.suppress(ProcessLookupError):
            if self._process and self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)

    def wait(self, timeout_s: float) -> bool:
        """Wait until it has ended for good; return whether it has. Call ``ask_to_stop`` before."""
        if self._thread.ident:
            self._thread.join(max(timeout_s, 0))
        return not self._thread.is_alive()

    def _signal(self, signum: signal.Signals) -> None:
        with self._lock:
            if self._process:
                self._process.send_signal(signum)

    def _live(self) -> None:
        while not self._stopping.is_set():
            began = time.monotonic()
            status = self._live_once()
            if status is None:
                self._stopping.wait(ASK_AGAIN_S)
                continue
            self.deaths += 1
            self._carefully(self._on_death, "after its end")
            if self._stopping.is_set():
                return
            wait_s = self._backoff.after(time.monotonic() - began)
            self._tell(f"{self.name} {_how(status)}; it starts again in {wait_s:.1f} s")
            self._count(status)
            self._stopping.wait(wait_s)

    def _live_once(self) -> int | None:
        """Start it and wait for its end; return its exit status, or None if it may not start now."""
        try:
            launch = self._launch()
        except Exception as error:  # a full disk, say
            self._tell(f"{self.name} cannot be started: {error}")
            return 1
        return self._run(launch) if launch else None

    def _run(self, launch: Launch) -> int:
        """Start the process, pass its output on and return its exit status once it has ended."""
        with self._lock:
            if self._stopping.is_set():
                return 0
            try:
                self._process = process = spawn(
                    launch,
                    self._folder,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except OSError as error:
                self._tell(f"{self.name} cannot be started: {error}")
                return 1
        reader = threading.Thread(target=self._read, args=(process,), name=f"output-{self.name}", daemon=True)
        reader.start()
        status = process.wait()
        reader.join(1)  # not for ever: something that it started may hold the pipe open
        return status

    def _read(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for raw in lines:
                self._tell(raw.decode("utf-8", "replace").rstrip())

    def _tell(self, line: str) -> None:
        self._recent.append(line)
        with contextlib.suppress(Exception):  # our own output is gone; theirs must be read all the same
            self._say(line)

    def _carefully(self, heed: Heed, when: str) -> None:
        try:
            heed(self)
        except Exception as error:  # whoever heeds it must not keep it from being started again
            self._tell(f"{self.name}, {when}: {error}")

    def _count(self, status: int) -> None:
        self._failures = self._failures + 1 if status > 0 else 0
        if self._failures and self._failures % TROUBLE_AFTER == 0:
            self._carefully(self._on_trouble, "in trouble")


class Supervisor:
    """Keeps children alive while its ``with`` block runs; then ends all, by force after ``STOP_S``.

    Setting ``hurry`` ends the patience at once.
    """

    def __init__(self, children: Iterable[Child], hurry: threading.Event | None = None) -> None:
        self.children = tuple(children)
        self._hurry = hurry or threading.Event()

    def __enter__(self) -> Self:
        for child in self.children:
            child.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in self.children:
            child.ask_to_stop()
        give_up = time.monotonic() + STOP_S
        while not all(child.wait(0.02) for child in self.children):
            if time.monotonic() > give_up or self._hurry.is_set():
                for child in self.children:
                    child.kill()


def _how(status: int) -> str:
    return f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with exit code {status}"
