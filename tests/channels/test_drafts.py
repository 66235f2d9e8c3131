"""Text that is being written and the reply that it becomes, on a real Redis; the network is a list."""

import asyncio
import threading

import pytest

from channels.delivery import Delivery, Message
from channels.text import Part
from core import settings
from core.errors import DeliveryUnsure, LeaseLost
from core.store import Bucket, Sent, Store
from tests.channels.test_delivery import LONG, PARTS, Wall, draft, reply, texts


@pytest.fixture
def store(redis_url: str) -> Store:
    return Store(redis_url, settings.load(), lambda person: "wake")


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
def delivery(wall: Wall, store: Store) -> Delivery:
    return Delivery(wall, store, "list")


async def test_a_draft_on_a_slow_network_is_waited_for(
    wall: Wall, delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("channels.delivery.TICK_S", 0.001)
    begun, gate = gated(wall, monkeypatch)
    await delivery.draft(draft("First"))
    drafting = asyncio.create_task(delivery.draft(draft("First part")))
    await begun.wait()
    for _ in range(20):  # more than one tick
        await asyncio.wait({drafting}, timeout=0.002)
    assert not drafting.done(), "else it would come after its own reply"
    gate.set()
    await drafting
    assert texts(wall) == ["First part"]


async def test_a_draft_of_a_process_that_stood_still_is_given_up(
    wall: Wall, delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("channels.delivery.FROZEN_S", 0.0)
    monkeypatch.setattr("channels.delivery.TICK_S", 0.01)
    _, gate = gated(wall, monkeypatch)
    await delivery.draft(draft("First"))
    await delivery.draft(draft("First part"))
    gate.set()
    await delivery.send(reply("First."))
    assert wall.calls == ["post", "edit"]
    assert texts(wall) == ["First."]


def gated(wall: Wall, monkeypatch: pytest.MonkeyPatch) -> tuple[asyncio.Event, asyncio.Event]:
    """Have edits of drafts wait; return what says that one has begun, and what lets them go on."""
    edit, begun, gate = wall.edit, asyncio.Event(), asyncio.Event()

    async def slowly(message_id: str, message: Message) -> None:
        if not message.final:
            begun.set()
            await gate.wait()
        await edit(message_id, message)

    monkeypatch.setattr(wall, "edit", slowly)
    return begun, gate


async def test_long_text_is_split_beside_the_event_loop(
    wall: Wall, delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut, goes_on = wall.split, threading.Event()

    def slowly(text: str) -> list[Part]:
        assert goes_on.wait(20), "the event loop stands still"
        return cut(text)

    monkeypatch.setattr(wall, "split", slowly)
    both = [
        asyncio.create_task(delivery.draft(draft("First"))),
        asyncio.create_task(delivery.send(reply("Other.", "o"))),
    ]
    await asyncio.wait(both, timeout=0.01)
    goes_on.set()
    await asyncio.gather(*both)
    assert sorted(texts(wall)) == ["First", "Other."]


async def test_a_draft_of_a_process_that_stood_still_undoes_nothing(
    wall: Wall, delivery: Delivery, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stands still between two steps of a draft; the one that goes on has found what it had begun."""
    post = wall.post
    noted: dict[int, Sent] = {}

    async def slowly(message: Message) -> str:
        posted = await post(message)
        monkeypatch.undo()
        store.outbox("list").lead("another")
        store.parts("list").save(message.reply_id, 0, Sent(message=posted, digest="of the reply", final=True))
        noted.update(store.parts("list").load(message.reply_id))
        return posted

    monkeypatch.setattr(wall, "post", slowly)
    with pytest.raises(LeaseLost):
        await delivery.draft(draft("First"))
    assert store.parts("list").load("r" * 32) == noted
    assert noted[0].final


async def test_a_draft_becomes_the_reply(delivery: Delivery, wall: Wall) -> None:
    await delivery.draft(draft(""))
    await delivery.draft(draft("First"))
    await delivery.draft(draft("First part"))
    assert texts(wall) == ["First part"]
    await delivery.draft(draft(f"{PARTS[0]}\n\nSecond"))
    assert texts(wall) == [PARTS[0], "Second"]
    await delivery.send(reply())
    assert texts(wall) == PARTS
    assert [message.final for message in wall.messages][-3:] == [True, True, True]


async def test_the_reply_edits_what_a_dead_process_had_begun(delivery: Delivery, wall: Wall, store: Store) -> None:
    await delivery.draft(draft("First"))
    await Delivery(wall, store, "list").send(reply("First part here."))
    assert texts(wall) == ["First part here."]
    assert wall.calls == ["post", "edit"]


async def test_what_a_draft_showed_beyond_the_end_is_taken_back(delivery: Delivery, wall: Wall, store: Store) -> None:
    await delivery.draft(draft(LONG))
    wall.trouble = [("before delete", DeliveryUnsure("no answer"))]
    with pytest.raises(DeliveryUnsure):
        await delivery.send(reply("Short."))
    await delivery.send(reply("Short."))
    assert texts(wall) == ["Short."]
    assert store.parts("list").load("r" * 32).keys() == {0}


async def test_a_draft_that_someone_deleted_does_not_take_the_reply_with_it(delivery: Delivery, wall: Wall) -> None:
    await delivery.draft(draft("First"))
    wall.shown.clear()
    await delivery.send(reply())
    assert texts(wall) == PARTS


async def test_a_draft_does_not_wait_for_the_budget(delivery: Delivery, wall: Wall, store: Store) -> None:
    store.pace("list").hold(Bucket("wall", per_s=1000, burst=100), 60)
    await delivery.draft(draft("First"))
    assert texts(wall) == []


async def test_after_a_doubtful_draft_the_reply_settles_it(delivery: Delivery, wall: Wall) -> None:
    wall.trouble = [("after post", DeliveryUnsure("no answer"))]
    with pytest.raises(DeliveryUnsure):
        await delivery.draft(draft("First"))
    await delivery.draft(draft("First part"))
    assert wall.calls == ["post"], "no more drafts: each could leave one more behind"
    await delivery.send(reply())
    assert texts(wall) == PARTS
