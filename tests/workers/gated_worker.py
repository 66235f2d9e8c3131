"""A real Celery worker whose model waits for a gate in Redis: ``celery -A tests.workers.gated_worker worker``.

Writes the last message to ``gate:started`` when a generation begins, and ends it once ``gate:open`` is there.
"""

import os
import threading
from collections.abc import Callable
from typing import Any

from celery.signals import worker_init, worker_shutdown

from core import settings
from core.dialogue import Prompt
from core.store import Store
from tests.workers.scripted import models
from workers.app import DRAIN, WakeUps, app
from workers.runtime import Runtime

app.conf.imports = ()
_runtime: list[Runtime] = []


@worker_init.connect
def _start(**_: Any) -> None:
    store = Store(settings.redis_url(), settings.load(), WakeUps())

    def script(prompt: Prompt, on_text: Callable[[str], None], cancelled: threading.Event) -> str:
        said = prompt.messages[-1].content
        store.redis.rpush("gate:started", said)
        while not store.redis.exists("gate:open") and not cancelled.wait(0.02):
            pass
        return f"reply to {said}"

    _runtime.append(Runtime(settings.load(), store, models(script), os.environ["RAPPORT_WORKER_ID"]))


@worker_shutdown.connect
def _stop(**_: Any) -> None:
    _runtime[0].close()


@app.task(name=DRAIN)
def drain(person: str) -> None:
    _runtime[0].drain(person)
