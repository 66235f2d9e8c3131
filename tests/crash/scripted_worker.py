"""The real Celery worker, but for its models: ``celery -A tests.crash.scripted_worker worker``.

The chat model repeats what was said, written step by step over ``CRASH_GENERATION_S``. Words in a message make it
behave badly: "slow" takes ten times as long, "fail" fails, "flaky" fails the first time, "hang" never ends (the first
time), "die" ends the process each time. Marks on the wire (wire.py) say how far it is: mood, begun, half, written.
"""

import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import redis

from core import settings
from core.dialogue import Prompt, Reading
from core.errors import GenerationFailed
from core.store import Store
from tests.crash.ledger import reply_to
from tests.crash.wire import MARK
from tests.workers.scripted import NEUTRAL, models
from workers import models as real_models
from workers import runtime, tasks
from workers.app import WakeUps, app
from workers.runtime import Models

__all__ = ["app"]
STEPS = 4


def load_models(conf: settings.Settings) -> Models:
    store = Store(settings.redis_url(), conf, WakeUps())
    long_s = float(os.environ.get("CRASH_GENERATION_S", "0.2"))

    def mark(name: str) -> None:
        with suppress(redis.RedisError):
            store.redis.publish(MARK, name)

    def first_time(said: str) -> bool:
        return store.redis.incr(f"crash:tries:{said}") == 1

    def read_mood(text: str) -> Reading:
        mark("mood")
        return NEUTRAL

    def script(prompt: Prompt, on_text: Callable[[str], None], cancelled: threading.Event) -> str:
        said = prompt.messages[-1].content
        whole, words = reply_to(said), said.split()
        mark("begun")
        if "die" in words:
            os.kill(os.getpid(), signal.SIGKILL)
        if "fail" in words or ("flaky" in words and first_time(said)):
            raise GenerationFailed("the model is ill")
        if "hang" in words and first_time(said):
            threading.Event().wait()
        for step in range(1, STEPS + 1):
            cancelled.wait(long_s / STEPS * (10 if "slow" in words else 1))
            on_text(whole[: len(whole) * step // STEPS])
            if step == STEPS // 2:
                mark("half")
        mark("written")
        return whole

    made = models(script)
    made.read_mood = read_mood
    return made


replaceable: Any = real_models
replaceable.load_models = load_models
tasks.END_S = 3.0
runtime.HANG_GRACE_S = 1.0
