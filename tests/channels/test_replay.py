"""A dead letter that is replayed, over the real SDKs and doubles of the networks: once, whole, and what was missing."""

import threading
from collections.abc import Callable, Iterator

import pytest

from core.dialogue import Prompt
from core.errors import GenerationFailed
from core.events import Letter
from core.store import Store, keys
from tests.channels.path import ChannelThread, Worker, let_in, surroundings
from tests.channels.test_contract import DOUBLES, LONG, settled, texts
from tests.platforms.base import Double
from tests.waiting import eventually


@pytest.fixture(params=DOUBLES)
def double(request: pytest.FixtureRequest, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Double]:
    double = DOUBLES[request.param]()
    with surroundings(double, monkeypatch):
        channel = ChannelThread(double.name, redis_url)
        let_in(double)
        yield double
        channel.stop()
    assert not double.violations, double.violations


def the_letter(store: Store) -> Letter:
    (letter,) = eventually(store.letters.all)
    return letter


def test_a_replayed_reply_arrives_once(double: Double, worker: Worker, store: Store) -> None:
    double.fault("post", "refuse")
    double.say("hello")
    store.letters.replay(the_letter(store))
    settled(double, "you said hello")
    eventually(lambda: store.redis.xlen(keys.outbox(double.name)) == 0)
    assert texts(double) == ["you said hello"]
    assert store.letters.all() == []


def test_only_what_was_missing_of_a_replayed_reply_is_sent(double: Double, worker: Worker, store: Store) -> None:
    copies = double.text_limit // len(LONG) + 1
    worker.script = lambda prompt, on_text, cancelled: "\n\n".join([LONG] * copies + ["The end."])
    double.at("done:post", lambda: double.fault("post", "refuse"))
    double.say("tell me all")
    letter = the_letter(store)
    before = texts(double)
    assert before, "a part had arrived"
    store.letters.replay(letter)
    eventually(lambda: "The end." in texts(double)[-1])
    assert texts(double)[: len(before)] == before
    assert "".join("".join(texts(double)).split()).count("dullboy") == 120 * copies


def test_a_message_that_failed_for_good_is_answered_after_all(double: Double, worker: Worker, store: Store) -> None:
    def fail(prompt: Prompt, on_text: Callable[[str], None], cancelled: threading.Event) -> str:
        raise GenerationFailed("the model is ill")

    well, worker.script = worker.script, fail
    double.say("hello")
    eventually(lambda: any("could not answer" in text for text in texts(double)))
    letter = the_letter(store)
    assert "the model is ill" in letter.reason
    assert "hello" not in letter.reason
    worker.script = well
    store.letters.replay(letter)
    settled(double, "you said hello")
    assert len(texts(double)) == 2, "the apology stays beside it"
    assert [turn.text for turn in store.people.history(letter.person)] == ["hello", "you said hello"]
