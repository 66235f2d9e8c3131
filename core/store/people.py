"""What is kept of a person outside the inbox: reading the history, dropping dead letters. Writing is the commit's."""

import json
from typing import cast

import redis

from core.dialogue import Turn
from core.store import keys
from core.store.connection import translated
from core.store.inbox import read_turn


class People:
    """Histories by person. Thread-safe."""

    def __init__(self, client: "redis.Redis") -> None:
        self._redis = client

    def history(self, person: str) -> list[Turn]:
        """Return all turns kept, oldest first."""
        with translated():
            raws = cast(list[str], self._redis.lrange(keys.history(person), 0, -1))
        return [turn for turn in map(read_turn, raws) if turn]

    def drop_letters(self, person: str) -> int:
        """Erase the dead letters that were meant for this person, on all channels; return how many."""
        dropped = 0
        with translated():
            for key in self._redis.scan_iter(match=keys.dead("*"), count=1000):
                for letter in cast(list[str], self._redis.lrange(key, 0, -1)):
                    if json.loads(letter).get("person") == person:
                        dropped += self._redis.lrem(key, 1, letter)
        return dropped
