"""Power is lost: every process ends at once, and of what Redis wrote only that is there which was on the disk.

``kill -9`` alone is milder: what a killed process has written is in the kernel's hands and gets to the disk. So the
end of the append-only file is cut off: as much as the setting ``appendfsync`` leaves to chance.
"""

import os
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.crash.driver import Town, at_once
from tests.crash.ledger import NUMBER
from tests.crash.report import Table
from tests.crash.short import every
from tests.waiting import eventually

NAMES = [f"person{number}" for number in range(8)]
# How long what was written may be away from the disk. always: nobody gets an answer before it is there. everysec, and
# the private Redis, which rapport/stack.py syncs as often: told to the disk once a second, and that takes a while. no:
# as long as the kernel likes, which on Linux is half a minute.
PRIVATE = "as the private Redis has it"
AT_RISK_S = {"always": 0.0, "everysec": 2.0, PRIVATE: 2.0, "no": 30.0}


class Growth:
    """How long the append-only file was at each moment."""

    def __init__(self, data: Path) -> None:
        self.file = max((data / "redis" / "appendonlydir").glob("*.incr.aof"))
        self._sizes = [(time.monotonic(), self.file.stat().st_size)]
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="growth")
        self._thread.start()

    def cut(self, at_risk_s: float) -> float:
        """Leave what was there so long ago; return when that was."""
        self._done.set()
        self._thread.join()
        until = time.monotonic() - at_risk_s
        at, size = max([known for known in self._sizes if known[0] <= until] or self._sizes[:1])
        if at_risk_s:
            os.truncate(self.file, size)
        return at if at_risk_s else until

    def _watch(self) -> None:
        while not self._done.wait(0.01):
            self._sizes.append((time.monotonic(), self.file.stat().st_size))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("fsync", every(AT_RISK_S, PRIVATE))
def test_power_is_lost(tmp_path: Path, table: Table, full: bool, fsync: str) -> None:
    """Whatever is older than what the setting leaves to chance is as if nothing had happened."""
    runs, at_risk_s = 5 if full else 1, AT_RISK_S[fsync]
    at_risk: set[str] = set()
    asked_again: set[str] = set()  # all at once, by people who were cut off: in any order
    again = 0
    with Town(tmp_path, workers=2) as town:
        for seed in range(runs):
            if fsync != PRIVATE:
                town.store.redis.config_set("appendfsync", fsync)
            growth = Growth(town.data)
            already = len(town.people.accepted)
            town.people.write(NAMES, messages=8, pause_s=0.5, seed=seed)
            eventually(lambda enough=already + 40: len(town.people.accepted) > enough, 40)
            at_once([town.kill_redis, town.web.kill, *(worker.kill for worker in town.workers)])
            safe_until = growth.cut(at_risk_s)
            cut, by_the_clock = time.monotonic(), datetime.now(UTC)
            at_risk |= _touched_since(town, safe_until) if at_risk_s else set()
            town.settle(120)
            asked_again |= _touched_since(town, safe_until) if at_risk_s else set()
            again += len(_answered_again(town, cut, by_the_clock))
            town.ready(120)
        ledger = town.ledger()
    table.add(f"power loss, appendfsync {fsync}", ledger, runs=runs)
    table.count(f"power loss, appendfsync {fsync}", runs=0, doubled=again)
    found = [*ledger.lost, *ledger.doubled, *ledger.wrong]
    unforeseen = [text for text in found if not at_risk & set(NUMBER.findall(text))]
    unforeseen += [text for text in ledger.reordered if not asked_again & set(NUMBER.findall(text))]
    assert not unforeseen, f"{unforeseen}\n{ledger}"
    assert at_risk_s or not again


def _touched_since(town: Town, moment: float) -> set[str]:
    """Return the numbers of the messages that were accepted or answered since then."""
    people = town.people
    accepted = {text for text, at in people.accepted.items() if at >= moment}
    heard = {text for text, replies in people.heard.items() for reply in replies if reply.at >= moment}
    return {number for text in accepted | heard for number in NUMBER.findall(text)}


def _answered_again(town: Town, cut: float, by_the_clock: datetime) -> list[str]:
    """Return the messages whose answer was heard before the cut, and that are answered once more after it."""
    anew = "\n".join(
        turn.text
        for name in NAMES
        for turn in town.store.people.history(f"web:api:{name}")
        if turn.role == "assistant" and turn.at > by_the_clock
    )
    return [
        text
        for text, replies in list(town.people.heard.items())
        if any(reply.at < cut for reply in replies) and set(NUMBER.findall(text)) & set(NUMBER.findall(anew))
    ]
