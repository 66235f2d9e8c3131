"""The terminal channel as its own process, from a pipe and at a pseudo-terminal; the worker has a scripted model."""

import os
import pty
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core import settings
from core.dialogue import Prompt
from core.store import Store, keys
from tests.waiting import eventually
from tests.workers.scripted import models
from workers.runtime import Runtime

ROOT = Path(__file__).parent.parent.parent
COMMAND = [sys.executable, "-m", "channels", "terminal"]


def script(prompt: Prompt, on_text: Callable[[str], None], cancelled: threading.Event) -> str:
    said = prompt.messages[-1].content
    if said == "forever":
        on_text("Once upon ")
        assert cancelled.wait(20)
        return "Once upon"
    on_text("you")
    return f"you said: {said}"


@pytest.fixture
def worker(redis_url: str) -> Iterator[Store]:
    """A runtime in this process; its wake-ups come from the sweeper of this thread."""
    store = Store(redis_url, settings.load(), lambda person: person)
    runtime = Runtime(settings.load(), store, models(script), "w1")
    ending = threading.Event()

    def serve() -> None:
        while not ending.is_set():
            found = store.redis.brpop([keys.QUEUE], timeout=0.2)
            if found:
                runtime.drain(_person(found[1]))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield store
    ending.set()
    thread.join()
    runtime.close()


def _person(wake_up: str) -> str:
    """The person in one of our Celery messages, or in the plain wake-ups of this test."""
    import base64
    import json

    return json.loads(base64.b64decode(json.loads(wake_up)["body"]))[0][0] if wake_up.startswith("{") else wake_up


def piped(data: bytes) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(COMMAND, cwd=ROOT, input=data, capture_output=True, timeout=60, check=False)


def test_each_line_of_a_pipe_is_answered(worker: Store) -> None:
    done = piped("hello\n\n  \nça va 👋?\n".encode())
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode() == "you said: hello\nyou said: ça va 👋?\n"
    assert "neutral · plain" in done.stderr.decode(), "the mood is shown, but not among the replies"


def test_the_last_line_needs_no_line_end(worker: Store) -> None:
    assert piped(b"hello").stdout == b"you said: hello\n"


def test_commands_work_here_as_everywhere(worker: Store) -> None:
    done = piped(b"/help\n")
    assert all(f"/{name}" in done.stdout.decode() for name in ("help", "new", "forget", "export", "mood", "stop"))


def test_bad_input_is_said_and_the_conversation_goes_on(worker: Store) -> None:
    done = piped(b"x" * 1_000_000 + b"\n\xff\xfe caf\xe9\nhello\n")
    assert done.returncode == 0
    assert "1,000,000 characters" in " ".join(done.stderr.decode().split())
    assert done.stdout.decode() == "you said: \ufffd\ufffd caf\ufffd\nyou said: hello\n"


def test_redis_away_at_the_start_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://:hunter2@127.0.0.1:1/0")
    process = subprocess.Popen(COMMAND, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdin.write(b"hello\n")
    process.stdin.flush()
    said = b""
    while b"Your message is kept" not in said:
        said += process.stderr.readline()
    assert b"hunter2" not in said
    process.terminate()
    process.communicate(timeout=20)


class Screen:
    """A program at a pseudo-terminal, and what it has written so far."""

    def __init__(self, command: list[str]) -> None:
        self.pid, self._fd = pty.fork()
        if self.pid == 0:  # pragma: no cover - the child
            os.chdir(ROOT)
            os.execve(command[0], command, os.environ | {"TERM": "xterm", "COLUMNS": "100", "LINES": "30"})
        self.text = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        try:
            while data := os.read(self._fd, 4096):
                self.text += data.decode("utf-8", "replace")
                if "\x1b[6n" in data.decode("utf-8", "replace"):
                    os.write(self._fd, b"\x1b[1;1R")  # the cursor's place, as a terminal would say
        except OSError:
            pass  # the program has ended

    def type(self, keys: str) -> None:
        os.write(self._fd, keys.encode())

    def shows(self, text: str) -> None:
        eventually(lambda: text in self.text, 30)

    def exit_code(self, key: str) -> int:
        """Press the key until the program ends: between two prompts a key is lost."""

        def ended() -> list[int]:
            self.type(key)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            return [os.waitstatus_to_exitcode(status)] if pid else []

        return eventually(ended)[0]


def test_a_conversation_at_a_terminal(worker: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAPPORT_STACK__DATA", str(tmp_path))
    screen = Screen(COMMAND)
    screen.shows("/help lists the commands")
    screen.type("hello\r")
    screen.shows("neutral · plain")
    screen.shows("said: hello")
    screen.type("forever\r")
    screen.shows("Once upon")
    screen.type("\x03")  # Ctrl-C ends the reply ...
    screen.shows("I stopped")
    screen.type("\x03")  # ... and only says what to do at the prompt
    eventually(lambda: screen.text.count("Ctrl-D ends") == 2)
    assert screen.exit_code("\x04") == 0
    assert "Traceback" not in screen.text
    assert "hello" in (tmp_path / "typed.history").read_text()
    screen = Screen(COMMAND)
    screen.shows("/help lists the commands")
    screen.type("/forget\r")
    screen.shows("I erased")
    assert screen.exit_code("\x04") == 0
    assert "hello" not in (tmp_path / "typed.history").read_text()


def test_two_terminals_do_not_get_each_others_replies(worker: Store) -> None:
    def start() -> "subprocess.Popen[bytes]":
        pipe = subprocess.PIPE
        return subprocess.Popen(COMMAND, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)

    with start() as one, start() as other:
        for number in range(3):
            for name, process in (("one", one), ("other", other)):
                assert process.stdin is not None
                assert process.stdout is not None
                process.stdin.write(f"{name} {number}\n".encode())
                process.stdin.flush()
                assert process.stdout.readline() == f"you said: {name} {number}\n".encode()
        for process in (one, other):
            process.communicate(timeout=20)
            assert process.returncode == 0


def test_a_pipe_that_stays_open_does_not_keep_it_from_ending(worker: Store) -> None:
    with subprocess.Popen(COMMAND, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"hello\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"you said: hello\n"
        process.terminate()
        assert process.wait(20) == 0


def test_a_reader_that_goes_away_ends_the_conversation(worker: Store) -> None:
    with subprocess.Popen(COMMAND, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.close()
        process.stdin.write(b"hello\n")
        process.stdin.flush()
        assert process.wait(20) == 0
