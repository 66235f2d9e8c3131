"""What is kept of a person: reading the history, and erasing every trace. Writing it is part of the commit."""

import redis

from core.dialogue import Turn
from core.store import keys
from core.store.connection import translated


class People:
    """Histories by person. Thread-safe."""

    def __init__(self, client: "redis.Redis") -> None:
        self._redis = client

    def history(self, person: str) -> list[Turn]:
        """Return all turns kept, oldest first."""
        with translated():
            return [Turn.model_validate_json(raw) for raw in self._redis.lrange(keys.history(person), 0, -1)]
