"""How fast a channel may send: one budget for all of its processes. How fast its network allows is not known here."""

from collections.abc import Sequence
from dataclasses import dataclass

import redis

from core.store import keys
from core.store.connection import script


@dataclass(frozen=True)
class Bucket:
    """A limit: so many sends a second, and up to ``burst`` at once after a pause."""

    name: str
    per_s: float
    burst: float = 1

    @property
    def interval_ms(self) -> float:
        """The pause between sends in the long run."""
        return 1000 / self.per_s


class Pace:
    """The buckets of one channel. Thread-safe."""

    def __init__(self, client: "redis.Redis", channel: str) -> None:
        self._channel = channel
        self._take = script(client, "pace")
        self._hold = script(client, "hold")

    def take(self, buckets: Sequence[Bucket], *, spare: int = 0) -> float:
        """Take one send from each bucket; return 0, or take nothing and return the seconds to wait.

        With ``spare``, so many sends of a bucket's burst are left for others, where it has that many.
        """
        if not buckets:
            return 0
        limits = [number for bucket in buckets for number in (bucket.interval_ms, bucket.burst)]
        return float(self._take([keys.pace(self._channel, one.name) for one in buckets], [spare, *limits])) / 1000

    def hold(self, bucket: Bucket, seconds: float) -> None:
        """Let nothing be taken from this bucket for so long."""
        self._hold([keys.pace(self._channel, bucket.name)], [bucket.interval_ms, bucket.burst, seconds * 1000])
