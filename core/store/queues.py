"""Celery's queues, one a model, and which one wakes a worker for a person."""

from core.settings import Settings
from core.store import keys


class Queues:
    """Knows all queues that the settings have: that of [generation] first."""

    def __init__(self, settings: Settings) -> None:
        self._model_for = settings.model_for
        self.all = tuple(keys.queue(name) for name in ("", *settings.models))

    def of(self, person: str) -> str:
        """Return the queue for a person's wake-ups. It follows from the person's key: the same wherever one is sent."""
        return keys.queue(self._model_for(person))
