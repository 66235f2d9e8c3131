"""What ``rapport chat`` and ``rapport up`` start on this machine, and how long it lives."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import cycle
from types import FrameType
from typing import Any, TextIO, TypeVar, cast

from rich.console import Console
from rich.text import Text

from core import settings
from core.errors import EngineError, StoreUnavailable
from core.settings import ROOT
from rapport import keys, models, procfile
from rapport.logfile import log_file
from rapport.stack import PrivateRedis, answers, data_folder
from rapport.supervisor import STOP_S, Child, Launch, Say, Supervisor, spawn

T = TypeVar("T")

LISTEN_S = 0.5
COLOURS = ("cyan", "green", "magenta", "yellow", "blue", "bright_cyan", "bright_green")


@dataclass
class Wishes:
    """What was asked of us while we ran: to stop, and, asked again, to hurry."""

    stop: threading.Event = field(default_factory=threading.Event)
    hurry: threading.Event = field(default_factory=threading.Event)

    def heard(self, signum: int, frame: FrameType | None) -> None:
        """Take note of a signal."""
        if self.stop.is_set():
            self.hurry.set()
        self.stop.set()


class _Lossy:
    """A stream that loses what does not fit on its disk: what is printed must not end who prints it, or pile up."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return self._carefully(lambda: self._stream.write(text)) or 0

    def flush(self) -> None:
        self._carefully(self._stream.flush)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @staticmethod
    def _carefully(call: Callable[[], T]) -> T | None:
        try:
            return call()
        except BrokenPipeError:
            raise
        except OSError:
            return None


class _Output(Console):
    """Falls silent when nobody reads any more. Rich would end the thread that prints, and so the watch on a child."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(file=cast(TextIO, _Lossy(stream)), highlight=False, markup=False, soft_wrap=True)

    def on_broken_pipe(self) -> None:
        """Send the rest nowhere, and go on."""
        with suppress(SystemExit):
            super().on_broken_pipe()


def chat() -> int:
    """Hold a conversation in this terminal; return its exit code.

    Raises:
        RapportError: something is missing, Redis is away, or the worker cannot start.
    """
    conf = settings.load()
    models.refuse_missing(conf)
    wishes = Wishes()
    with _redis(_aside) as url, _signals(wishes):
        if not answers(url):
            raise StoreUnavailable("Redis does not answer. Start it, correct REDIS_URL, or unset it for a private one.")
        worker = procfile.WorkerProcess(
            url, procfile.command("worker"), conf.model_for(f"terminal:{socket.gethostname()}:")
        )
        log = data_folder(conf) / "logs" / "worker.log"
        failed: list[Child] = []

        def trouble(child: Child) -> None:
            failed.append(child)
            wishes.stop.set()

        child = Child(
            "worker", worker.launch, folder=ROOT, say=log_file(log), on_death=worker.clean_up, on_trouble=trouble
        )
        with Supervisor([child], wishes.hurry):
            _aside("The models are being loaded; the first reply waits for them.")
            code = _converse(wishes)
            wishes.stop.set()
        if failed:
            raise EngineError(f"The worker cannot start: {_reason(child)} (all of its output is in {log})")
    return code


def up() -> None:
    """Run everything that is configured until asked to stop.

    Raises:
        RapportError: something is missing.
    """
    from channels.web.settings import Web

    conf = settings.load()
    models.refuse_missing(conf)
    web = settings.load_section("web", Web)
    networks = procfile.configured_channels()
    for network in networks:
        procfile.refuse_wrong_settings(network)
    workers = {f"worker {name}".strip(): name for name in conf.models_in_use}
    names = [*workers, "web", *networks]
    wishes = Wishes()
    logs = _Output(sys.stdout)
    as_json = conf.log.format == "json"
    out = _Output(sys.stderr) if as_json else logs
    with _redis(out.print) as url, _signals(wishes):
        if answers(url):
            keys.refuse_open_door(web, keys.names(url, conf))
        else:  # the web channel asks for itself once it can
            out.print("Redis does not answer. All waits for it; `rapport doctor` says more.", style="yellow")
        processes: list[procfile.WorkerProcess | procfile.ChannelProcess] = [
            procfile.WorkerProcess(url, procfile.command("worker"), serves) for serves in workers.values()
        ]
        processes += [procfile.ChannelProcess(url, name) for name in names[len(workers) :]]
        children = [
            Child(
                name,
                process.launch,
                folder=ROOT,
                say=_shown(logs, _prefixed(out, name, colour, max(map(len, names))), as_json=as_json),
                on_death=process.clean_up,
                on_trouble=lambda child: out.print(f"{child.name} cannot start: {_reason(child)}", style="bold red"),
            )
            for name, process, colour in zip(names, processes, cycle(COLOURS), strict=False)
        ]
        with Supervisor(children, wishes.hurry):
            out.print(f"Running: {', '.join(names)}. Chat page: {_address(web.host, web.port)}. Ctrl-C stops all.")
            # The kernel may hand a signal to any thread, and then it does not wake this one, which alone can hear it.
            while not wishes.stop.wait(LISTEN_S):
                pass
            out.print(f"Stopping; what does not end within {STOP_S:.0f} s is ended. Ctrl-C again ends it now.")


def worker() -> None:
    """Become a worker in the foreground; raises RapportError if Redis is not configured or a model is missing."""
    settings.redis_url()
    models.refuse_missing(settings.load())
    program, *arguments = procfile.command("worker")
    os.chdir(ROOT)
    os.execvp(program, [program, *arguments])


@contextmanager
def _redis(note: Say) -> Iterator[str]:
    """Have a Redis: the one that REDIS_URL names, or a private one; all processes find it under REDIS_URL."""
    given = settings.load().redis_url
    if given and given.get_secret_value():
        yield given.get_secret_value()
        return
    with PrivateRedis(data_folder(settings.load()), note) as private:
        os.environ["REDIS_URL"] = private.url
        settings.load.cache_clear()
        yield private.url


@contextmanager
def _signals(wishes: Wishes) -> Iterator[None]:
    """Turn signals into wishes while the block runs."""
    with _handled(wishes.heard, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        yield


@contextmanager
def _handled(handler: Callable[[int, FrameType | None], None], *signums: signal.Signals) -> Iterator[None]:
    before = {signum: signal.signal(signum, handler) for signum in signums}
    try:
        yield
    finally:
        for signum, previous in before.items():
            signal.signal(signum, previous)


def _converse(wishes: Wishes) -> int:
    """Run the terminal channel on our own input and output; return its exit code."""
    # Its log shares the screen with the conversation: errors only, unless it was asked for.
    level = os.environ.get("RAPPORT_LOG__LEVEL", "ERROR")
    launch = Launch((sys.executable, "-m", "channels", "terminal"), {"RAPPORT_LOG__LEVEL": level})
    process = spawn(launch, ROOT)
    # A terminal sends Ctrl-C to the conversation as well, and there it may end a reply only.
    with _handled(lambda signum, frame: None, signal.SIGINT):
        while process.poll() is None and not wishes.stop.wait(0.05):
            pass
    try:
        if process.returncode is None:
            process.terminate()
            process.wait(3)
    except subprocess.TimeoutExpired:
        process.kill()  # it waits for a line of input, and nothing else can end that
    status = process.wait()
    return status if status >= 0 else 128 - status


def _prefixed(out: Console, name: str, colour: str, width: int) -> Say:
    def say(line: str) -> None:
        out.print(Text.assemble((f"{name:<{width}} | ", colour), line))

    return say


def _shown(logs: Console, otherwise: Say, *, as_json: bool) -> Say:
    """Print what is JSON as it is, if that is wanted: programs read nothing else. The rest goes the other way."""

    def say(line: str) -> None:
        if as_json and line.startswith("{"):
            logs.print(Text(line))
        else:
            otherwise(line)

    return say


def _reason(child: Child) -> str:
    """Return the line of its output that says most likely why it failed."""
    lines = [line for line in child.last_lines if line.strip() and not line.startswith(f"{child.name} ended")]
    return lines[-1].strip() if lines else "it said nothing"


def _address(host: str, port: int) -> str:
    shown = {"0.0.0.0": "localhost", "::": "localhost"}.get(host, host)
    return f"http://[{shown}]:{port}/" if ":" in shown else f"http://{shown}:{port}/"


def _aside(line: str) -> None:
    """Tell the person something that is not part of the conversation."""
    print(line, file=sys.stderr, flush=True)
