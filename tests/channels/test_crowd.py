"""Many who wait for a network's budget at once: each asks for it when it is their turn."""

import asyncio
from collections.abc import Sequence

import pytest

from channels.delivery import Delivery, Message
from channels.runner import Runner
from core import settings
from core.dialogue import Address
from core.events import Reply
from core.store import Bucket, Outbox, Store
from core.store.pace import Pace
from tests.channels.test_delivery import Wall, reply
from tests.channels.test_live import SlowAdapter, event, running
from tests.waiting import until


@pytest.fixture
def store(redis_url: str) -> Store:
    return Store(redis_url, settings.load(), lambda person: "wake")


class Places(Wall):
    """A network with a limit of its own for each place, and a narrow one for all of them."""

    def budget(self, message: Message, *, editing: bool) -> list[Bucket]:
        return [Bucket(f"post:{message.address.space}", per_s=1, burst=2), Bucket("all", per_s=50)]


def reply_to(space: str) -> Reply:
    address = Address(channel="list", space=space)
    return reply("Hello.", f"{space:r<32}").model_copy(update={"address": address})


def counted(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return a list of what is answered to whoever asks for a send, as it grows."""
    answers: list[float] = []
    take = Pace.take

    def asked(self: Pace, buckets: Sequence[Bucket], *, spare: int = 0) -> float:
        answers.append(wait_s := take(self, buckets, spare=spare))
        return wait_s

    monkeypatch.setattr(Pace, "take", asked)
    return answers


async def test_a_crowd_that_waits_for_the_budget_does_not_ask_for_it_all_at_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = counted(monkeypatch)
    wall = Places()
    delivery = Delivery(wall, store, "list")
    await asyncio.gather(*(delivery.send(reply_to(f"place{number}")) for number in range(30)))
    assert len(wall.shown) == asked.count(0) == 30
    assert len(asked) < 4 * 30, "each once or twice when it is its turn; all of them each time would be 450"


async def test_who_waits_for_a_place_of_their_own_holds_up_nobody(store: Store) -> None:
    wall = Places()
    delivery = Delivery(wall, store, "list")
    store.pace("list").hold(Bucket("post:ada", per_s=1, burst=2), 60)
    held = asyncio.create_task(delivery.send(reply_to("ada")))
    await asyncio.gather(*(delivery.send(reply_to(f"place{number}")) for number in range(3)))
    assert len(wall.shown) == 3
    assert not held.done()
    held.cancel()


async def test_newcomers_who_wait_for_their_sign_do_not_ask_for_it_all_at_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = counted(monkeypatch)
    adapter = SlowAdapter()
    adapter.sign_budget = Bucket("signs", per_s=50)
    adapter.sign_s = 3600
    async with running(store, adapter):
        for number in range(30):
            store.inbox.accept(event(f"n{number}", Address(channel="list", space=f"new{number}")))
        await until(lambda: len(adapter.signs) == 30)
    assert adapter.signs == [f"n{number}" for number in range(30)], "in the order in which they came"
    assert len(asked) < 4 * 30


async def test_replies_that_find_that_time_ran_out_ask_once_who_sends(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    lead = Outbox.lead

    def counted_lead(self: Outbox, process: str) -> bool:
        asked.append(process)
        return lead(self, process)

    monkeypatch.setattr(Outbox, "lead", counted_lead)
    runner = Runner(SlowAdapter(), store, settings.load().inbox)
    assert all(await asyncio.gather(*(runner._lead(renew=False) for _ in range(50))))
    assert len(asked) == 1
    assert await runner._lead()
    assert len(asked) == 2, "who reads the outbox renews the right"
