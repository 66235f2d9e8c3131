"""One process takes up the session of the one before, as Discord tells of direct messages nowhere else."""

import json
import time

import pytest

from channels.discord import intake
from core.store import Store
from tests.channels.discord.conftest import Start, settled
from tests.channels.path import ChannelThread, Worker, let_in
from tests.platforms.discord import DiscordDouble
from tests.waiting import eventually


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pauses of the product are of seconds."""
    monkeypatch.setattr(intake, "HEARD_S", 0.1)


def test_the_first_message_of_somebody_new_survives_a_restart(
    double: DiscordDouble, start: Start, store: Store
) -> None:
    first = start()
    eventually(lambda: store.notes("discord").get("session"))
    first.stop()
    double.say("hello", user="newcomer")
    start()
    settled(double, "you said hello", user="newcomer")
    assert len(double.gateway.resumed) == 1


def test_a_container_that_takes_the_place_of_another_takes_up_its_session(
    double: DiscordDouble, start: Start, store: Store
) -> None:
    first = start()
    eventually(lambda: store.notes("discord").get("session"))
    first.stop()
    left = json.loads(store.notes("discord").get("session") or "") | {"host": "another", "at": time.time() - 12}
    store.notes("discord").put("session", json.dumps(left), 60)
    double.say("hello", user="newcomer")
    start()
    settled(double, "you said hello", user="newcomer")


def test_nobody_writes_into_a_gap_between_two_sessions(double: DiscordDouble, start: Start, store: Store) -> None:
    first = start()
    eventually(lambda: store.notes("discord").get("session"))
    first.stop()
    asked = [call.method for call in double.calls].count("gateway")
    double.fault("gateway", "slow", wait_s=8)  # between the session before and our own
    start(wait=False)
    eventually(lambda: [call.method for call in double.calls].count("gateway") > asked)
    assert len(double.gateway.resumed) == 1
    double.say("hello", user="newcomer")
    double.hurry()
    let_in(double)
    settled(double, "you said hello", user="newcomer")
    double.say("bye")
    settled(double, "you said bye")
    assert len(double.posts) == 2
    eventually(lambda: double.gateway.closed.count(1000) == 1)


def test_a_session_that_is_over_does_not_stop_the_start(double: DiscordDouble, start: Start, store: Store) -> None:
    first = start()
    eventually(lambda: store.notes("discord").get("session"))
    first.stop()
    double.gateway.resumable = False
    start()
    double.say("hello")
    settled(double, "you said hello")


def test_the_end_keeps_the_session_for_the_next_process(
    double: DiscordDouble, channel: ChannelThread, worker: Worker
) -> None:
    with worker.busy():
        double.say("hello")
        eventually(lambda: double.signs)
        began = time.monotonic()
        channel.stop()
    assert time.monotonic() - began < 5
    eventually(lambda: double.gateway.closed == [4000])
