"""What one person does goes into the store in its order; what is new waits for what is old at its place."""

import asyncio
import json

import pytest

from channels.discord import intake, interactions, order
from channels.discord.order import Holds, Turns
from core.store import Store, keys
from tests.channels.discord.conftest import Start, settled
from tests.channels.discord.test_catchup import quick as quick
from tests.channels.discord.test_catchup import run_once
from tests.channels.path import Worker
from tests.platforms.discord import DiscordDouble
from tests.waiting import eventually


def inbox(double: DiscordDouble, store: Store, user: str = "ada") -> list[str]:
    raws = store.redis.lrange(keys.inbox(f"discord:-:{double.world.user(user)['id']}"), 0, -1)
    return [json.loads(raw)["text"] for raw in raws]


async def test_a_turn_comes_when_the_one_before_ends() -> None:
    turns = Turns()
    first, second, other = turns.take("ada"), turns.take("ada"), turns.take("bob")
    assert second.waits
    assert not other.waits
    assert not await second.comes(0)
    first.end()
    assert await second.comes(0)
    second.end()
    other.end()
    await asyncio.sleep(0)
    assert not turns._last


async def test_only_places_that_are_not_read_hold_up_what_is_new() -> None:
    heard: list[str] = []
    holds: Holds[str] = Holds(heard.append)
    holds.begin(0)
    for place in ("a", "b", "c"):
        assert holds.covers(0, place)
        holds.add(0, place, place)
    assert not holds.covers(1, "a")
    holds.only(0, ["b", "c"])
    assert heard == ["a"]
    holds.read(0, "c")
    assert heard == ["a", "c"]
    holds.only(0, ["a"])  # when reading is tried again
    assert not holds.covers(0, "a")
    holds.end(0)
    assert heard == ["a", "c", "b"]
    assert not holds


@pytest.mark.parametrize("missed", [False, True])
def test_a_command_does_not_go_before_what_was_typed_before_it(
    double: DiscordDouble, start: Start, store: Store, worker: Worker, missed: bool
) -> None:
    """Who forgets what they said must not have it answered, and kept, afterwards."""
    run_once(start, store)
    double.say("old", place="group")
    if missed:
        double.say("secret", place="group")
    double.fault("history", "slow", wait_s=8)
    with worker.busy():
        start()
        eventually(lambda: any(call.method == "history" for call in double.calls))
        if not missed:
            double.say("secret", place="group")
        double.command("forget", place="group")
        eventually(lambda: double.acknowledged and double.signs)
        assert max(waited for _, waited in double.acknowledged) < 1
        assert "/forget" not in inbox(double, store)
        double.hurry()
        eventually(lambda: inbox(double, store) == ["old", "secret", "/forget"])
        double.say("bye", place="group")
        eventually(lambda: inbox(double, store)[3:] == ["bye"])


@pytest.mark.usefixtures("channel")
def test_what_is_typed_after_a_command_comes_after_it_and_holds_up_nobody_else(
    double: DiscordDouble, store: Store, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "COMMAND_S", 60)
    double.say("bye", user="bob")
    settled(double, "you said bye", user="bob")
    double.fault("callback", "slow", wait_s=2.5)
    monkeypatch.setattr(interactions, "LATE_S", -60)  # so it is acknowledged first
    with worker.busy():
        double.command("chat", place="group", message="one")
        double.say("two", place="group")
        double.say("three", place="group")
        double.say("hello", user="bob")
        eventually(lambda: inbox(double, store, "bob") == ["hello"])
        assert not inbox(double, store), "its acknowledgement is on its way"
        double.hurry()
        eventually(lambda: inbox(double, store) == ["one", "two", "three"])


def test_many_places_that_are_read_hold_up_nobody_else(
    double: DiscordDouble, start: Start, store: Store, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order, "CATCH_UP_S", 60)
    run_once(start, store)
    for number in range(60):
        store.notes("discord").mark(double.world.direct(f"user{number}"), str(number))
    double.fault("history", "slow", times=60, wait_s=30)
    start()

    def reading() -> list[int | None]:
        return [call.status for call in double.calls if call.method == "history"]

    eventually(lambda: len(reading()) == 4)
    fresh = double.world.direct("fresh")
    with worker.busy():
        double.say("hello", user="fresh")
        eventually(lambda: any(place == fresh for place, _ in double.signs))
    assert reading() == [None] * 4, "none is answered yet"
    double.hurry()
    settled(double, "you said hello", fresh)
    eventually(lambda: reading() == [200] * 60)
