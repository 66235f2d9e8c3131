"""How long a message takes through the whole path, with a model that answers at once.

    python -m bench.pipeline [--seconds 8] [--rounds 3] [--model]

Measured from the call of accept to the call of the adapter's send, for 1 and 32 people in a closed loop (each
sends the next message when the reply is there). Beside it the floor in the same run and the same worker process:
a Celery task that does nothing but add to a Redis Stream, read by a consumer group. The rounds alternate.
"""

import argparse
import asyncio
import json
import statistics
import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path

from bench import stack
from channels.base import Accept
from channels.runner import Runner
from core import settings
from core.events import Address, Draft, Heard, MessageEvent, Reply
from core.store import Store

PEOPLE = (1, 32)
WARM_UP_S = 1.0
Once = Callable[[int], Awaitable[float]]


class BenchAdapter:
    """Notes when a reply would be sent."""

    name = "bench"
    via = None
    text_limit = 1000
    sign_s = 0.0

    def __init__(self) -> None:
        self.accept: asyncio.Future[Accept] = asyncio.get_running_loop().create_future()
        self._waiting: dict[str, asyncio.Future[float]] = {}

    async def run(self, accept: Accept) -> None:
        self.accept.set_result(accept)
        await asyncio.Event().wait()

    async def send(self, reply: Reply) -> None:
        for event_id in reply.in_reply_to:
            self._waiting.pop(event_id).set_result(time.perf_counter())

    async def working(self, heard: Heard) -> None:
        pass

    async def draft(self, draft: Draft) -> bool:
        return False

    async def close(self) -> None:
        pass

    async def once(self, person: int, text: str = "hello") -> float:
        """Send one message; return the seconds until its reply."""
        user = str(person)
        event = MessageEvent(id=uuid.uuid4().hex, address=Address(channel=self.name, space=user), user=user, text=text)
        answered = asyncio.get_running_loop().create_future()
        self._waiting[event.id] = answered
        began = time.perf_counter()
        await (await self.accept)(event)
        return await answered - began


class Floor:
    """Celery no-op and Redis Stream, with nothing of ours between."""

    def __init__(self, store: Store) -> None:
        from bench.instant_worker import FLOOR, FLOOR_STREAM
        from workers.app import app

        self._app, self._task, self._stream = app, FLOOR, FLOOR_STREAM
        self._redis = store.redis
        self._waiting: dict[str, asyncio.Future[float]] = {}
        self._redis.xgroup_create(self._stream, "bench", id="0", mkstream=True)

    async def read(self) -> None:
        """Read the stream for ever."""
        while True:
            found = await asyncio.to_thread(
                self._redis.xreadgroup, "bench", "one", {self._stream: ">"}, count=100, block=500
            )
            for _, entries in found or []:
                for entry, fields in entries:
                    self._waiting.pop(fields["number"]).set_result(time.perf_counter())
                    await asyncio.to_thread(self._redis.xack, self._stream, "bench", entry)

    async def once(self, person: int) -> float:
        """Send one task; return the seconds until its entry arrives."""
        number = uuid.uuid4().hex
        answered = asyncio.get_running_loop().create_future()
        self._waiting[number] = answered
        began = time.perf_counter()
        await asyncio.to_thread(self._app.send_task, self._task, args=[number])
        return await answered - began


async def closed_loop(once: Once, people: int, seconds: float) -> list[float]:
    """Return the latencies in milliseconds after the warm-up."""
    end = time.perf_counter() + WARM_UP_S + seconds
    measure_from = time.perf_counter() + WARM_UP_S
    taken: list[float] = []

    async def person(number: int) -> None:
        while time.perf_counter() < end:
            counts = time.perf_counter() >= measure_from
            latency = await once(number)
            if counts:
                taken.append(latency * 1000)

    await asyncio.gather(*(person(number) for number in range(people)))
    return taken


def figures(latencies: list[float], seconds: float) -> dict[str, float]:
    """Return percentiles in milliseconds and messages a second."""
    cuts = statistics.quantiles(latencies, n=100, method="inclusive")
    return {"p50": cuts[49], "p95": cuts[94], "p99": cuts[98], "per_s": len(latencies) / seconds}


async def measure(seconds: float, rounds: int) -> dict[str, dict[str, float]]:
    """Return figures for ``path/PEOPLE`` and ``floor/PEOPLE``; each is the median over the rounds."""
    from workers.app import WakeUps

    store = Store(settings.redis_url(), settings.load(), WakeUps())
    adapter = BenchAdapter()
    runner = Runner(adapter, store, settings.load().inbox)
    running = asyncio.create_task(runner.run())
    await adapter.accept
    floor = Floor(store)
    reading = asyncio.create_task(floor.read())
    measured: dict[str, list[dict[str, float]]] = {}
    for number in range(rounds):
        for people in PEOPLE:
            for name, once in (("floor", floor.once), ("path", adapter.once)):
                found = figures(await closed_loop(once, people, seconds), seconds)
                measured.setdefault(f"{name}/{people}", []).append(found)
                print(f"  round {number + 1}/{rounds}: {name}, {people} people: p50 {found['p50']:.2f} ms", flush=True)
    reading.cancel()
    runner.stop()
    await running
    store.close()
    return {
        name: {key: statistics.median(one[key] for one in many) for key in many[0]} for name, many in measured.items()
    }


def report(results: dict[str, dict[str, float]]) -> None:
    """Print the table and the ratios."""
    print(f"\n{'':22}{'p50 ms':>9}{'p95 ms':>9}{'p99 ms':>9}{'messages/s':>12}")
    for people in PEOPLE:
        for name in ("floor", "path"):
            row = results[f"{name}/{people}"]
            cells = "".join(f"{row[key]:9.2f}" for key in ("p50", "p95", "p99"))
            print(f"{name + ', ' + str(people) + ' people':22}{cells}{row['per_s']:12.0f}")
        ratio = results[f"path/{people}"]["p50"] / results[f"floor/{people}"]["p50"]
        print(f"{'':22}p50 of the path is {ratio:.2f} times the floor")


def main() -> None:
    """Start Redis and the worker, measure, report."""
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--seconds", type=float, default=8, help="of one measurement")
    args.add_argument("--rounds", type=int, default=3)
    args.add_argument("--model", action="store_true", help="what the path costs beside a real model, instead")
    args.add_argument("--json", type=Path, help="write the figures there, too")
    options = args.parse_args()

    if options.model:
        from bench import engine_share

        engine_share.main(options.rounds)
        return
    with stack.running():
        results = asyncio.run(measure(options.seconds, options.rounds))
    report(results)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
