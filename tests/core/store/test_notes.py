"""What adapters keep in Redis: notes, marks, the progress of parts, the budget of sends; and ratings."""

import time

import pytest

from core import settings
from core.dialogue import Address, Turn
from core.store import Bucket, Sent, Store, keys
from tests.waiting import eventually

CHAT = Bucket("chat", per_s=10, burst=2)
ALL = Bucket("all", per_s=1000, burst=5)


@pytest.fixture
def store(redis_url: str) -> Store:
    return Store(redis_url, settings.load(), lambda person: "wake")


def test_a_note_lives_as_long_as_it_should(store: Store) -> None:
    notes = store.notes("slack")
    notes.put("a", "1", 60)
    assert not notes.add("a", "2", 60)
    assert notes.get("a") == "1"
    assert store.notes("discord").get("a") is None
    notes.drop("a")
    assert notes.add("a", "2", 0.05)
    eventually(lambda: notes.get("a") is None)


def test_marks_are_by_place(store: Store) -> None:
    notes = store.notes("discord")
    notes.mark("c1", "5")
    notes.mark("c1", "7")
    notes.mark("c2", "6")
    notes.unmark("c2")
    assert notes.marks() == {"c1": "7"}


def test_progress_is_kept_by_part(store: Store) -> None:
    parts = store.parts("slack")
    first, second = Sent(message="m1", digest="d", final=True), Sent()
    parts.save("r", 0, first)
    parts.save("r", 1, second)
    assert parts.load("r") == {0: first, 1: second}
    parts.save("r", 1, None)
    assert parts.load("r") == {0: first}
    assert 0 < store.redis.ttl(keys.parts("slack", "r")) <= 3 * 86400
    assert parts.load("other") == {}


def test_a_burst_passes_and_then_the_pace_holds(store: Store) -> None:
    pace = store.pace("telegram")
    assert pace.take([CHAT]) == pace.take([CHAT]) == 0
    wait_s = pace.take([CHAT])
    assert 0.05 < wait_s <= 0.1
    time.sleep(wait_s)  # the wait that was told is the very thing under test
    assert pace.take([CHAT]) == 0


def test_all_buckets_or_none(store: Store) -> None:
    pace = store.pace("telegram")
    pace.hold(CHAT, 5)
    for _ in range(20):
        assert 4 < pace.take([ALL, CHAT]) <= 5.1
    assert pace.take([ALL]) == 0, "nothing was taken in vain"


def test_a_hold_ends_to_the_second_and_a_shorter_one_does_not_shorten_it(store: Store) -> None:
    pace = store.pace("telegram")
    pace.hold(CHAT, 30)
    pace.hold(CHAT, 1)
    assert 29 < pace.take([CHAT]) <= 30.1
    assert pace.take([Bucket("other chat", 10)]) == 0


def test_edits_leave_room_for_a_final_message(store: Store) -> None:
    pace = store.pace("telegram")
    assert pace.take([CHAT], spare=1) == 0
    assert pace.take([CHAT], spare=1) > 0
    assert pace.take([CHAT]) == 0
    single = Bucket("single", per_s=1, burst=1)
    assert pace.take([single], spare=1) == 0, "a bucket of one has nothing to spare"


def test_processes_share_one_budget(store: Store, redis_url: str) -> None:
    other = Store(redis_url, settings.load(), lambda person: "wake")
    assert store.pace("telegram").take([CHAT]) == other.pace("telegram").take([CHAT]) == 0
    assert store.pace("telegram").take([CHAT]) > 0
    assert store.pace("slack").take([CHAT]) == 0
    other.close()


def test_ratings_stand_in_the_history_until_they_are_taken_back(store: Store) -> None:
    address = Address(channel="slack", space="D1")
    said = Turn(role="assistant", text="hi", at="2026-01-02T03:04:05Z", address=address, reply_id="r1")
    store.redis.rpush(keys.history("slack:T:ada"), said.model_dump_json())
    store.people.rate("slack:T:ada", "r1", "up")
    assert [turn.rated for turn in store.people.history("slack:T:ada")] == ["up"]
    store.people.rate("slack:T:ada", "r1", "down")
    store.people.unrate("slack:T:ada", "r1", "up")  # the first thought, taken away last
    assert [turn.rated for turn in store.people.history("slack:T:ada")] == ["down"]
    store.people.unrate("slack:T:ada", "r1", "down")
    assert [turn.rated for turn in store.people.history("slack:T:ada")] == [None]
