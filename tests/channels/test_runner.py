"""From an adapter to the store and back, on a real Redis; the network is a list."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from channels.base import SIGNS, Accept
from channels.incoming import clean
from channels.runner import Runner
from core import settings
from core.dialogue import Address
from core.errors import DeliveryLater, DeliveryRefused, DeliveryUnsure, InputError, LeaseLost
from core.events import Attachment, Draft, Heard, MessageEvent, Reply
from core.sections import Access
from core.store import Store, keys
from tests.conftest import RedisServer
from tests.waiting import until

ADA = Address(channel="list", space="ada")
BOB = Address(channel="list", space="bob")


class ListAdapter:
    """A network that keeps what it is sent; ``trouble`` holds errors to raise first, by reply id."""

    name = "list"
    via = None
    text_limit = 1000
    sign_s = 0.0
    sign_budget = SIGNS

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.sent: list[str] = []
        self.drafted: list[str] = []
        self.trouble: dict[str, list[Exception]] = {}
        self.accept: asyncio.Future[Accept] = asyncio.get_running_loop().create_future()
        self.closed = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def run(self, accept: Accept) -> None:
        self.accept.set_result(accept)
        await asyncio.Event().wait()

    async def send(self, reply: Reply) -> None:
        self.begun.append(reply.id)
        await self.gate.wait()
        for error in self.trouble.get(reply.id, []):
            self.trouble[reply.id].remove(error)
            raise error
        self.sent.append(reply.id)

    async def working(self, heard: Heard) -> None:
        pass

    async def draft(self, draft: Draft) -> bool:
        self.drafted.append(draft.text)
        return True

    async def close(self) -> None:
        self.closed = True


@pytest.fixture
def store(redis_url: str) -> Store:
    return Store(redis_url, settings.load(), lambda person: "wake")


@pytest_asyncio.fixture
async def adapter(store: Store) -> AsyncIterator[ListAdapter]:
    adapter = ListAdapter()
    async with running(adapter, store):
        yield adapter


@contextlib.asynccontextmanager
async def running(adapter: ListAdapter, store: Store) -> AsyncIterator[None]:
    runner = Runner(adapter, store, settings.load().inbox)
    task = asyncio.create_task(runner.run())
    await adapter.accept
    await until(lambda: store.redis.exists(keys.outbox("list")))  # it sends, and so it reads
    yield
    runner.stop()
    await task
    assert adapter.closed


def reply_to(number: str, address: Address = ADA) -> Reply:
    return Reply(id=number, address=address, text="t", in_reply_to=("e" + number,), person="p")


def put(store: Store, number: str, address: Address = ADA) -> None:
    reply = reply_to(number, address)
    store.redis.xadd(keys.outbox("list"), {"reply": reply.model_dump_json()})


def event(text: str) -> MessageEvent:
    return MessageEvent(id="1", address=ADA, user="ada", text=text)


async def test_events_go_in_once(adapter: ListAdapter, store: Store) -> None:
    accept = await adapter.accept
    assert await accept(event("hello"))
    assert not await accept(event("hello"))
    assert store.redis.llen(keys.inbox("list:-:ada")) == 1


@pytest.mark.parametrize(("text", "code"), [("x" * 1_000_000, "too_long"), ("", "empty"), (" \n\x00\x07", "empty")])
async def test_what_cannot_be_taken_is_said_and_not_stored(
    adapter: ListAdapter, store: Store, text: str, code: str
) -> None:
    with pytest.raises(InputError) as caught:
        await (await adapter.accept)(event(text))
    assert caught.value.code == code
    assert store.redis.keys("rapport:inbox:*") == []


async def test_who_sends_nonsense_again_and_again_is_told_a_few_times(adapter: ListAdapter) -> None:
    told = []
    for text in ("", " ", "x" * 1_000_000, "", ""):
        with pytest.raises(InputError) as caught:
            await (await adapter.accept)(event(text))
        told.append(caught.value.told)
    assert told == [False] * 3 + [True] * 2


async def test_who_is_kept_out_is_told_nothing_whatever_they_send(store: Store, redis_url: str) -> None:
    closed = settings.load().model_copy(update={"access": Access(allow=("slack",))})
    adapter = ListAdapter()
    async with running(adapter, Store(redis_url, closed, lambda person: "wake")):
        for text in ("", "x" * 1_000_000, "hello"):
            with pytest.raises(InputError) as caught:
                await (await adapter.accept)(event(text))
            assert (caught.value.code, caught.value.told) == ("not_allowed", True)


async def test_a_reply_that_alone_gets_no_answer_does_not_silence_its_place(
    adapter: ListAdapter, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("channels.runner.UNSURE_S", 0.1)
    monkeypatch.setattr("channels.runner.FIRST_PAUSE_S", 0.05)
    adapter.trouble["1"] = [DeliveryUnsure("HTTP 500")] * 1000
    put(store, "1")
    put(store, "2")
    await until(lambda: adapter.begun.count("1") > 4)
    assert adapter.sent == [], "nothing gets through: that is the network's fault, not the reply's"
    put(store, "3", BOB)
    await until(lambda: adapter.sent == ["3", "2"])
    assert "HTTP 500" in store.redis.xrange(keys.DEAD)[0][1]["letter"]


def test_text_is_brought_into_shape() -> None:
    assert clean("  a\x00b\r\nc\td\x1b[31m ", 100) == "ab\nc\td[31m"
    assert clean("e\u0301", 100) == "\u00e9"
    assert clean("caf\udce9", 100) == "caf\ufffd", "what was no UTF-8 can be stored all the same"
    assert clean("👩‍👩‍👧", 100) == "👩‍👩‍👧"


async def test_replies_are_sent_in_order_and_acknowledged(adapter: ListAdapter, store: Store) -> None:
    for number in range(10):
        put(store, str(number))
    await until(lambda: store.redis.xlen(keys.outbox("list")) == 0)
    assert adapter.sent == [str(number) for number in range(10)]


async def test_a_reply_that_must_wait_holds_up_its_own_address_only(adapter: ListAdapter, store: Store) -> None:
    adapter.trouble["1"] = [DeliveryLater("flood", 0.2), OSError("network"), DeliveryLater("flood", 0.1)]
    put(store, "1", ADA)
    put(store, "2", ADA)
    put(store, "3", BOB)
    await until(lambda: len(adapter.sent) == 3)
    assert adapter.sent == ["3", "1", "2"]


async def test_what_can_never_be_sent_is_a_dead_letter(adapter: ListAdapter, store: Store) -> None:
    adapter.trouble["1"] = [DeliveryRefused("the bot was kicked")]
    put(store, "1")
    put(store, "2")
    await until(lambda: adapter.sent == ["2"])
    await until(lambda: len(store.letters.all()) == 1)
    assert "kicked" in store.letters.all()[0].reason


async def test_what_was_not_sent_is_sent_by_the_next_process(store: Store) -> None:
    first = ListAdapter()
    first.gate.clear()
    runner = Runner(first, store, settings.load().inbox)
    task = asyncio.create_task(runner.run())
    put(store, "1")
    await until(lambda: [one["pending"] for one in store.redis.xinfo_groups(keys.outbox("list"))] == [1])
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    second = ListAdapter()
    async with running(second, store):
        await until(lambda: second.sent == ["1"])
    assert store.redis.xlen(keys.outbox("list")) == 0


async def test_drafts_reach_the_adapter_until_the_reply_is_sent(adapter: ListAdapter, store: Store) -> None:
    def draft(text: str) -> None:
        store.outbox("list").publish(Draft(reply_id="1", address=ADA, in_reply_to=("e1",), text=text))

    await until(lambda: store.redis.pubsub_numsub(keys.drafts("list"))[0][1] == 1)
    draft("so")
    await until(lambda: adapter.drafted == ["so"])
    put(store, "1")
    await until(lambda: adapter.sent == ["1"])
    draft("too late")
    store.outbox("list").publish(Draft(reply_id="2", address=ADA, in_reply_to=("e2",), text="other"))
    await until(lambda: "other" in adapter.drafted)
    assert adapter.drafted == ["so", "other"]


async def test_stop_is_passed_on_at_once_and_once(adapter: ListAdapter, store: Store) -> None:
    accept = await adapter.accept
    await accept(event("/stop please"))
    assert store.redis.delete(keys.stop("list:-:ada"))
    await accept(event("/stop please"))
    assert not store.redis.exists(keys.stop("list:-:ada")), "sent again by the network"


async def test_what_a_dead_process_left_is_sent_before_anything_newer(store: Store) -> None:
    outbox = store.outbox("list")
    outbox.open()
    put(store, "1")
    outbox.read("dead", 10)  # and it still counts as living for a while
    put(store, "2")
    adapter = ListAdapter()
    async with running(adapter, store):
        await until(lambda: len(adapter.sent) == 2)
    assert adapter.sent == ["1", "2"]


async def test_what_a_late_reader_took_is_not_stranded(adapter: ListAdapter, store: Store) -> None:
    put(store, "1")
    await until(lambda: adapter.sent == ["1"])
    adapter.gate.clear()
    put(store, "2")
    await until(lambda: [one["pending"] for one in store.redis.xinfo_groups(keys.outbox("list"))] == [1])
    store.redis.xadd(keys.outbox("list"), {"reply": reply_to("3").model_dump_json()})
    store.redis.xclaim(
        keys.outbox("list"), keys.GROUP, "late", 0, [store.redis.xinfo_stream(keys.outbox("list"))["last-entry"][0]]
    )
    store.outbox("list").read("late", 10)  # a read that came when it had the right no more
    adapter.gate.set()
    await until(lambda: sorted(adapter.sent) == ["1", "2", "3"])


async def test_a_process_that_may_send_no_more_leaves_its_lane_in_order(store: Store) -> None:
    first = ListAdapter()
    async with running(first, store):
        first.trouble["1"] = [LeaseLost("another sends")]
        for number in "123":
            put(store, number)
        await until(lambda: len(first.sent) == 3)
    assert first.sent == ["1", "2", "3"], "it may again, and begins with the first"


async def test_ending_finishes_what_is_being_sent_and_begins_no_more(store: Store) -> None:
    adapter = ListAdapter()
    runner = Runner(adapter, store, settings.load().inbox)
    task = asyncio.create_task(runner.run())
    await adapter.accept
    adapter.gate.clear()
    put(store, "1", ADA)
    put(store, "2", ADA)
    await until(lambda: adapter.begun == ["1"])
    runner.stop()
    await until(lambda: store.redis.exists(keys.courier("list")))
    assert not task.done()
    adapter.gate.set()
    await task
    assert adapter.sent == ["1"]
    assert store.redis.xlen(keys.outbox("list")) == 1
    assert not store.redis.exists(keys.courier("list")), "the next one can begin at once"


async def test_a_frozen_redis_does_not_freeze_the_process(redis_url: str, redis_server: RedisServer) -> None:
    store = Store(redis_url, settings.load(), lambda person: "wake")
    adapter = ListAdapter()
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        loop = asyncio.get_running_loop()
        while True:
            before = loop.time()
            await asyncio.sleep(0.01)
            longest = max(longest, loop.time() - before)

    async with running(adapter, store):
        watching = asyncio.create_task(watch())
        os.kill(redis_server.pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(8)  # longer than a read waits for its answer: it connects anew, to nobody
        finally:
            os.kill(redis_server.pid, signal.SIGCONT)
        put(store, "1")
        await until(lambda: adapter.sent == ["1"])
        watching.cancel()
    assert longest < 1
    store.close()


async def test_a_name_that_no_json_can_hold_is_taken_all_the_same(adapter: ListAdapter, store: Store) -> None:
    odd = event("hello").model_copy(
        update={"user_name": "A\udce9", "attachments": (Attachment(kind="file", name="\ud800"),)}
    )
    assert await (await adapter.accept)(odd)
