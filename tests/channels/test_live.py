"""Signs of life and drafts, on a real Redis; the network is a list."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from channels.runner import Runner
from core import settings
from core.dialogue import Address
from core.errors import DeliveryLater
from core.events import Draft, Heard, MessageEvent, Reply
from core.store import Bucket, Store, keys
from tests.channels.test_runner import ListAdapter
from tests.waiting import until

ADA = Address(channel="list", space="ada")
BOB = Address(channel="list", space="bob")


class SlowAdapter(ListAdapter):
    """Notes signs and drafts; the first draft of each reply waits for its gate."""

    sign_s = 0.02
    flood_s = 0.05
    shows = True

    def __init__(self) -> None:
        super().__init__()
        self.signs: list[str] = []
        self.drafting = asyncio.Event()
        self.draft_gate = asyncio.Event()

    async def working(self, heard: Heard) -> None:
        self.signs.append(heard.event_id)
        if heard.event_id == "trouble":
            raise DeliveryLater("flood", self.flood_s)

    async def draft(self, draft: Draft) -> bool:
        self.drafting.set()
        if draft.address == ADA:
            await self.draft_gate.wait()
        self.drafted.append(draft.text)
        return self.shows


@pytest.fixture
def store(redis_url: str) -> Store:
    return Store(redis_url, settings.load(), lambda person: "wake")


@asynccontextmanager
async def running(store: Store, adapter: SlowAdapter, process: str = "one") -> AsyncIterator[None]:
    runner = Runner(adapter, store, settings.load().inbox)
    runner._consumer = process
    task = asyncio.create_task(runner.run())
    await adapter.accept
    await until(lambda: store.redis.pubsub_numsub(keys.heard("list"))[0][1] > 0)
    await until(lambda: store.redis.exists(keys.outbox("list")))  # it sends, and so it reads
    yield
    runner.stop()
    await task


def event(number: str, address: Address = ADA) -> MessageEvent:
    return MessageEvent(id=number, address=address, user=address.space, text="hello")


def draft(store: Store, text: str, number: str = "1", address: Address = ADA) -> None:
    person = event("1", address).person
    one = Draft(reply_id=number, address=address, person=person, in_reply_to=("e" + number,), text=text)
    store.outbox("list").publish(one)


def put(store: Store, number: str, address: Address = ADA) -> None:
    reply = Reply(id=number, address=address, text="t", in_reply_to=("e" + number,), person="p")
    store.redis.xadd(keys.outbox("list"), {"reply": reply.model_dump_json()})


async def test_signs_go_on_while_the_message_waits(store: Store) -> None:
    adapter = SlowAdapter()
    async with running(store, adapter):
        store.inbox.accept(event("e1"))
        await until(lambda: len(adapter.signs) > 3)
        store.redis.delete(keys.inbox(event("e1").person))
        shown = -1
        while shown != len(adapter.signs):  # until none came within several times its pause
            shown = len(adapter.signs)
            await asyncio.sleep(0.2)
        assert set(adapter.signs) == {"e1"}


async def test_a_sign_that_fails_is_tried_again_and_harms_nobody(store: Store) -> None:
    adapter = SlowAdapter()
    async with running(store, adapter):
        store.inbox.accept(event("trouble"))
        store.inbox.accept(event("e2", BOB))
        await until(lambda: adapter.signs.count("trouble") > 2 and "e2" in adapter.signs)


async def test_a_crowd_gets_no_more_signs_than_the_network_can_bear(store: Store) -> None:
    adapter = SlowAdapter()
    adapter.sign_budget = Bucket("signs", per_s=0.01, burst=12)
    async with running(store, adapter):
        store.inbox.accept(event("e1"))
        await until(lambda: adapter.signs == ["e1"] * 4)  # its first one, and renewals down to what is for newcomers
        for number in range(7):
            store.inbox.accept(event(f"n{number}", Address(channel="list", space=f"new{number}")))
        await until(lambda: len(adapter.signs) == 11)
        assert adapter.signs.count("e1") == 4


async def test_text_ends_the_sign(store: Store) -> None:
    adapter = SlowAdapter()
    adapter.sign_s = 3600
    async with running(store, adapter):
        store.inbox.accept(event("e1"))
        await until(lambda: adapter.signs == ["e1"])
        adapter.draft_gate.set()
        draft(store, "Dear")
        await until(lambda: adapter.drafted == ["Dear"])
        draft(store, "", "2")
        await until(lambda: len(adapter.signs) == 2)  # and that a next one is being worked on begins it again


async def test_text_that_the_network_does_not_show_ends_no_sign(store: Store) -> None:
    adapter = SlowAdapter()
    adapter.shows = False
    adapter.draft_gate.set()
    async with running(store, adapter):
        store.inbox.accept(event("e1"))
        await until(lambda: adapter.signs)
        draft(store, "Dear")
        await until(lambda: adapter.drafted)
        before = len(adapter.signs)
        await until(lambda: len(adapter.signs) > before + 3)


async def test_a_slow_draft_holds_up_nobody_else_and_skips_to_the_newest(store: Store) -> None:
    adapter = SlowAdapter()
    async with running(store, adapter):
        draft(store, "a")
        await adapter.drafting.wait()
        draft(store, "ab")
        draft(store, "abc")
        draft(store, "other", "2", BOB)
        await until(lambda: adapter.drafted == ["other"])
        adapter.draft_gate.set()
        await until(lambda: adapter.drafted == ["other", "a", "abc"])


async def test_the_reply_waits_for_the_draft_that_is_being_shown(store: Store) -> None:
    adapter = SlowAdapter()
    async with running(store, adapter):
        draft(store, "a")
        await adapter.drafting.wait()
        draft(store, "ab")
        put(store, "1")
        put(store, "2", BOB)
        await until(lambda: adapter.sent == ["2"])
        adapter.draft_gate.set()
        await until(lambda: adapter.sent == ["2", "1"])
        assert adapter.drafted == ["a"]


async def test_of_two_processes_one_sends_and_shows(store: Store) -> None:
    one, two = SlowAdapter(), SlowAdapter()
    one.draft_gate.set()
    two.draft_gate.set()
    async with running(store, two, "two"), running(store, one):
        await until(lambda: store.redis.pubsub_numsub(keys.heard("list"))[0][1] == 2)
        store.inbox.accept(event("e1"))

        def shown() -> bool:  # published until it is: whoever hears it must have become the one that sends
            draft(store, "a")
            return "a" in one.drafted + two.drafted

        await until(shown)
        put(store, "2")
        await until(lambda: one.sent + two.sent == ["2"])
        assert not (one.signs and two.signs)
        assert not (one.drafted and two.drafted)
        assert (one.sent, two.sent) == ([], ["2"]), "the first one keeps it"


async def test_no_draft_stands_before_an_earlier_reply_that_must_wait(store: Store) -> None:
    adapter = SlowAdapter()
    adapter.draft_gate.set()
    adapter.trouble["1"] = [DeliveryLater("too many", 0.5)]
    async with running(store, adapter):
        put(store, "1")
        await until(lambda: adapter.begun == ["1"])
        draft(store, "of what was said later", "2", ADA)
        draft(store, "of somebody else", "3", BOB)
        await until(lambda: adapter.drafted == ["of somebody else"])
        await until(lambda: adapter.sent == ["1"])

        def shown() -> bool:  # published until it is: the reply must also be acknowledged before others may show
            draft(store, "of what was said later, and more", "2", ADA)
            return "of what was said later, and more" in adapter.drafted

        await until(shown)
        assert "of what was said later" not in adapter.drafted


async def test_who_wrote_before_the_start_gets_a_sign(store: Store) -> None:
    long_ago = datetime.now(UTC) - timedelta(minutes=11)
    store.inbox.accept(event("old", BOB).model_copy(update={"sent_at": long_ago}))
    store.inbox.accept(event("e1"))
    adapter = SlowAdapter()
    async with running(store, adapter):
        await until(lambda: adapter.signs.count("e1") > 2)
        assert set(adapter.signs) == {"e1"}


async def test_who_wrote_while_nobody_had_the_right_to_send_gets_a_sign(store: Store) -> None:
    store.outbox("list").lead("one that died")
    adapter = SlowAdapter()
    runner = Runner(adapter, store, settings.load().inbox)
    task = asyncio.create_task(runner.run())
    await until(lambda: store.redis.pubsub_numsub(keys.heard("list"))[0][1] > 0)
    await (await adapter.accept)(event("e1"))
    await until(lambda: "e1" in adapter.signs)
    runner.stop()
    await task


async def test_who_wrote_while_nobody_listened_gets_a_sign(store: Store) -> None:
    adapter = SlowAdapter()
    async with running(store, adapter):
        store.redis.client_kill_filter(_type="pubsub")
        store.inbox.accept(event("e1"))
        await until(lambda: "e1" in adapter.signs)


async def test_a_reply_ends_no_sign_of_what_was_said_after_it(store: Store) -> None:
    adapter = SlowAdapter()
    async with running(store, adapter):
        for one in (event("e1"), event("e2"), event("e3", BOB)):
            store.inbox.accept(one)
        await until(lambda: {"e1", "e3"} <= set(adapter.signs))  # and so e2 was heard, which came between
        first = Reply(id="1", address=ADA, text="t", in_reply_to=("e1",), person=event("e1").person)
        store.redis.xadd(keys.outbox("list"), {"reply": first.model_dump_json()})
        await until(lambda: adapter.sent == ["1"])
        before = adapter.signs.count("e1")
        await until(lambda: adapter.signs.count("e1") > before + 3)
        second = first.model_copy(update={"id": "2", "in_reply_to": ("e2",)})
        store.redis.xadd(keys.outbox("list"), {"reply": second.model_dump_json()})
        await until(lambda: adapter.sent == ["1", "2"])
        ended = adapter.signs.count("e1")
        others = adapter.signs.count("e3")
        await until(lambda: adapter.signs.count("e3") > others + 5)
        assert adapter.signs.count("e1") == ended


async def test_after_a_flood_the_sign_waits_as_long_as_the_network_says(store: Store) -> None:
    adapter = SlowAdapter()
    adapter.flood_s = 3600
    async with running(store, adapter):
        store.inbox.accept(event("trouble"))
        store.inbox.accept(event("e2", BOB))
        await until(lambda: adapter.signs.count("e2") > 5)
        assert adapter.signs.count("trouble") == 1
