"""The real Celery worker, but for its models: ``celery -A tests.workers.named_worker worker`` replies with the name of
the chat model that its settings have it load."""

import threading
from collections.abc import Callable
from typing import Any

from core.dialogue import Prompt
from core.settings import Settings
from tests.workers.scripted import models
from workers import models as real_models
from workers.app import app
from workers.runtime import Models

__all__ = ["app"]


def load_models(conf: Settings) -> Models:
    def script(prompt: Prompt, on_text: Callable[[str], None], cancelled: threading.Event) -> str:
        return conf.generation.model

    return models(script)


replaceable: Any = real_models
replaceable.load_models = load_models
