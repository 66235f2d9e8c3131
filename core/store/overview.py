"""How things stand, read for people and monitoring (``rapport status``): nothing here changes anything."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import redis

from core.events import event_of
from core.store import keys
from core.store.connection import translated
from core.store.outbox import ProcessSign

AT_ONCE = 500  # inboxes looked at in one round trip


@dataclass(frozen=True)
class ServerState:
    """The Redis itself. ``limit`` in bytes; 0: none."""

    version: str
    used: int
    limit: int


@dataclass(frozen=True)
class ChannelState:
    """One channel: its living processes, those of them that send, and what waits to be sent.

    ``outbox`` counts the replies that are there, ``oldest_s`` says how long the oldest has been (None: there is none).
    """

    processes: tuple[ProcessSign, ...]
    senders: tuple[str, ...]
    outbox: int
    oldest_s: float | None


@dataclass(frozen=True)
class QueueState:
    """What waits for an answer.

    ``people`` with ``messages``, of which ``leases`` are being answered and ``stranded`` held by workers that give no
    sign of life; ``wake_ups`` in Celery's queues; ``oldest_s``: since the oldest of the messages was written.
    """

    people: int
    messages: int
    wake_ups: int
    leases: int
    stranded: int
    oldest_s: float | None


class Overview:
    """Reads the state of everything. Thread-safe."""

    def __init__(self, client: "redis.Redis", queues: Sequence[str]) -> None:
        self._redis = client
        self._queues = queues

    def server(self) -> ServerState:
        """Return how the Redis is."""
        with translated():
            info = self._redis.info()
        version = str(info.get("valkey_version") or info["redis_version"])
        return ServerState(version, int(info["used_memory"]), int(info.get("maxmemory", 0)))

    def channel(self, name: str) -> ChannelState:
        """Return how a channel is."""
        now_ms = datetime.now(UTC).timestamp() * 1000
        with translated():
            signs = cast(list[str], self._redis.zrange(keys.processes(name), 0, -1))
            processes = tuple(sign for written in signs if (sign := ProcessSign.read(written)))
            names = sorted({name, *(process.outbox for process in processes)})
            all_of_it = self._redis.pipeline()
            for outbox in names:
                all_of_it.get(keys.courier(outbox))
                all_of_it.xlen(keys.outbox(outbox))
                all_of_it.xrange(keys.outbox(outbox), count=1)
            found = all_of_it.execute()
        couriers, lengths, firsts = found[::3], found[1::3], found[2::3]
        began = [int(entries[0][0].partition("-")[0]) for entries in firsts if entries]
        return ChannelState(
            processes,
            tuple(courier for courier in couriers if courier),
            sum(lengths),
            max(now_ms - min(began), 0) / 1000 if began else None,
        )

    def queue(self, workers: Sequence[str]) -> QueueState:
        """Return what waits; ``workers`` are the ids of those that live."""
        leases, messages, oldest = [], 0, None
        with translated():
            people = cast(list[str], self._redis.zrange(keys.WAITING, 0, -1))
            for lease, length, head in self._inboxes(people):
                messages += length
                if lease:
                    leases.append(lease.rpartition("|")[0])
                event = event_of(head) if head else None
                if event and (oldest is None or event.sent_at < oldest):
                    oldest = event.sent_at
        waited_s = max((datetime.now(UTC) - oldest).total_seconds(), 0) if oldest else None
        stranded = sum(worker not in workers for worker in leases)
        wake_ups = sum(self.wake_ups().values())
        return QueueState(len(people), messages, wake_ups, len(leases), stranded, waited_s)

    def wake_ups(self) -> dict[str, int]:
        """Return how many wake-ups lie in each of Celery's queues."""
        with translated():
            return {queue: int(self._redis.llen(queue)) for queue in self._queues}

    def leases_of(self, worker: str) -> int:
        """Return how many persons a worker is answering."""
        with translated():
            return int(self._redis.scard(keys.leases(worker)))

    def _inboxes(self, people: Sequence[str]) -> Iterator[tuple[str | None, int, str | None]]:
        """Yield lease, length and first message of each inbox."""
        for begin in range(0, len(people), AT_ONCE):
            all_of_it = self._redis.pipeline()
            for person in people[begin : begin + AT_ONCE]:
                all_of_it.get(keys.lease(person))
                all_of_it.llen(keys.inbox(person))
                all_of_it.lindex(keys.inbox(person), 0)
            found: list[Any] = all_of_it.execute()
            yield from zip(found[::3], found[1::3], found[2::3], strict=True)
