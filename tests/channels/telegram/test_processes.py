"""Two processes of the channel at once: one polls, and whichever is killed, nothing is lost or answered twice."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from channels.telegram.seat import NOTE
from core.store import keys
from rapport.stack import connect
from tests.channels.path import ChannelProcess, Worker, let_in, surroundings
from tests.platforms.telegram import TelegramDouble
from tests.waiting import eventually

MARK = "↻"


@pytest.fixture
def double(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[TelegramDouble]:
    double = TelegramDouble()
    with surroundings(double, monkeypatch):
        yield double


def test_two_processes_answer_once(double: TelegramDouble, worker: Worker, redis_url: str, tmp_path: Path) -> None:
    processes = [ChannelProcess("telegram", redis_url, tmp_path / f"channel{number}.log") for number in range(2)]

    def poller() -> str:
        with connect(redis_url) as client:
            return str(client.get(keys.note("telegram", NOTE)))

    try:
        let_in(double)
        first = poller()
        for number in range(40):
            double.say(f"message {number}", user=f"person{number}")  # else one turn may answer two
            if number == 20:
                next(one for one in processes if first.endswith(f":{one._process.pid}")).kill()
        eventually(lambda: len(double.posts) >= 40, timeout_s=60)
        eventually(lambda: double.updates.pending == 0)
        assert poller() != first
    finally:
        for process in processes:
            process.stop()
    marked = sum(MARK in post.text for post in double.posts)
    assert {post.text.partition(MARK)[0].strip() for post in double.posts} == {
        f"you said message {number}" for number in range(40)
    }
    assert marked <= 1
    assert len(double.posts) <= 40 + marked
    assert not double.violations
    assert double.updates.conflicts <= 1, "the poll of the one that was killed may still have been open"
    assert "another process polls with this bot's token" not in (tmp_path / "channel0.log").read_text("utf-8")
