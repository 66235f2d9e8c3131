"""Replies on their way to a network: a Redis Stream per channel, drafts beside it, dead letters behind it."""

import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import redis
from pydantic import ValidationError

from core.events import Draft, Reply
from core.store import keys
from core.store.connection import script, translated

log = logging.getLogger(__name__)

PEER_TTL_S = 5
IDLE_MS = 500
Entry = tuple[str, dict[str, str]]


@dataclass(frozen=True)
class Delivery:
    """A reply and its entry in the stream, to be acknowledged when it was sent."""

    entry: str
    reply: Reply


class Outbox:
    """The outbox of one channel, or of one process of it (Address.outbox). Thread-safe."""

    def __init__(self, client: "redis.Redis", name: str) -> None:
        self._redis = client
        self._name = name
        self._stream = keys.outbox(name)
        self._next_sign = 0.0
        self._settled = script(client, "settle")

    def open(self) -> None:
        """Make the stream and its consumer group if they are not there."""
        with translated():
            try:
                self._redis.xgroup_create(self._stream, keys.GROUP, id="0", mkstream=True)
            except redis.ResponseError as error:
                if "BUSYGROUP" not in str(error):
                    raise

    def unacknowledged(self, consumer: str) -> list[Delivery]:
        """Return what this consumer read before and never acknowledged, oldest first."""
        found: list[Delivery] = []
        after = "0"
        while entries := self._read(consumer, after, None):
            after = entries[-1][0]
            found += self._decode(entries)
        return found

    def read(self, consumer: str, block_ms: int) -> list[Delivery]:
        """Wait for new replies, at most ``block_ms``; also says that this consumer lives, once a second or so.

        What was read here but got lost on its way (redis-py repeats a command silently) is in ``unacknowledged``.
        """
        if time.monotonic() >= self._next_sign:
            with translated():
                self._redis.set(keys.peer(self._name, consumer), 1, ex=PEER_TTL_S)
            self._next_sign = time.monotonic() + PEER_TTL_S / 4
        return self._decode(self._read(consumer, ">", block_ms))

    def _read(self, consumer: str, start: str, block_ms: int | None) -> list[Entry]:
        with translated():
            try:
                answer = self._redis.xreadgroup(keys.GROUP, consumer, {self._stream: start}, count=100, block=block_ms)
            except redis.ResponseError as error:
                if "NOGROUP" not in str(error):
                    raise
                self.open()  # Redis was away when we started, or has come back empty
                answer = []
        return [entry for _, found in cast(list[Any], answer or []) for entry in found]

    def _decode(self, entries: list[Entry]) -> list[Delivery]:
        """Return the deliveries; what cannot be read is a dead letter and holds up nothing."""
        deliveries = []
        for entry, fields in entries:
            try:
                deliveries.append(Delivery(entry, Reply.model_validate_json(fields["reply"])))
            except (ValidationError, KeyError, TypeError) as error:  # None: the entry was deleted
                log.error("a reply in the outbox %s cannot be read and is a dead letter: %s", self._name, error)
                self._settle(entry, {"reason": "the reply cannot be read", "reply": fields} if fields else None)
        return deliveries

    def peers_pending(self, consumer: str) -> bool:
        """Tell whether other consumers have read replies that they have not acknowledged."""
        with translated():
            try:
                peers = self._redis.xinfo_consumers(self._stream, keys.GROUP)
            except redis.ResponseError:  # no such stream or group yet
                return False
        return any(peer["pending"] and peer["name"] != consumer for peer in peers)

    def take_over(self, consumer: str) -> list[Delivery]:
        """Claim what consumers that no longer live have left unacknowledged; forget those consumers."""
        taken: list[Delivery] = []
        with translated():
            for peer in self._redis.xinfo_consumers(self._stream, keys.GROUP):
                name = peer["name"]
                if name == consumer or self._redis.exists(keys.peer(self._name, name)):
                    continue
                left = self._redis.xpending_range(self._stream, keys.GROUP, "-", "+", 1000, consumername=name)
                ids: list[Any] = [item["message_id"] for item in left]
                claimed: Any = []
                if ids:  # only what has lain idle: of two processes that look at once, one gets it
                    claimed = self._redis.xclaim(self._stream, keys.GROUP, consumer, IDLE_MS, message_ids=ids)
                    taken += self._decode(cast(list[Entry], claimed))
                if len(claimed) == len(ids) < 1000:
                    self._redis.xgroup_delconsumer(self._stream, keys.GROUP, name)
        return taken

    def acknowledge(self, delivery: Delivery) -> None:
        """The reply was sent: take it out of the stream."""
        self._settle(delivery.entry, None)

    def bury(self, delivery: Delivery, reason: str) -> None:
        """The reply can never be sent: keep it as a dead letter with its reason."""
        reply = delivery.reply
        letter = {"person": reply.person, "reason": reason, "reply": reply.model_dump(mode="json")}
        self._settle(delivery.entry, letter)

    def _settle(self, entry: str, letter: dict[str, Any] | None) -> None:
        written = json.dumps({"at": datetime.now(UTC).isoformat(), **letter}) if letter else ""
        self._settled([self._stream, keys.dead(self._name)], [keys.GROUP, entry, written])

    def leave(self, consumer: str) -> None:
        """This consumer ends: what it has not acknowledged may be taken over at once."""
        with translated():
            self._redis.delete(keys.peer(self._name, consumer))

    def publish(self, draft: Draft) -> None:
        """Send partial text to whoever listens now."""
        with translated():
            self._redis.publish(keys.drafts(self._name), draft.model_dump_json())

    @contextmanager
    def drafts(self) -> "Iterator[DraftFeed]":
        """Listen for partial text."""
        pubsub = cast(Any, self._redis).pubsub(ignore_subscribe_messages=True)
        try:
            with translated():
                pubsub.subscribe(keys.drafts(self._name))
            yield DraftFeed(pubsub)
        finally:
            pubsub.close()


class DraftFeed:
    """An open subscription to a channel's drafts; for one thread."""

    def __init__(self, pubsub: Any) -> None:
        self._pubsub = pubsub

    def next(self, timeout_s: float) -> Draft | None:
        """Return the next draft, or None if none came in time."""
        with translated():
            message = self._pubsub.get_message(timeout=timeout_s)
        return Draft.model_validate_json(message["data"]) if message else None
