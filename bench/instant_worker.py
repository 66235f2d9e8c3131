"""Workers for measuring: models that answer at once, or the shipped ones; all but the models is the real worker.

Started as ``celery -A bench.instant_worker worker`` by bench/pipeline.py, for which there is also the task that
measures the floor, and by bench/load.py. With ``BENCH_MODELS=shipped`` the models are those of the settings. Replies
repeat what their messages are marked with (bench/marks.py).
"""

import os
from collections.abc import Callable
from typing import Any

from celery.signals import worker_init, worker_shutdown

from bench.marks import marked
from core import settings
from core.dialogue import Completion, Prompt, Reading, Sentiment
from core.store import Store
from workers.app import DRAIN, WakeUps, app
from workers.runtime import Models, Runtime

app.conf.imports = ()
FLOOR = "bench.floor"
FLOOR_STREAM = "bench:floor"
NEUTRAL = Reading(sentiment=Sentiment.of({"negative": 0.1, "neutral": 0.8, "positive": 0.1}), embedding=())
_own: dict[str, Any] = {}


class _Ready:
    """A generation that is done before it began."""

    def result(self, timeout_s: float | None = None) -> Completion:
        return Completion(text="ok", finish_reason="stop", prompt_tokens=1, completion_tokens=1)

    def cancel(self) -> None:
        pass


def _submit(prompt: Prompt, on_text: Callable[[str], None], person: str) -> _Ready:
    return _Ready()


def instant_models() -> Models:
    """Return models that cost nothing."""
    return Models(
        read_mood=lambda text: NEUTRAL,
        submit=_submit,
        count_tokens=lambda messages, tone: 1,
        budget=1000,
        close=lambda: None,
        names={"chat_model": "instant", "encoder": "instant"},
    )


def _models() -> Models:
    if os.environ.get("BENCH_MODELS") == "shipped":
        from workers.models import load_models

        return load_models(settings.load())
    return instant_models()


@worker_init.connect
def _start(**_: Any) -> None:
    store = Store(settings.redis_url(), settings.load(), WakeUps())
    _own["store"] = store
    _own["runtime"] = Runtime(settings.load(), store, marked(_models()), "bench")


@worker_shutdown.connect
def _stop(**_: Any) -> None:
    _own["runtime"].close()


@app.task(name=DRAIN)
def drain(person: str) -> None:
    """Answer what waits, as the real worker does."""
    _own["runtime"].drain(person)


@app.task(name=FLOOR)
def floor(number: str) -> None:
    """Do nothing but pass the number on."""
    _own["store"].redis.xadd(FLOOR_STREAM, {"number": number})
