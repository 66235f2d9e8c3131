"""The real Celery worker, but for its models: ``celery -A tests.workers.gated_worker worker``.

Writes the last message to ``gate:started`` when a generation begins, and ends it once ``gate:open`` is there; a
message with "hang" in it never ends, one with "poison" fails. TEST_MODEL=broken gives a model that breaks on every
other message instead, TEST_MODEL=missing one that cannot be loaded, TEST_MODEL=slow one whose loading waits for
``gate:loaded``.
"""

import os
import threading
from collections.abc import Callable
from typing import Any

from core import settings
from core.dialogue import Prompt
from core.errors import EngineBroken, GenerationFailed
from core.store import Store
from tests.workers.scripted import models
from workers import models as real_models
from workers import tasks
from workers.app import WakeUps, app
from workers.runtime import Models

__all__ = ["app"]
KIND = os.environ.get("TEST_MODEL", "")


def load_models(conf: settings.Settings) -> Models:
    store = Store(settings.redis_url(), conf, WakeUps())

    def script(prompt: Prompt, on_text: Callable[[str], None], cancelled: threading.Event) -> str:
        said = prompt.messages[-1].content
        store.redis.rpush("gate:started", said)
        if "hang" in said:
            threading.Event().wait()
        if "poison" in said:
            raise GenerationFailed("the model is ill")
        if KIND == "broken":
            raise EngineBroken("the device is gone")
        while not store.redis.exists("gate:open") and not cancelled.wait(0.02):
            pass
        return f"reply to {said}"

    if KIND == "missing":
        raise RuntimeError("CUDA out of memory")
    while KIND == "slow" and not store.redis.exists("gate:loaded"):
        threading.Event().wait(0.02)
    return models(script)


replaceable: Any = real_models
replaceable.load_models = load_models
tasks.END_S = 3.0
