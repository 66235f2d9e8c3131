"""The outbox: what is read and not acknowledged comes back, to the same process or to another."""

import pytest

from core import settings
from core.dialogue import Address
from core.events import Draft, Heard, MessageEvent, Reply
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
    assert len(store.letters.all()) == 1
    assert store.redis.xlen(keys.outbox("test")) == 1


def test_one_process_leads_until_it_resigns(outbox: Outbox) -> None:
    assert outbox.lead("one")
    assert not outbox.lead("two")
    assert outbox.lead("one"), "it stays what it is"
    outbox.resign("two")
    assert not outbox.lead("two"), "another's right cannot be given up"
    outbox.resign("one")
    assert outbox.lead("two")


def test_who_gives_no_sign_of_life_leads_no_more(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.store.outbox.COURIER_TTL_S", 0.1)
    assert outbox.lead("one")
    eventually(lambda: outbox.lead("two"))
    assert not outbox.lead("one")


def test_who_leads_inherits_in_order_what_others_did_not_send(store: Store, outbox: Outbox) -> None:
    for number in range(3):
        put(store, number)
    outbox.read("one", 10)
    put(store, 3)
    outbox.read("two", 10)
    outbox.inherit("three")
    assert [d.reply.id for d in outbox.unacknowledged("three")] == ["r0", "r1", "r2", "r3"]
    assert outbox.unacknowledged("one") == outbox.unacknowledged("two") == []
    outbox.inherit("three")
    assert len(outbox.unacknowledged("three")) == 4


def test_a_process_that_has_just_read_keeps_its_name(store: Store, outbox: Outbox) -> None:
    """What it reads between the look at it and the loss of its name would belong to nobody."""
    put(store, 1)
    outbox.read("one", 10)
    outbox.inherit("two")
    assert {peer["name"] for peer in store.redis.xinfo_consumers(keys.outbox("test"), keys.GROUP)} == {"one", "two"}


def test_an_outbox_that_is_not_there_leaves_nothing_to_inherit(store: Store) -> None:
    store.outbox("unheard-of").inherit("one")


def test_a_dead_letter_keeps_its_reason(store: Store, outbox: Outbox) -> None:
    put(store, 1)
    (delivery,) = outbox.read("one", 10)
    outbox.bury(delivery, "the bot was blocked")
    (letter,) = store.letters.all()
    assert letter.reason == "the bot was blocked"
    assert outbox.unacknowledged("one") == []


def test_drafts_reach_whoever_listens(outbox: Outbox) -> None:
    draft = Draft(reply_id="r", address=ADDRESS, in_reply_to=("e",), text="so far")
    outbox.publish(draft)
    with outbox.news() as feed:
        assert feed.next(0.05) is None, "nobody listened"
        outbox.publish(draft)
        assert feed.next(2) == draft


def test_that_an_event_was_stored_reaches_whoever_listens(store: Store, outbox: Outbox) -> None:
    with outbox.news() as feed:
        event = MessageEvent(id="e1", address=ADDRESS, user="ada", text="hello")
        store.inbox.accept(event)
        assert feed.next(2) == Heard(event_id="e1", address=ADDRESS, person=event.person)
        store.inbox.accept(event)
        assert feed.next(0.05) is None, "it was known"


def test_signs_of_life_come_and_go(store: Store) -> None:
    sign = WorkerSign(id="w", pid=1, host="h", ready=True, chat_model="m")
    store.workers.beat(sign)
    assert store.workers.alive() == [sign]
    store.workers.gone("w")
    assert store.workers.alive() == []
