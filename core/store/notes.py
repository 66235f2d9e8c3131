"""What an adapter must remember beyond its process, in words of its own network. No text of people belongs here."""

import redis

from core.store import keys
from core.store.connection import translated


class Notes:
    """Short notes of one channel: by name, each with a life of its own; and marks by place. Thread-safe."""

    def __init__(self, client: "redis.Redis", channel: str) -> None:
        self._redis = client
        self._channel = channel

    def put(self, name: str, value: str, ttl_s: float) -> None:
        """Write a note, over an earlier one of this name."""
        with translated():
            self._redis.set(keys.note(self._channel, name), value, px=int(ttl_s * 1000))

    def add(self, name: str, value: str, ttl_s: float) -> bool:
        """Write a note unless there is one of this name; return whether it was written."""
        with translated():
            return bool(self._redis.set(keys.note(self._channel, name), value, px=int(ttl_s * 1000), nx=True))

    def get(self, name: str) -> str | None:
        """Read a note."""
        with translated():
            found = self._redis.get(keys.note(self._channel, name))
        return found if isinstance(found, str) else None

    def drop(self, name: str) -> None:
        """Throw a note away."""
        with translated():
            self._redis.delete(keys.note(self._channel, name))

    def mark(self, place: str, value: str) -> None:
        """Remember the last message that was seen at a place, for the time after a downtime."""
        with translated():
            self._redis.hset(keys.marks(self._channel), place, value)

    def unmark(self, place: str) -> None:
        """Forget a place: the bot is not there any more."""
        with translated():
            self._redis.hdel(keys.marks(self._channel), place)

    def marks(self) -> dict[str, str]:
        """Return all marks, by place."""
        with translated():
            return {str(place): str(value) for place, value in self._redis.hgetall(keys.marks(self._channel)).items()}
