"""The outbox: what is read and not acknowledged comes back, to the same process or to another."""

import json

import pytest

from core import settings
from core.dialogue import Address
from core.events import Draft, Reply
from core.store import Outbox, Store, WorkerSign, keys
from tests.waiting import eventually

ADDRESS = Address(channel="test", space="ada")


@pytest.fixture
def store(redis_url: str) -> Store:
    return Store(redis_url, settings.load(), lambda person: "wake")


@pytest.fixture
def outbox(store: Store) -> Outbox:
    outbox = store.outbox("test")
    outbox.open()
    outbox.open()
    return outbox


def put(store: Store, number: int) -> None:
    reply = Reply(id=f"r{number}", address=ADDRESS, text="t", in_reply_to=("e",), person="p")
    store.redis.xadd(keys.outbox("test"), {"reply": reply.model_dump_json()})


def test_unacknowledged_replies_come_back(store: Store, outbox: Outbox) -> None:
    put(store, 1)
    put(store, 2)
    first, second = outbox.read("one", 10)
    outbox.acknowledge(first)
    assert [d.reply.id for d in outbox.unacknowledged("one")] == ["r2"]
    outbox.acknowledge(second)
    assert outbox.unacknowledged("one") == []
    assert store.redis.xlen(keys.outbox("test")) == 0, "a sent reply is not kept"


def test_a_redis_that_comes_back_empty_is_read_all_the_same(store: Store, outbox: Outbox) -> None:
    store.redis.flushall()
    assert outbox.read("one", 10) == []
    put(store, 1)
    assert [d.reply.id for d in outbox.read("one", 10)] == ["r1"]


def test_all_unacknowledged_replies_come_back(store: Store, outbox: Outbox) -> None:
    for number in range(250):
        put(store, number)
    while outbox.read("one", 10):
        pass
    assert [d.reply.id for d in outbox.unacknowledged("one")] == [f"r{number}" for number in range(250)]


def test_a_reply_that_cannot_be_read_holds_up_nothing(store: Store, outbox: Outbox) -> None:
    store.redis.xadd(keys.outbox("test"), {"reply": '{"id": "r0"}'})
    put(store, 1)
    assert [d.reply.id for d in outbox.read("one", 10)] == ["r1"]
    assert store.redis.llen(keys.dead("test")) == 1
    assert store.redis.xlen(keys.outbox("test")) == 1


def test_a_living_peer_keeps_its_replies(store: Store, outbox: Outbox) -> None:
    put(store, 1)
    outbox.read("one", 10)
    assert outbox.take_over("two") == []


def test_a_dead_peers_replies_are_taken_over_in_order(store: Store, outbox: Outbox) -> None:
    for number in range(3):
        put(store, number)
    outbox.read("one", 10)
    outbox.leave("one")
    other = store.outbox("test")
    taken = eventually(lambda: outbox.take_over("two"))
    assert other.take_over("three") == [], "another one that looks at the same time gets nothing"
    assert [d.reply.id for d in taken] == ["r0", "r1", "r2"]
    assert outbox.take_over("two") == []
    assert len(outbox.unacknowledged("two")) == 3


def test_a_dead_letter_keeps_its_reason(store: Store, outbox: Outbox) -> None:
    put(store, 1)
    (delivery,) = outbox.read("one", 10)
    outbox.bury(delivery, "the bot was blocked")
    (letter,) = store.redis.lrange(keys.dead("test"), 0, -1)
    assert json.loads(letter)["reason"] == "the bot was blocked"
    assert outbox.unacknowledged("one") == []


def test_drafts_reach_whoever_listens(outbox: Outbox) -> None:
    draft = Draft(reply_id="r", address=ADDRESS, in_reply_to=("e",), text="so far")
    outbox.publish(draft)
    with outbox.drafts() as feed:
        assert feed.next(0.05) is None, "nobody listened"
        outbox.publish(draft)
        assert feed.next(2) == draft


def test_signs_of_life_come_and_go(store: Store) -> None:
    sign = WorkerSign(id="w", pid=1, host="h", ready=True, chat_model="m")
    store.workers.beat(sign)
    assert store.workers.alive() == [sign]
    store.workers.gone("w")
    assert store.workers.alive() == []
