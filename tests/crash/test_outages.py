"""Redis goes away in mid-generation, for a minute, and everything comes back by itself: channels, workers, consumers.

It goes away in three ways: it is not there (connections are refused), it stands still (they stand and say nothing), and
it is cut off (what is sent on old and new connections goes nowhere, and no side is told).
"""

import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from core import settings
from core.dialogue import Address
from core.errors import StoreUnavailable
from core.events import Draft
from core.store import Store, keys
from rapport.stack import answers
from rapport.supervisor import Backoff
from tests.channels.path import ChannelProcess, Worker, let_in, surroundings
from tests.channels.test_contract import DOUBLES
from tests.conftest import RedisServer, forget_settings
from tests.crash.driver import Town
from tests.crash.ledger import Posts
from tests.crash.report import Table
from tests.crash.short import every
from tests.crash.test_channels import answer
from tests.crash.wire import Wire
from tests.platforms.base import Double
from tests.platforms.slack import Slack
from tests.waiting import eventually
from workers.app import WakeUps

NAMES = [f"person{number}" for number in range(8)]
BACK_S = 30.0


@contextmanager
def not_there(town: Town, away_s: float) -> Iterator[None]:
    """It ends, and its supervisor starts another one only then."""
    town.private._child._backoff = Backoff(first_s=away_s, longest_s=away_s)
    town.kill_redis()
    eventually(lambda: not answers(town.private.url))
    yield
    eventually(lambda: answers(town.private.url), away_s + 10)


@contextmanager
def standing_still(town: Town, away_s: float) -> Iterator[None]:
    pid = town.private.pid
    assert pid
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
        threading.Event().wait(away_s)
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def cut_off(town: Town, away_s: float) -> Iterator[None]:
    with town.wire.swallowing():
        yield
        threading.Event().wait(away_s)


FAULTS = {"is not there": not_there, "stands still": standing_still, "is cut off without a close": cut_off}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("fault", every(FAULTS, "is cut off without a close"))
def test_all_comes_back_when_redis_does(tmp_path: Path, table: Table, full: bool, fault: str) -> None:
    away_s, runs = (60.0, 3) if full else (2.0, 1)
    back_s: list[float] = []
    with Town(tmp_path, workers=3 if full else 2, wired=True, CRASH_GENERATION_S="1.0") as town:
        processes = [town.web.pid, *(worker.pid for worker in town.workers)]
        for number in range(runs):
            town.people.write(NAMES, messages=4 if full else 2, pause_s=0.5, seed=number)
            eventually(lambda: any(town.holder(name) for name in NAMES))
            with FAULTS[fault](town, away_s):
                town.people.say("meanwhile")
            began = time.monotonic()
            first = town.people.say("afterwards")
            consumers = {worker.id: probe(town, worker.id) for worker in town.workers}
            eventually(lambda text=first: town.people.answered(text), 60)
            eventually(lambda waiting=consumers: not any(map(town.store.redis.exists, waiting.values())), 60)
            back_s.append(time.monotonic() - began)
            town.settle(60)
            town.ready()
        assert [town.web.pid, *(worker.pid for worker in town.workers)] == processes, "nobody had to be started again"
        table.add(f"Redis {fault} for {away_s:.0f} s", town.check(), runs=runs, recovery_s=back_s)
    assert max(back_s) < BACK_S


def probe(town: Town, worker: str) -> str:
    """Put a wake-up for nobody where only this worker's consumer takes it; return where that is."""
    town.store.workers.send_pulse(worker, WakeUps().for_nobody(keys.pulse(worker)))
    return keys.pulse(worker)


@pytest.mark.timeout(300)
def test_a_consumer_that_stalls_ends_its_worker(tmp_path: Path, table: Table, full: bool) -> None:
    """Its store's connections come back by themselves, so that it renews leases and gives signs of life as before."""
    runs, quick = (5, {}) if full else (1, {"CRASH_PULSE_S": "0.2"})
    back_s: list[float] = []
    with Town(tmp_path, workers=1, wired=True, app="tests.crash.deaf_worker", **quick) as town:
        for _ in range(runs):
            stalled = town.workers[0].pid
            town.wire.drop_without_a_word()
            began = time.monotonic()
            text = town.people.say("ada")
            eventually(lambda text=text: town.people.answered(text), 60)
            back_s.append(time.monotonic() - began)
            assert town.workers[0].pid != stalled
            town.settle()
            town.ready()
        assert town.log.read_text().count("takes nothing off its queue") == runs
        assert town.log.read_text().count("worker0 ended with exit code 70") == runs
        table.add("a consumer of Celery that stalls (its worker ends)", town.check(), runs=runs, recovery_s=back_s)
    assert max(back_s) < BACK_S


def test_a_subscription_that_fell_silent_is_opened_anew(
    redis_server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.store.outbox.SILENT_S", 0.5)
    wire = Wire(tmp_path / "wire.sock", Path(redis_server.url.removeprefix("unix://")))
    store = Store(wire.url, settings.load(), str)
    store.redis.connection_pool.connection_kwargs["health_check_interval"] = 1
    outbox = store.outbox("test")
    draft = Draft(reply_id="r", address=Address(channel="test", space="ada"), in_reply_to=("e",), text="so far")
    try:
        with outbox.news() as feed:
            assert feed.next(1.5) is None
            assert feed.next(0.2) is None, "Redis was asked for a sign of life, and gave it"
            wire.drop_without_a_word()
            with pytest.raises(StoreUnavailable, match="silent"):
                eventually(lambda: feed.next(0.2))
        with outbox.news() as feed:
            outbox.publish(draft)
            assert feed.next(2) == draft
    finally:
        store.close()
        wire.close()


@pytest.mark.timeout(300)
@pytest.mark.full
@pytest.mark.parametrize("name", DOUBLES)
def test_networks_do_not_notice_that_redis_was_cut_off(
    tmp_path: Path,
    redis_server: RedisServer,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
    table: Table,
    name: str,
) -> None:
    """What people write meanwhile is answered afterwards: networks send again what nobody confirmed, or it is kept."""
    away_s = 20.0
    double = DOUBLES[name]()
    if isinstance(double, Slack):
        double.retry_after_s = (0.0, away_s, 5 * away_s)  # as Slack does for one of a minute
    wire = Wire(tmp_path / "wire.sock", Path(redis_server.url.removeprefix("unix://")))
    with surroundings(double, monkeypatch):
        monkeypatch.setenv("REDIS_URL", wire.url)
        forget_settings()
        worker = Worker(wire.url)
        worker.script = answer
        process = ChannelProcess(name, wire.url, tmp_path / "channel.log")
        said = [f"m-{number:03d}" for number in range(30)]
        try:
            let_in(double)
            eventually(lambda: process.sends)
            say(double, said[:10])
            eventually(lambda: len(Posts.of(double).whole) == 10, 60)
            with wire.swallowing():
                say(double, said[10:20])
                threading.Event().wait(away_s)
            began = time.monotonic()
            say(double, said[20:])
            eventually(lambda: Posts.of(double).whole.keys() & set(said[20:]), BACK_S)
            back_s = time.monotonic() - began
            with suppress(AssertionError):
                eventually(lambda: Posts.of(double).whole.keys() == set(said), 150)
        finally:
            process.stop()
            worker.close()
            wire.close()
    ledger = Posts.of(double)
    lost = len(set(said) - ledger.whole.keys())
    table.count(
        f"Redis is cut off from {name} for {away_s:.0f} s",
        messages=len(said),
        lost=lost,
        doubled=ledger.doubled,
        recovery_s=[back_s],
    )
    assert (lost, ledger.doubled) == (0, 0), ledger
    assert not double.violations, double.violations


def say(double: Double, texts: Sequence[str]) -> None:
    for number, text in enumerate(texts):
        double.say(text, user=f"person{number}")
