"""``kill -9`` at twelve points of a message's path, of each kind of process alone and together, while people write."""

import itertools
import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from tests.crash.driver import Town, at_once
from tests.crash.report import Table
from tests.crash.wire import Hold, Point
from tests.waiting import eventually

POINTS = (
    Point("before it is accepted", "accept", "before"),
    Point("accepted, the caller not told", "accept", "after"),
    Point("woken, not claimed", "claim", "before"),
    Point("claimed, the worker not told", "claim", "after"),
    Point("claimed, the mood being read", "mood", "before"),
    Point("mood read, nothing written", "begun", "before"),
    Point("in mid generation", "half", "before"),
    Point("written, not committed", "commit", "before"),
    Point("committed, the worker not told", "commit", "after"),
    Point("committed, not read by the channel", "read", "before"),
    Point("read, not sent", "read", "after"),
    Point("sent, not acknowledged", "settle", "before"),
    Point("acknowledged, the channel not told", "settle", "after"),
)
VICTIMS = (("worker",), ("web",), ("redis",), ("worker", "web"), ("worker", "redis"), ("worker", "web", "redis"))
# In the short form, which every change must pass: each part of the path, each kind of process, and all together.
SHORT = {
    ("accepted, the caller not told", "web"),
    ("in mid generation", "worker"),
    ("written, not committed", "worker+redis"),
    ("sent, not acknowledged", "worker+web+redis"),
}
NAMES = [f"person{number}" for number in range(6)]


@pytest.mark.timeout(3000)
def test_killed_at_every_point_of_the_path(tmp_path: Path, table: Table, full: bool) -> None:
    killed: list[str] = []
    with Town(tmp_path, workers=3 if full else 2, wired=True) as town:
        for point, victims in itertools.product(POINTS, VICTIMS):
            together = "+".join(victims)
            if not full and (point.name, together) not in SHORT:
                continue
            before = town.ledger()
            kill_at(point, victims, town)
            killed.append(f"{together} when {point.name}")
            town.settle(120)
            ledger = town.ledger()
            table.count(
                f"kill -9 of {' + '.join(victims)} at {len(POINTS) if full else len(SHORT)} points",
                messages=ledger.messages - before.messages,
                failed=len(ledger.failed) - len(before.failed),
                lost=len(ledger.lost) - len(before.lost),
                doubled=len(ledger.doubled) - len(before.doubled),
                reordered=len(ledger.reordered) - len(before.reordered),
            )
            assert ledger.clean, f"{killed[-1]}: {ledger}\n{town.tail()}"
            if full:  # alone means that all others live
                town.ready(120)
        assert len(killed) == (len(POINTS) * len(VICTIMS) if full else len(SHORT))
        assert not town.check().failed


def kill_at(point: Point, victims: Sequence[str], town: Town) -> None:
    """Have people write, and kill when one of their messages comes to the point."""
    hold = town.wire.stop_at(point)
    if point.command == "read" and point.when == "before":
        eventually(hold.reached.is_set, 60)  # from now on nobody reads, so what is committed stays unread
    town.people.write(NAMES, messages=3, pause_s=0.1, seed=time.monotonic_ns())
    eventually(hold.reached.is_set, 60)
    if point.command == "read" and point.when == "before":
        eventually(lambda: town.store.redis.xlen("rapport:outbox:web"), 60)
    try:
        at_once([lambda victim=victim: kill(victim, hold, town) for victim in victims])
    finally:
        town.wire.let_go(hold)


def kill(victim: str, hold: Hold, town: Town) -> None:
    """Kill who came to the point if it is of this kind, else another one."""
    if victim == "redis":
        town.kill_redis()
    elif victim == "web":
        town.web.kill()
    else:
        worker = town.worker_of(hold.pid)
        with suppress(ProcessLookupError):
            os.kill(worker.pid if worker else town.workers[0].pid, signal.SIGKILL)
