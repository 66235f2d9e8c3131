"""What a whole stack logs while people talk to it and much goes wrong: which message it was, and nothing of its text.

`rapport up` with its private Redis, all networks as doubles, the web channel and a real worker with scripted models.
"""

import json
import os
import re
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from rapport.stack import connect, running_url
from tests.channels.path import surroundings
from tests.channels.test_contract import DOUBLES
from tests.platforms.base import Double
from tests.rapport.test_local import Start, start
from tests.waiting import eventually

__all__ = ["start"]
MARK = "quetzalcoatlus"
KEY = "a-key-named-pterodactyl"
WORKER = (sys.executable, "-m", "celery", "--quiet", "-A", "tests.workers.gated_worker", "worker")
FLAGS = ("--without-gossip", "--without-mingle", "--without-heartbeat")


@pytest.fixture
def doubles(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Double]]:
    with ExitStack() as stack:
        started = [kind() for kind in DOUBLES.values()]
        for double in started:
            stack.enter_context(surroundings(double, monkeypatch))
        yield started


def seen(double: Double, text: str) -> bool:
    return any(text in post.text for post in double.seen_by("ada", "direct"))


def talk(double: Double) -> None:
    """Have a network and people behave well, and badly in every way."""
    eventually(double.connected, 60)
    double.say(f"hello {MARK}")
    eventually(lambda: seen(double, f"reply to hello {MARK}"), 40)
    for number, kind in enumerate(("error", "late")):
        double.fault("post", kind, wait_s=0.2)  # type: ignore[arg-type]
        double.say(f"{MARK} {number}")
        eventually(lambda number=number: seen(double, f"reply to {MARK} {number}"), 40)
    double.say(f"poison {MARK}")
    eventually(lambda: seen(double, "could not answer"), 40)
    double.fault("post", "refuse")
    double.say(f"never delivered {MARK}")


def talk_to_the_web(url: str) -> None:
    with httpx.Client(base_url=url, timeout=40) as client:
        said = {"message": MARK, "user": "ada"}
        assert client.post("/chat", json=said).status_code == 401
        assert client.post("/chat", json=said, headers={"authorization": f"Bearer {MARK}"}).status_code == 401
        client.headers["authorization"] = f"Bearer {KEY}"
        assert MARK in client.post("/chat", json=said).json()["response"]
        assert client.post("/chat", content=f"{{ {MARK}").status_code >= 400
        assert client.post("/chat", json=said | {"message": MARK * 1000}).status_code == 413


@pytest.mark.timeout(240)
def test_logs_name_messages_and_tell_neither_texts_nor_secrets(
    start: Start, doubles: list[Double], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"LOG__FORMAT": "json", "INBOX__RETRY_S": "0", "INBOX__MAX_ATTEMPTS": "2"}.items():
        monkeypatch.setenv(f"RAPPORT_{name}", value)
    monkeypatch.setenv("WEB_API_KEY", KEY)
    process = start("up", worker=(*WORKER, *FLAGS))
    url = eventually(lambda: process.poll() is not None or running_url(tmp_path / "data"), 40)
    assert process.poll() is None, process.communicate()
    assert isinstance(url, str)
    with connect(url) as client:
        client.set("gate:open", 1)
        client.rpush("rapport:inbox:web:api:eve", json.dumps({"text": MARK}))
        client.zadd("rapport:waiting", {"web:api:eve": 0})
        client.xadd("rapport:outbox:web", {"reply": json.dumps({"text": MARK})})
    with ThreadPoolExecutor() as pool:
        list(pool.map(talk, doubles))
    talk_to_the_web(f"http://127.0.0.1:{os.environ['RAPPORT_WEB__PORT']}")
    with connect(url) as client:
        eventually(lambda: client.xlen("rapport:dead") >= 2 * len(doubles) + 2)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    files = [path.read_text() for path in (tmp_path / "data" / "logs").glob("*")]
    secrets = {
        value for double in doubles for name, value in double.environment.items() if not value.startswith("http")
    }
    everything = "\n".join([out, err, *files])
    assert MARK not in everything
    assert not [secret for secret in {*secrets, KEY, url.rpartition("@")[0] or KEY} if secret in everything]
    records: list[dict[str, Any]] = [json.loads(line) for line in out.splitlines()]
    # Celery prints its farewell, and a warning to root, by itself.
    assert all(line.startswith("worker") for line in err.splitlines() if " | " in line)
    assert "Ctrl-C stops all" in err
    about = [record for record in records if re.match("reply |attempt |event |.* giving up", record["message"])]
    assert {record["process"] for record in about} == {"worker", *DOUBLES}
    assert len(about) >= 6 * len(doubles)
    assert not [record for record in about if not record.get("events")]
