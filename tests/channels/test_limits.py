"""Who writes too much on a network is told when to go on, once in a pause."""

from collections.abc import Iterator

import pytest

from core.store import Store
from tests.channels.path import ChannelThread, Worker, let_in, surroundings
from tests.channels.test_contract import DOUBLES, settled, texts
from tests.platforms.base import Double
from tests.waiting import eventually


@pytest.fixture(params=DOUBLES)
def double(request: pytest.FixtureRequest, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Double]:
    monkeypatch.setenv("RAPPORT_INBOX__PERSON_PER_MINUTE", "1")
    monkeypatch.setenv("RAPPORT_INBOX__PERSON_BURST", "2")
    monkeypatch.setenv("RAPPORT_INBOX__MAX_PEOPLE", "2")
    double = DOUBLES[request.param]()
    with surroundings(double, monkeypatch):
        channel = ChannelThread(double.name, redis_url)
        let_in(double)
        yield double
        channel.stop()
    assert not double.violations, double.violations


def test_a_person_over_the_limit_is_told_once_when_to_go_on(double: Double, worker: Worker, store: Store) -> None:
    for number in (1, 2):
        double.say(f"message {number}")
        settled(double, f"you said message {number}")
    for number in (3, 4, 5):
        double.say(f"message {number}")
    eventually(lambda: len(texts(double)) == 3)
    double.say("still heard", user="bob")
    settled(double, "you said still heard", user="bob")
    double.say("/help")
    eventually(lambda: any("/forget" in text or "forget" in text for text in texts(double)))
    hints = [text for text in texts(double) if "faster than I can follow" in text]
    assert len(hints) == 1
    assert "send it again in " in hints[0]
    assert not any("message 3" in text for text in texts(double))
    assert len(texts(double)) == 4
    assert store.redis.keys("rapport:inbox:*") == []


def test_one_too_many_is_told_to_come_again(double: Double, worker: Worker) -> None:
    with worker.busy():
        first, second = "one of those who wait", "the last one who may"
        double.say(first)
        double.say(second, user="bob")
        eventually(lambda: len(double.acknowledged) == 2)
        double.say("too late", user="cyd")
        eventually(lambda: any("More people write to me" in text for text in texts(double, user="cyd")))
    settled(double, f"you said {first}")
    settled(double, f"you said {second}", user="bob")
    assert len(texts(double, user="cyd")) == 1
