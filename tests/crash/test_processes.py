"""Processes killed at random times, asked to end under load, standing still, and how soon all goes on."""

import os
import random
import time
from pathlib import Path

import pytest

from core.store import keys
from rapport.supervisor import STOP_S
from tests.crash.driver import Town, at_once, gone
from tests.crash.report import Table, percentile
from tests.crash.short import every
from tests.crash.wire import Point
from tests.waiting import eventually

NAMES = [f"person{number}" for number in range(8)]
GOAL_S = 10.0


@pytest.mark.timeout(900)
def test_killed_at_random_times(tmp_path: Path, table: Table, full: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """CRASH_SEED=number has who is killed, and after how many messages, drawn as in an earlier run."""
    seed = int(os.environ.get("CRASH_SEED", time.time_ns() % 1_000_000))
    with capsys.disabled():
        print(f"\nkills at random times: CRASH_SEED={seed}")
    dice = random.Random(seed)
    kills = 40 if full else 2
    with Town(tmp_path, workers=4 if full else 2) as town:
        town.people.write(NAMES, messages=1000, pause_s=0.4, seed=seed)
        for _ in range(kills):
            already = len(town.people.accepted)
            more = dice.randint(1, 12)
            eventually(lambda enough=already + more: len(town.people.accepted) >= enough, 60)
            kinds = [town.web.kill, town.kill_redis, *(worker.kill for worker in town.workers)]
            at_once(dice.sample(kinds, dice.choice((1, 1, 1, 2, 3))))
        town.people.stop_writing()
        town.settle(90)
        ledger = town.ledger()
        table.add("kill -9 at random times", ledger, runs=kills)
        assert ledger.clean, f"CRASH_SEED={seed}: {ledger}\n{town.tail()}"


@pytest.mark.timeout(300)
def test_asked_to_end_under_load_nothing_in_flight_is_lost(tmp_path: Path, table: Table, full: bool) -> None:
    with Town(tmp_path, workers=2, CRASH_GENERATION_S="1.0") as town:
        for _ in range(5 if full else 1):
            town.people.write(NAMES, messages=2, pause_s=0.1)
            eventually(lambda: any(town.holder(name) for name in NAMES))
            in_hands = [name for name in NAMES if town.holder(name)]
            workers = [worker.pid for worker in town.workers]
            took_s = town.stop()
            assert took_s < STOP_S, f"it took {took_s:.1f} s\n{town.tail()}"
            assert all(map(gone, workers))
            assert in_hands
            town.start()
            town.settle()
            table.count("SIGTERM of all under load (stopped within s)", runs=1, recovery_s=[took_s])
        ledger = town.check()
        table.add("SIGTERM of all under load (stopped within s)", ledger, runs=0)


@pytest.mark.timeout(300)
def test_a_worker_that_stood_still_beyond_its_lease_writes_nothing(tmp_path: Path, table: Table, full: bool) -> None:
    with Town(tmp_path, workers=2, wired=True) as town:
        for number in range(5 if full else 1):
            hold = town.wire.stop_at(Point("written, not committed", "commit", "before"))
            text = town.people.say("sleeper")
            eventually(hold.reached.is_set, 60)
            sleeping = town.worker_of(hold.pid)
            assert sleeping
            town.people.write(NAMES, messages=3, pause_s=0.2, seed=number)
            with sleeping.frozen():
                # Its commit is on the wire, its lease runs out, another one answers and goes on with this person.
                eventually(lambda text=text: town.people.answered(text), 60)
                kept = town.store.redis.lrange(keys.history("web:api:sleeper"), 0, -1)
            town.wire.let_go(hold)
            town.people.say("sleeper")
            town.settle()
            assert town.store.redis.lrange(keys.history("web:api:sleeper"), 0, -1)[: len(kept)] == kept
        assert "the lease on web:api:sleeper was lost" in town.log.read_text()
        table.add("SIGSTOP of a worker beyond its lease", town.check(), runs=5 if full else 1)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("supervised", every([True, False], True), ids=["supervised", "alone"])
def test_how_soon_what_a_dead_worker_held_is_answered(
    tmp_path: Path, table: Table, full: bool, supervised: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the kill to the answer of the message in its hands, which takes a second to be written; with the lease of
    production. Alone: nobody breaks the lease, as where a whole machine is gone."""
    recovery_s: list[float] = []
    kills = 25 if full else 1
    settings = {"CRASH_GENERATION_S": "1.0", "RAPPORT_INBOX__LEASE_S": "5"}
    with Town(tmp_path, workers=3, supervised=supervised, **settings) as town:
        for number in range(kills):
            town.people.write(NAMES, messages=2, pause_s=0.5, seed=number)
            text = town.people.say("waiting")
            holder = eventually(lambda: town.holder("waiting"))
            killed_at = time.monotonic()
            holder.kill()
            eventually(lambda text=text: town.people.answered(text), 60)
            recovery_s.append(town.people.heard[text][0].at - killed_at)
            town.settle()
            town.ready(120)
        ledger = town.check()
    whose = "the supervisor breaks its leases" if supervised else "its leases run out"
    table.add(f"kill -9 of a worker in mid-answer, {whose}", ledger, runs=kills, recovery_s=recovery_s)
    with capsys.disabled():
        p50, p95 = percentile(recovery_s, 50), percentile(recovery_s, 95)
        print(f"\nrecovery, {whose}: {kills} kills, p50 {p50:.1f} s, p95 {p95:.1f} s, worst {max(recovery_s):.1f} s")
    assert p95 < GOAL_S
