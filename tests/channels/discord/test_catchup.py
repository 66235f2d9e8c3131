"""What was written while nobody listened is found, whatever Discord cannot tell at first."""

from datetime import timedelta
from typing import Any

import pytest

from channels.discord import catchup, connection, intake
from core.store import Store
from tests.channels.discord.conftest import Start, settled
from tests.platforms.discord import DiscordDouble
from tests.waiting import eventually


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pauses of the product are of seconds and minutes."""
    monkeypatch.setattr(connection, "FIRST_WAIT_S", 0.1)
    monkeypatch.setattr(intake, "HEARD_S", 0.05)
    monkeypatch.setattr(intake, "AGAIN_S", 0.1)
    monkeypatch.setattr(catchup, "MARGIN", timedelta(0))


def mark(store: Store) -> int:
    return int(store.notes("discord").marks().get(catchup.HEARD, 0))


def run_once(start: Start, store: Store) -> None:
    """A process was there before."""
    first = start()
    eventually(lambda: mark(store))
    first.stop()


@pytest.mark.parametrize("kind", ["error", "drop", "flood"])
def test_what_cannot_be_read_at_first_is_read_later(
    double: DiscordDouble, start: Start, store: Store, kind: Any
) -> None:
    run_once(start, store)
    missed = double.say("missed", place="group")
    double.fault("history", kind, times=7, wait_s=0.05)
    start()
    eventually(lambda: len([call for call in double.calls if call.method == "history"]) >= 6)
    assert mark(store) < int(missed), "not everything was heard yet"
    settled(double, "you said missed", double.world.general)
    eventually(lambda: mark(store) >= int(missed))
    assert len(double.posts) == 1


def test_a_channel_that_discord_cannot_tell_of_keeps_no_other_from_being_read(
    double: DiscordDouble, start: Start, store: Store
) -> None:
    run_once(start, store)
    double.say("missed", place="group")
    double.say("broken", channel=double.world.quiet)  # is the newest, so it is read first
    double.fault("history", "error", times=1)
    start()
    settled(double, "you said missed", double.world.general)
    settled(double, "you said broken", double.world.quiet)


def test_the_text_of_a_stage_is_read_as_well(double: DiscordDouble, start: Start, store: Store) -> None:
    run_once(start, store)
    double.say("missed", channel=double.world.stage)
    start()
    settled(double, "you said missed", double.world.stage)


def test_a_defect_while_reading_is_not_taken_for_heard(
    double: DiscordDouble, start: Start, store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run_once(start, store)
    double.say("missed", place="group")
    real, failures = catchup._places, iter([ZeroDivisionError] * 3)

    def places(*known: Any) -> Any:
        for failure in failures:
            raise failure
        return real(*known)

    monkeypatch.setattr(catchup, "_places", places)
    start()
    settled(double, "you said missed", double.world.general)
    assert "ZeroDivisionError" in caplog.text


def test_a_server_that_comes_late_is_read_then(double: DiscordDouble, start: Start, store: Store) -> None:
    run_once(start, store)
    missed = double.say("missed", place="group")
    double.gateway.server_away = True
    start()
    double.say("psst")
    settled(double, "you said psst")
    assert mark(store) < int(missed), "not everything was heard yet"
    double.run(double.gateway.server_returns())
    settled(double, "you said missed", double.world.general)
    eventually(lambda: mark(store) >= int(missed))
    assert len(double.posts) == 2


def test_a_server_that_stays_away_holds_the_mark_for_a_while_only(
    double: DiscordDouble, start: Start, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catchup, "AWAY_S", 0.5)
    run_once(start, store)
    missed = double.say("missed", place="group")
    double.gateway.server_away = True
    start()
    double.say("psst")
    eventually(lambda: mark(store) >= int(missed))
    double.run(double.gateway.server_returns())  # this process knows all the same
    settled(double, "you said missed", double.world.general)


def test_a_server_with_a_failure_is_read_afterwards(double: DiscordDouble, start: Start, store: Store) -> None:
    start()
    eventually(lambda: mark(store))
    double.run(double.gateway.server_leaves())
    double.say("psst")
    settled(double, "you said psst")
    missed = double.say("missed", place="group")
    double.run(double.gateway.server_returns())
    settled(double, "you said missed", double.world.general)
    eventually(lambda: mark(store) >= int(missed))


def test_the_start_of_one_shard_holds_up_no_other(
    double: DiscordDouble, start: Start, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Direct messages come to the first shard; the server to another one, as its id has it."""
    monkeypatch.setattr(connection.Client, "before_identify_hook", _at_once)
    guild = int(double.world.guild_id) >> 22
    double.gateway.shards = 2 if guild % 2 else 3 if guild % 3 else 5 if guild % 5 else 7
    run_once(start, store)
    double.say("missed", place="group")
    double.fault("history", "slow", wait_s=12)
    start()
    eventually(lambda: any(call.method == "history" for call in double.calls))
    double.say("psst")
    settled(double, "you said psst")
    assert len(double.posts) == 1
    double.hurry()
    settled(double, "you said missed", double.world.general)


async def _at_once(self: connection.Client, shard_id: int | None, *, initial: bool = False) -> None:
    """Without the five seconds that Discord wants between two sessions."""


def test_it_is_noted_by_the_clock_of_discord(double: DiscordDouble, start: Start, store: Store) -> None:
    start()
    seen = double.say("before", place="group")
    settled(double, "you said before", double.world.general)
    eventually(lambda: mark(store) >= int(seen))
    assert mark(store) <= int(double.posts[-1].id), "our own clock may be wrong"


def test_only_the_latest_direct_messages_are_kept_in_mind(
    double: DiscordDouble,
    start: Start,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(catchup, "DIRECTS", 2)
    for number in range(1, 5):
        store.notes("discord").mark(double.world.direct(f"user{number}"), str(number))
    start()
    kept = {double.world.direct("user3"), double.world.direct("user4"), catchup.HEARD}
    eventually(lambda: set(store.notes("discord").marks()) == kept)
    eventually(lambda: "2 conversations are not kept in mind any more" in caplog.text)


def test_who_wrote_what_the_bot_may_not_read_is_told_after_a_downtime(
    double: DiscordDouble, start: Start, store: Store
) -> None:
    run_once(start, store)
    double.say(f"<@&{double.world.role_id}> hello", place="group", mention=False)
    start()
    assert "mention me by name" in eventually(lambda: double.seen_by(place="group"))[0].text
