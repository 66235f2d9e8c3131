"""What a machine can be short of: memory for the model or for Redis, room on its disk, a clock that can be trusted."""

import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest
import redis

from rapport import status
from rapport.stack import find_server
from tests.crash.driver import Process, Town
from tests.crash.report import Table
from tests.crash.short import every
from tests.waiting import eventually

NAMES = [f"person{number}" for number in range(8)]
HOUR_S = 3600
BACK_S = 30.0
# At the limit of a file's size Redis does what it does on a full disk: it says MISCONF until it can write again. The
# signal that comes with that limit alone must not end it.
UNMOVED = "#!/bin/sh\ntrap '' XFSZ\nexec '{}' \"$@\"\n"


@contextmanager
def full_disk(town: Town) -> Iterator[None]:
    pid = town.private.pid
    assert pid
    log = max((town.data / "redis" / "appendonlydir").glob("*.incr.aof"))
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (log.stat().st_size, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


@contextmanager
def full_memory(town: Town) -> Iterator[None]:
    town.store.redis.config_set("maxmemory", 1)
    try:
        yield
    finally:
        town.store.redis.config_set("maxmemory", 0)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("what", every([full_disk, full_memory], full_disk))
def test_redis_has_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: Table, full: bool, what: type
) -> None:
    """What was accepted is answered in the end; what is not accepted is refused in words, and can be said again."""
    server = tmp_path / "redis-server"
    server.write_text(UNMOVED.format(find_server()[0]))
    server.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    runs = 5 if full else 1
    back_s: list[float] = []
    with Town(tmp_path, workers=2, CRASH_GENERATION_S="0.5", PATH=path) as town:
        processes = [town.private.pid, town.web.pid, *(worker.pid for worker in town.workers)]
        for seed in range(runs):
            town.people.write(NAMES, messages=4 if full else 2, pause_s=0.3, seed=seed)
            eventually(lambda: any(town.holder(name) for name in NAMES))
            with what(town):
                eventually(lambda: not takes(town))
                refused = httpx.post(f"{town.url}/chat", json={"user": "eve", "message": "hello?"})
                assert refused.status_code == 503
                assert refused.json()["error"]["code"] == "unavailable"
                assert int(refused.headers["Retry-After"])
                assert ("MISCONF" if what is full_disk else "of its memory") in " ".join(status.examine().why)
                already = town.log.read_text().count("cannot be stored now")
                if full:  # long enough for leases to run out
                    eventually(lambda n=already: town.log.read_text().count("cannot be stored now") > n + 500, 60)
            began = time.monotonic()
            text = town.people.say("afterwards")
            eventually(lambda text=text: town.people.answered(text), 60)
            back_s.append(time.monotonic() - began)
            town.settle()
        assert [town.private.pid, town.web.pid, *(worker.pid for worker in town.workers)] == processes
        ledger = town.check()
        assert not ledger.failed
        told = "the disk of Redis is full" if what is full_disk else "Redis is at its maxmemory"
        table.add(told, ledger, runs=runs, recovery_s=back_s)
    assert max(back_s) < BACK_S


def takes(town: Town) -> bool:
    """Tell whether Redis takes anything new."""
    with suppress(redis.ResponseError):
        return bool(town.store.redis.set("crash:room", "x" * 100))
    return False


@pytest.mark.timeout(300)
def test_a_clock_that_jumps(tmp_path: Path, table: Table, full: bool) -> None:
    """That of one worker, or of the channel, by an hour to and fro: leases and order go by no process' clock."""
    here = Path(__file__).parent / "clock"
    settings = {"PYTHONPATH": str(here), "CRASH_CLOCKS": str(tmp_path), "CRASH_GENERATION_S": "0.5"}
    with Town(tmp_path, workers=2, **settings) as town:
        processes = [town.web.pid, *(worker.pid for worker in town.workers)]
        worker, web = town.workers[0], town.web
        jumps = [(worker, HOUR_S), (worker, -HOUR_S), (worker, 0), (web, HOUR_S), (web, -HOUR_S), (web, 0)] * 3
        jumps = jumps if full else [(worker, HOUR_S), (worker, 0), (web, -HOUR_S)]
        for number, (process, off_s) in enumerate(jumps):
            town.people.write(NAMES, messages=3 if full else 1, pause_s=0.3, seed=number)
            eventually(lambda: any(town.holder(name) for name in NAMES))
            set_clock(process, off_s, tmp_path)
            if full:
                town.settle()
        town.settle()
        assert [town.web.pid, *(worker.pid for worker in town.workers)] == processes
        assert "was lost" not in town.log.read_text()
        ledger = town.check()
        assert not ledger.failed
        table.add("a clock that jumps by an hour", ledger, runs=len(jumps))


def set_clock(process: Process, off_s: int, folder: Path) -> None:
    """Have the clock of a running process jump, and see that it did."""
    new = folder / "new"
    new.write_text(str(off_s))
    new.replace(folder / process.id)
    read = folder / f"{process.id}.read"

    def jumped() -> bool:
        wanted, _, reads = read.read_text().partition(" ") if read.exists() else ("", "", "")
        return wanted == str(off_s) and bool(reads) and abs(float(reads) - time.time() - off_s) < 60

    eventually(jumped)


@pytest.mark.timeout(600)
@pytest.mark.full
def test_the_engine_runs_out_of_memory_under_load(tmp_path: Path, table: Table) -> None:
    """With the starter models. As long as anything fits its worker lives; if nothing does, another one is started."""
    memory = tmp_path / "memory"
    settings = {"CRASH_MEMORY": str(memory), "RAPPORT_INBOX__RETRY_S": "0.5"}
    with Town(tmp_path, workers=1, app="tests.crash.starved_worker", **settings) as town:
        worker = town.workers[0].pid
        for rows in ("2", "0"):
            town.people.write(NAMES, messages=3, pause_s=0.3, seed=int(rows))
            eventually(lambda: sum(bool(town.holder(name)) for name in NAMES) > 3)
            sign = "out of memory with" if rows != "0" else "the chat engine is broken"
            already = town.log.read_text().count(sign)
            memory.write_text(rows)
            eventually(lambda n=already, sign=sign: town.log.read_text().count(sign) > n, 60)
            memory.unlink()
            town.settle(180)
            assert (town.workers[0].pid == worker) == (rows != "0")
        ledger = town.ledger()
        # What the starter model says is not what the scripted one would.
        wrong = [what for what in ledger.wrong if "has the reply" not in what]
        assert [*ledger.failed, *ledger.lost, *ledger.doubled, *ledger.reordered, *wrong] == [], town.tail()
        table.add("the engine runs out of memory", ledger, runs=2)
