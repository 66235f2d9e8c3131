"""A worker whose models answer at once, and beside it the task that measures the floor.

Started by bench/pipeline.py as ``celery -A bench.instant_worker worker``. All but the models is the real worker.
"""

from collections.abc import Callable
from typing import Any

from celery.signals import worker_init, worker_shutdown

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


@worker_init.connect
def _start(**_: Any) -> None:
    store = Store(settings.redis_url(), settings.load(), WakeUps())
    _own["store"] = store
    _own["runtime"] = Runtime(settings.load(), store, instant_models(), "bench")


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
