"""When a worker is taken for one that no wake-up reaches, and when it is not. No consumer runs here."""

import threading
from collections.abc import Iterator

import pytest
from redis.backoff import NoBackoff
from redis.retry import Retry

from core import settings
from core.store import Store, keys
from tests.waiting import eventually
from workers import pulse
from workers.pulse import MISSED, MISSED_AT_START, Pulse


@pytest.fixture
def store(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setattr(pulse, "PULSE_S", 0.05)
    store = Store(redis_url, settings.load(), str)
    yield store
    store.close()


class Watched:
    """A pulse of a pool with two threads, and how many it sent."""

    def __init__(self, store: Store) -> None:
        self.sent = 0
        self.ended = threading.Event()
        self.pulse = Pulse(store.workers, "w", self._message, 2, self.ended.set)

    def more(self, than: int) -> bool:
        return self.sent > than

    def _message(self) -> str:
        self.sent += 1
        return f"pulse {self.sent}"


def test_a_pulse_that_is_never_felt_ends_the_worker_once(store: Store) -> None:
    watched = Watched(store)
    assert not watched.pulse.beats, "nothing has come through yet"
    assert watched.ended.wait(60)
    assert watched.sent >= MISSED_AT_START
    assert watched.pulse.stalled
    assert store.redis.lrange(keys.pulse("w"), 0, -1) == [f"pulse {watched.sent}"], "one takes the place of the other"
    assert 0 < store.redis.ttl(keys.pulse("w")) <= 60


def test_one_that_is_felt_now_and_then_does_not(store: Store) -> None:
    watched = Watched(store)
    for number in range(4):
        eventually(lambda number=number: watched.more(number * (MISSED - 3)))
        watched.pulse.feel()
        assert watched.pulse.beats
    assert not watched.ended.is_set()
    watched.pulse.close()


def test_a_pool_without_a_free_thread_misses_nothing(store: Store) -> None:
    watched = Watched(store)
    watched.pulse.feel()
    with watched.pulse.busy(), watched.pulse.busy():
        eventually(lambda: watched.more(3 * MISSED))
        assert not watched.ended.is_set()
    assert watched.ended.wait(60), "a free one does"


def test_a_redis_that_is_away_is_no_fault_of_the_consumer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "PULSE_S", 0.02)
    away = Store("unix:///nowhere/redis.sock", settings.load(), str)
    away.redis.set_retry(Retry(NoBackoff(), 0))
    watched = Watched(away)
    watched.pulse.feel()
    eventually(lambda: watched.more(MISSED + 1), 60)
    assert not watched.ended.is_set()
    watched.pulse.close()
    away.close()


def test_nothing_is_missed_by_a_worker_that_ends(store: Store) -> None:
    watched = Watched(store)
    eventually(lambda: watched.sent)
    watched.pulse.feel()
    watched.pulse.close()
    assert not watched.ended.wait(2 * MISSED * pulse.PULSE_S)
