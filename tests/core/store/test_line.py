"""Who is which number in the line of those whom no worker has begun with."""

import pytest

from core import settings
from core.dialogue import Address
from core.events import MessageEvent
from core.store import Store, keys


@pytest.fixture
def store(redis_url: str) -> Store:
    return Store(redis_url, settings.load(), lambda person: "wake")


def say(store: Store, user: str, number: int = 1, quiet_s: float = 0) -> None:
    address = Address(channel="test", space=user)
    store.inbox.accept(MessageEvent(id=f"{user}{number}", address=address, user=user, text="hi", quiet_s=quiet_s))


def places(store: Store) -> list[int]:
    return [store.inbox.place(f"test:-:{user}") for user in ("ada", "bob", "eve")]


def test_it_moves_on_as_workers_begin(store: Store) -> None:
    for user in ("ada", "bob", "eve"):
        say(store, user)
    assert places(store) == [1, 2, 3]
    store.inbox.claim("test:-:ada", "w1")
    assert places(store) == [0, 1, 2]
    store.inbox.claim("test:-:eve", "w1")
    assert places(store) == [0, 1, 0]


def test_who_says_more_keeps_their_place(store: Store) -> None:
    say(store, "ada")
    say(store, "bob")
    say(store, "ada", 2)
    say(store, "ada", 2)
    assert places(store) == [1, 2, 0]


def test_who_is_being_answered_stands_in_no_line(store: Store) -> None:
    say(store, "ada")
    store.inbox.claim("test:-:ada", "w1")
    say(store, "ada", 2)
    assert places(store) == [0, 0, 0]


def test_what_waits_for_more_of_it_stands_in_line_as_well(store: Store) -> None:
    say(store, "ada", quiet_s=5)
    assert places(store) == [1, 0, 0]


def test_nobody_stays_there_who_has_nothing_to_wait_for(store: Store) -> None:
    say(store, "ada")
    store.redis.delete(keys.inbox("test:-:ada"))
    store.inbox.claim("test:-:ada", "w1")
    assert not store.redis.exists(keys.LINE)


def test_the_sweep_takes_out_whom_a_worker_of_an_older_release_has_answered(store: Store) -> None:
    for user in ("ada", "bob"):
        say(store, user)
    store.redis.delete(keys.inbox("test:-:ada"))
    store.redis.zrem(keys.WAITING, "test:-:ada")
    store.inbox.sweep()
    assert places(store) == [0, 1, 0]
