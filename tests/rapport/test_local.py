"""``rapport chat`` and ``rapport up`` as processes: what they answer, and that nothing is left behind."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from core import settings
from tests.waiting import eventually

FLAGS = ("--quiet", "-A", "bench.instant_worker", "worker", "--without-gossip", "--without-mingle")
INSTANT = (sys.executable, "-m", "celery", *FLAGS, "--without-heartbeat")
NAMED = tuple(part.replace("bench.instant_worker", "tests.workers.named_worker") for part in INSTANT)
BROKEN = (sys.executable, "-c", "import sys; sys.exit('the model is broken')")
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start ``rapport`` on a data folder of this test; kill what is left in the end."""
    model = tmp_path / "model"
    model.mkdir()
    for name in ("config.json", "model.safetensors"):
        (model / name).touch()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setenv("RAPPORT_STACK__DATA", str(tmp_path / "data"))
    monkeypatch.setenv("RAPPORT_GENERATION__MODEL", str(model))
    monkeypatch.setenv("RAPPORT_SENTIMENT__MODEL", str(model))
    monkeypatch.setenv("RAPPORT_WEB__PORT", str(port))
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str, worker: tuple[str, ...] = INSTANT, **streams: Any) -> "subprocess.Popen[str]":
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | streams
        command = [sys.executable, "-m", "tests.rapport.instant", json.dumps(worker), *arguments]
        started.append(subprocess.Popen(command, cwd=settings.ROOT, text=True, **pipes))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def family(data: Path) -> list[psutil.Process]:
    """All living processes that were started on this data folder, whoever their parent is."""
    found = []
    for process in psutil.process_iter():
        try:
            # The server writes its title, which names its socket, over its environment.
            ours = process.environ().get("RAPPORT_STACK__DATA") == str(data) or str(data) in " ".join(process.cmdline())
            if ours and process.pid != os.getpid():
                found.append(process)
        except psutil.Error:
            continue  # it has just ended, or is not ours
    return found


def the_worker(process: "subprocess.Popen[str]") -> psutil.Process | None:
    for child in psutil.Process(process.pid).children():
        with contextlib.suppress(psutil.Error):  # it has just ended
            if "bench.instant_worker" in child.cmdline():
                return child
    return None


def test_a_conversation_from_a_pipe(start: Start, tmp_path: Path) -> None:
    process = start("chat")
    out, err = process.communicate("hello\nmy order is late\n", timeout=60)
    assert (out, process.returncode) == ("ok\nok\n", 0), err
    assert "models are being loaded" in err
    assert family(tmp_path / "data") == []


def test_asked_to_end_while_it_waits_for_input_it_leaves_nothing_behind(start: Start, tmp_path: Path) -> None:
    process = start("chat")
    assert process.stdin
    assert process.stdout
    process.stdin.write("hello\n")
    process.stdin.flush()
    assert process.stdout.readline() == "ok\n"
    process.send_signal(signal.SIGTERM)
    process.wait(20)
    assert family(tmp_path / "data") == []


def test_a_kill_leaves_nothing_behind(start: Start, tmp_path: Path) -> None:
    process = start("chat")
    assert process.stdin
    assert process.stdout
    process.stdin.write("hello\n")
    process.stdin.flush()
    assert process.stdout.readline() == "ok\n"
    assert len(family(tmp_path / "data")) == 4  # rapport, redis, worker, terminal
    process.kill()
    eventually(lambda: family(tmp_path / "data") == [])


def test_a_worker_that_cannot_start_ends_the_conversation_and_says_why(start: Start, tmp_path: Path) -> None:
    process = start("chat", worker=BROKEN)
    out, err = process.communicate("hello\n", timeout=60)
    assert (out, process.returncode) == ("", 1)
    assert "rapport: The worker cannot start: the model is broken" in err
    assert str(tmp_path / "data" / "logs" / "worker.log") in err
    assert "Traceback" not in err


def test_up_goes_on_when_nobody_reads_its_output_any_more(start: Start, tmp_path: Path) -> None:
    process = start("up")
    assert process.stdout
    process.stdout.readline()
    process.stdout.close()
    first = eventually(lambda: the_worker(process))
    first.kill()
    second = eventually(lambda: (now := the_worker(process)) and now.pid != first.pid and now)
    second.kill()  # by now it has been told that nobody reads
    eventually(lambda: (now := the_worker(process)) and now.pid not in (first.pid, second.pid))
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    assert family(tmp_path / "data") == []


def test_up_goes_on_when_its_output_goes_to_a_full_disk(start: Start, tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        process = start("up", stdout=full, stderr=full)
    first = eventually(lambda: the_worker(process))
    first.kill()
    eventually(lambda: (now := the_worker(process)) and now.pid != first.pid)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    assert family(tmp_path / "data") == []


def test_up_serves_survives_a_killed_worker_shares_its_redis_and_ends_on_ctrl_c(start: Start, tmp_path: Path) -> None:
    process = start("up")
    address = f"http://127.0.0.1:{os.environ['RAPPORT_WEB__PORT']}"

    def ready() -> bool:
        try:
            return httpx.get(f"{address}/readyz").is_success
        except httpx.TransportError:
            return False

    eventually(ready, timeout_s=60)
    assert process.stdout
    assert f"Chat page: {address}/" in process.stdout.readline()
    first = the_worker(process)
    assert first
    first.kill()
    answer = httpx.post(f"{address}/chat", json={"message": "hello", "user": "ada"}, timeout=30)
    assert answer.json()["response"] == "ok"
    eventually(lambda: (now := the_worker(process)) and now.pid != first.pid)
    out, err = start("chat").communicate("hello\n", timeout=60)
    assert out == "ok\n"
    assert "Another Rapport runs on this data folder; joining its Redis." in err
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "worker was ended by SIGKILL; it starts again in 0.5 s" in out
    assert family(tmp_path / "data") == []


def test_up_and_chat_start_a_worker_for_each_model_in_use(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAPPORT_MODELS__LARGE__MODEL", "someone/large")
    monkeypatch.setenv("RAPPORT_ROUTE__WEB", "large")
    monkeypatch.setenv("RAPPORT_ROUTE__TERMINAL", "large")
    out, err = start("chat", worker=NAMED).communicate("hello\n", timeout=60)
    assert out == "someone/large\n", err
    monkeypatch.setenv("RAPPORT_ROUTE__WEB", "")
    process = start("up", worker=NAMED)
    assert process.stdout
    assert process.stdout.readline().startswith("Running: worker, worker large, web.")
    address = f"http://127.0.0.1:{os.environ['RAPPORT_WEB__PORT']}"

    def answer() -> str:
        try:
            said = httpx.post(f"{address}/chat", json={"message": "hello", "user": "ada"}, timeout=60)
        except httpx.TransportError:
            return ""
        return str(said.json()["response"])

    assert eventually(answer, timeout_s=60) == str(tmp_path / "model")
