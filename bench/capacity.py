"""What one message costs each process of the path, and one person Redis' memory: the figures behind docs/scaling.md.

    python -m bench.capacity [--messages 3000]

Processor time, so that other work on the machine hardly matters. A real worker whose models answer at once, a real
channel process and a Redis of their own; 64 people in a closed loop, with histories of 30 turns from the start.
"""

import argparse
import asyncio
import os
import resource
from datetime import UTC, datetime
from pathlib import Path

from bench import stack
from bench.pipeline import BenchAdapter
from channels.runner import Runner
from core import settings
from core.dialogue import Address, Sentiment, Turn
from core.store import Store, keys

PEOPLE = 64
TURNS = 30
TEXT = "I have been thinking about what you said yesterday, and it helped me a little, thank you."


def seconds_of(pid: int) -> float:
    """Return the processor time of a process so far."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def fill(store: Store) -> float:
    """Give each person a history; return the bytes of Redis for each."""
    redis = store.redis
    before = int(redis.info("memory")["used_memory"])
    mood = Sentiment.of({"negative": 0.2, "neutral": 0.3, "positive": 0.5})
    for number in range(PEOPLE):
        address = Address(channel="bench", space=str(number))
        for at in range(TURNS):
            role = "assistant" if at % 2 else "user"
            turn = Turn.model_validate(
                {"role": role, "text": TEXT, "at": datetime.now(UTC), "sentiment": mood, "address": address}
            )
            redis.rpush(keys.history(f"bench:-:{number}"), turn.model_dump_json(exclude_defaults=True))
    return (int(redis.info("memory")["used_memory"]) - before) / PEOPLE


async def measure(worker: int, messages: int) -> dict[str, float]:
    """Return milliseconds of processor time a message for each process, and bytes a person."""
    from workers.app import WakeUps

    store = Store(settings.redis_url(), settings.load(), WakeUps())
    adapter = BenchAdapter()
    runner = Runner(adapter, store, settings.load().inbox)
    running = asyncio.create_task(runner.run())
    await adapter.accept
    found = {"bytes a person": fill(store)}
    server = int(store.redis.info("server")["process_id"])

    async def talk(number: int, times: int) -> None:
        for _ in range(times):
            await adapter.once(number)

    async def all_talk(times: int) -> None:
        await asyncio.gather(*(talk(number, times) for number in range(PEOPLE)))

    def spent() -> dict[str, float]:
        own = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "redis": seconds_of(server),
            "worker": seconds_of(worker),
            "channel": own.ru_utime + own.ru_stime,
        }

    await all_talk(2)
    before, times = spent(), max(1, messages // PEOPLE)
    await all_talk(times)
    found |= {f"{name} ms": (now - before[name]) * 1000 / (times * PEOPLE) for name, now in spent().items()}
    runner.stop()
    await running
    store.close()
    return found


def main() -> None:
    """Start Redis and the worker, measure, report."""
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--messages", type=int, default=3000)
    options = args.parse_args()
    with stack.running() as worker:
        found = asyncio.run(measure(worker, options.messages))
    for name, value in found.items():
        print(f"{name:16}{value:10.2f}")


if __name__ == "__main__":
    main()
