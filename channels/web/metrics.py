"""``GET /metrics``: how everything is, in Prometheus' text format. It reads what is there; nothing is counted for it.

`rapport status` reads the same and judges it; here monitoring does that. No label names a person or quotes a text.
"""

import asyncio
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TypeVar

from fastapi import Response
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from core.errors import StoreUnavailable
from core.process import release
from core.settings import CHANNELS, Settings
from core.store import Store
from core.store.keys import queue

Labels = TypeVar("Labels", bound=tuple[str, ...])
FRESH_S = 1.0  # so long counts what was read: however many ask, Redis is asked once


class Metrics:
    """The answer to a scrape, read anew at most once in ``FRESH_S``."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._readings = Readings(store, settings)
        self._reading = asyncio.Lock()
        self._read: tuple[float, bytes | StoreUnavailable] = (-math.inf, b"")

    async def metrics(self) -> Response:
        """Read what waits, who lives and what went wrong, for Prometheus."""
        async with self._reading:
            now = asyncio.get_running_loop().time()
            if now >= self._read[0] + FRESH_S:
                self._read = now, await self._text()
            found = self._read[1]
        if isinstance(found, StoreUnavailable):
            raise StoreUnavailable(str(found))
        return Response(found, headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})

    async def _text(self) -> bytes | StoreUnavailable:
        try:
            return await asyncio.to_thread(generate_latest, self._readings)
        except StoreUnavailable as error:
            return error


class Readings(Collector):
    """Everything that is shown, read from the store whenever it is collected; StoreUnavailable passes through."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._queues_in_use = [queue(model) for model in settings.models_in_use]

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        yield from self._waiting()
        yield from self._channels()
        yield from self._letters()
        decisions = {(decision,): number for decision, number in self._store.counts.all().items()}
        text = "What was decided for safety, since the beginning."
        yield _counter("rapport_safety_decisions", text, decisions, "decision")
        yield from self._server()

    def _waiting(self) -> Iterator[Metric]:
        signs = self._store.workers.alive()
        state = self._store.overview.queue([sign.id for sign in signs])
        yield _gauge("rapport_people_waiting", "People with a message that is not answered yet.", {(): state.people})
        yield _gauge("rapport_messages_waiting", "Messages that are not answered yet.", {(): state.messages})
        text = "Seconds since the oldest message without an answer was written; 0: none waits."
        yield _gauge("rapport_oldest_waiting_seconds", text, {(): state.oldest_s or 0})
        yield _gauge("rapport_leases", "People who are being answered.", {(): state.leases})
        text = "People whose worker gives no sign of life; they are taken over."
        yield _gauge("rapport_leases_stranded", text, {(): state.stranded})
        wake_ups = {(name,): number for name, number in self._store.overview.wake_ups().items()}
        yield _gauge("rapport_queue_wakeups", "Wake-ups in a queue of Celery that no worker took.", wake_ups, "queue")
        living = Counter({(name, is_so): 0 for name in self._queues_in_use for is_so in ("ready", "loading")})
        living.update((queue(sign.serves), "ready" if sign.ready else "loading") for sign in signs)
        text = "Living workers that serve a queue: with their models loaded, or loading them."
        yield _gauge("rapport_workers", text, living, "queue", "state")

    def _channels(self) -> Iterator[Metric]:
        states = {(name,): self._store.overview.channel(name) for name in CHANNELS}
        up = {name: bool(state.processes and state.senders) for name, state in states.items()}
        yield _gauge("rapport_channel_up", "1: a living process of the channel sends; 0: none does.", up, "channel")
        waits = {name: state.outbox for name, state in states.items()}
        yield _gauge("rapport_outbox_replies", "Replies to be sent.", waits, "channel")
        oldest = {name: state.oldest_s or 0 for name, state in states.items()}
        text = "Seconds since the oldest reply to be sent came into the outbox; 0: none waits."
        yield _gauge("rapport_outbox_oldest_seconds", text, oldest, "channel")

    def _letters(self) -> Iterator[Metric]:
        kept = Counter({(name, kind): 0 for name in CHANNELS for kind in ("message", "reply")})
        kept.update(self._store.letters.tally())
        text = "Kept dead letters: replies that could not be delivered, messages that could not be answered."
        yield _gauge("rapport_dead_letters", text, kept, "channel", "kind")
        text = "Dead letters since the beginning, purged ones and replayed ones too."
        yield _counter("rapport_dead_letters_written", text, {(): self._store.letters.count()[1]})

    def _server(self) -> Iterator[Metric]:
        server = self._store.overview.server()
        yield _gauge("rapport_redis_memory_bytes", "Memory that Redis uses.", {(): server.used})
        text = "Memory that Redis may use (maxmemory); 0: no limit."
        yield _gauge("rapport_redis_memory_limit_bytes", text, {(): server.limit})
        versions = {"version": release(), "redis": server.version}
        yield InfoMetricFamily("rapport_build", "Versions of the web channel and of Redis.", versions)


def _gauge(name: str, text: str, values: Mapping[Labels, float], *labels: str) -> Metric:
    """Return one value for each combination of values of the labels."""
    return _filled(GaugeMetricFamily(name, text, labels=labels), values)


def _counter(name: str, text: str, values: Mapping[Labels, float], *labels: str) -> Metric:
    """Return the same for what only grows; the format puts ``_total`` behind the name."""
    return _filled(CounterMetricFamily(name, text, labels=labels), values)


def _filled(family: GaugeMetricFamily | CounterMetricFamily, values: Mapping[Labels, float]) -> Metric:
    for labels, value in values.items():
        family.add_metric(labels, value)
    return family
