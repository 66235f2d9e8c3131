"""How often what was decided for safety. Counted by the commit (lua/commit.lua); nothing here is about a person."""

from typing import cast

import redis

from core.store import keys
from core.store.connection import translated


class Counts:
    """The counters, over all persons and since the beginning. Thread-safe."""

    def __init__(self, client: "redis.Redis") -> None:
        self._redis = client

    def all(self) -> dict[str, int]:
        """Return the number of each decision that was ever made."""
        with translated():
            found = cast(dict[str, str], self._redis.hgetall(keys.COUNTS))
        return {decision: int(number) for decision, number in sorted(found.items())}
