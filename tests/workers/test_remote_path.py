"""A conversation over the whole path whose model runs on a server, which is killed while it writes."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.platforms.openai import MODEL
from tests.up import Up
from tests.waiting import eventually

ROOT = Path(__file__).parent.parent.parent
SAID = "It is so nice to meet you. Tell me more about your day, I am here and I listen."
# It starts real models, of which two cores bear one at a time.
pytestmark = [pytest.mark.timeout(240), pytest.mark.xdist_group("models")]
Serve = Callable[[int], "tuple[subprocess.Popen[str], int]"]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start servers in processes of their own; they are killed after the test."""
    started: list[subprocess.Popen[str]] = []

    def start(port: int) -> tuple["subprocess.Popen[str]", int]:
        arguments = [sys.executable, "-m", "tests.platforms.openai", SAID, "0.1", str(port)]
        started.append(subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, text=True))
        out = started[-1].stdout
        assert out
        return started[-1], int(out.readline())

    yield start
    for process in started:
        process.kill()
        process.communicate()


def say(up: Up, text: str) -> str:
    return str(httpx.post(f"{up.url}/chat", json={"message": text, "user": "ada"}, timeout=60).json()["response"])


def test_the_starter_model_takes_over_when_the_server_is_killed_and_hands_back(tmp_path: Path, serve: Serve) -> None:
    server, port = serve(0)
    up = Up(
        tmp_path,
        RAPPORT_GENERATION__MODEL=f"http://127.0.0.1:{port}/v1#{MODEL}",
        RAPPORT_GENERATION__FALLBACK='["models/starter-chat"]',
        RAPPORT_GENERATION__TEMPERATURE="0",
    )
    try:
        assert say(up, "hello, my name is Ada") == SAID

        # Killed while it writes: the reply begins anew at once, and arrives once.
        events: list[tuple[str, dict[str, str]]] = []
        request = {"message": "my order is three weeks late and nobody answers!", "user": "ada"}
        with httpx.stream("POST", f"{up.url}/chat/stream", json=request, timeout=60) as stream:
            name = ""
            for line in stream.iter_lines():
                if line.startswith("event:"):
                    name = line.removeprefix("event:").strip()
                elif line.startswith("data:"):
                    events.append((name, json.loads(line.removeprefix("data:"))))
                    if name == "draft" and server.poll() is None:
                        server.kill()
                        server.wait()
        replies = [event["response"] for name, event in events if name == "reply"]
        assert len(replies) == 1
        assert replies[0]
        assert replies[0] != SAID

        # While it is away, and when it is back.
        answer = say(up, "hello again")
        assert answer
        assert answer != SAID
        serve(port)
        eventually(lambda: say(up, "are you there?") == SAID, 60)
        roles = [turn.role for turn in up.history("ada")]
        assert roles == ["user", "assistant"] * (len(roles) // 2)
        assert len(up.workers()) == 1
    finally:
        up.close()
