"""What the path costs beside real models: replies a second through everything, to those of the models alone.

Begun by ``python -m bench.pipeline --model``. 64 people in a closed loop, twice as many as are written to at once, and
each message from somebody new. The starter encoder reads it and the starter model writes 48 tokens; no reply ends
early, so each is the same work. The models alone get the same messages from threads: no Celery, Redis, tone, history
or drafts. The rounds alternate; while one is measured the other has nothing to do.
"""

import asyncio
import itertools
import os
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the worker does, before torch

from bench import stack
from bench.contenders import PLAIN
from bench.generate import WORDS, make_model
from bench.pipeline import BenchAdapter
from channels.runner import Runner
from core import settings
from core.prompt import build_prompt
from core.store import Store
from workers.app import WakeUps
from workers.engine.chat import ChatEngine
from workers.engine.encoder import Encoder

PEOPLE = 64
TOKENS = 48
ROWS = 32
MESSAGES = 3 * PEOPLE  # a round
_numbers = itertools.count()


def text_of(number: int) -> str:
    """Return what is said; the same for the same number."""
    rng = random.Random(number)
    return " ".join(rng.choice(WORDS) for _ in range(rng.randint(20, 60)))


class Bare:
    """Encoder and chat engine, fed by as many threads as there are people."""

    def __init__(self) -> None:
        self._settings = settings.load()
        self._encoder = Encoder.load(self._settings.sentiment)
        self._engine = ChatEngine.load(self._settings.generation)
        self._threads = ThreadPoolExecutor(PEOPLE)

    async def once(self, number: int) -> None:
        """Have one message answered."""
        await asyncio.get_running_loop().run_in_executor(self._threads, self._answer, text_of(number))

    def _answer(self, text: str) -> None:
        engine = self._engine
        self._encoder.read([text])
        prompt = build_prompt(
            persona=self._settings.bot.persona,
            tone=PLAIN,
            turns=(),
            text=text,
            count_tokens=engine.count_tokens,
            budget=engine.prompt_tokens,
        )
        done = engine.submit(prompt, lambda text: None).result(600)
        if done.completion_tokens != TOKENS:
            raise RuntimeError(f"a reply has {done.completion_tokens} tokens")

    def close(self) -> None:
        """Free the models."""
        self._engine.close()
        self._encoder.close()


async def replies_per_s(once: Callable[[int], Awaitable[object]]) -> float:
    """Have a round answered; return the speed."""
    left = [next(_numbers) for _ in range(MESSAGES)]
    began = time.perf_counter()

    async def person() -> None:
        while left:
            await once(left.pop())

    await asyncio.gather(*(person() for _ in range(PEOPLE)))
    return MESSAGES / (time.perf_counter() - began)


async def measure(rounds: int) -> None:
    """Print each round's figures and their ratio."""
    store = Store(settings.redis_url(), settings.load(), WakeUps())
    adapter = BenchAdapter()
    runner = Runner(adapter, store, settings.load().inbox)
    running = asyncio.create_task(runner.run())
    await adapter.accept
    bare = Bare()

    async def through_all(number: int) -> None:
        await adapter.once(number, text_of(number))

    await replies_per_s(through_all)  # the worker may still be loading
    await replies_per_s(bare.once)
    print("\n| round | models alone, replies/s | whole path, replies/s | path to models |\n| --- | --- | --- | --- |")
    ratios = []
    for number in range(rounds):
        alone, whole = await replies_per_s(bare.once), await replies_per_s(through_all)
        ratios.append(whole / alone)
        print(f"| {number + 1} | {alone:.2f} | {whole:.2f} | {ratios[-1]:.3f} |", flush=True)
    print(f"\nThe path costs {100 * (1 - statistics.median(ratios)):.1f} % of the models' throughput (median).")
    runner.stop()
    await running
    bare.close()
    store.close()


def main(rounds: int) -> None:
    """Start Redis and a real worker, measure, report."""
    with tempfile.TemporaryDirectory() as folder:
        generation = {
            "MODEL": make_model("starter", Path(folder)),
            "MAX_NEW_TOKENS": TOKENS,
            "TEMPERATURE": 0,
            "REPETITION_PENALTY": 1,
            "BATCH": ROWS,
        }
        os.environ |= {f"RAPPORT_GENERATION__{key}": str(value) for key, value in generation.items()}
        os.environ |= {"RAPPORT_WORKER__THREADS": str(PEOPLE), "RAPPORT_SAFETY__CHECK_REPLIES": "false"}
        with stack.running(stack.REAL):
            asyncio.run(measure(rounds))
