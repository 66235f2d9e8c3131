"""Replies on their way to a network: a Redis Stream per channel, drafts beside it, dead letters behind it."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import redis

from core.events import Draft, Reply
from core.store import keys
from core.store.connection import translated

PEER_TTL_S = 5
IDLE_MS = 500


@dataclass(frozen=True)
class Delivery:
    """A reply and its entry in the stream, to be acknowledged when it was sent."""

    entry: str
    reply: Reply


class Outbox:
    """The outbox of one channel, or of one process of it (Address.outbox). Thread-safe."""

    def __init__(self, client: "redis.Redis", channel: str) -> None:
        self._redis = client
        self._channel = channel
        self._stream = keys.outbox(channel)
        self._next_sign = 0.0

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
        return self._read(consumer, "0", None)

    def read(self, consumer: str, block_ms: int) -> list[Delivery]:
        """Wait for new replies, at most ``block_ms``; also says that this consumer lives, once a second or so."""
        if time.monotonic() >= self._next_sign:
            with translated():
                self._redis.set(keys.peer(self._channel, consumer), 1, ex=PEER_TTL_S)
            self._next_sign = time.monotonic() + PEER_TTL_S / 4
        return self._read(consumer, ">", block_ms)

    def _read(self, consumer: str, start: str, block_ms: int | None) -> list[Delivery]:
        with translated():
            try:
                answer = self._redis.xreadgroup(keys.GROUP, consumer, {self._stream: start}, count=100, block=block_ms)
            except redis.ResponseError as error:
                if "NOGROUP" not in str(error):
                    raise
                self.open()  # Redis was away when we started, or has come back empty
                answer = []
        entries = [entry for _, found in cast(list[Any], answer or []) for entry in found]
        return self._decode(entries)

    def _decode(self, entries: list[tuple[str, dict[str, str]]]) -> list[Delivery]:
        return [Delivery(entry, Reply.model_validate_json(fields["reply"])) for entry, fields in entries if fields]

    def take_over(self, consumer: str) -> list[Delivery]:
        """Claim what consumers that no longer live have left unacknowledged; forget those consumers."""
        taken: list[Delivery] = []
        with translated():
            for peer in self._redis.xinfo_consumers(self._stream, keys.GROUP):
                name = peer["name"]
                if name == consumer or self._redis.exists(keys.peer(self._channel, name)):
                    continue
                left = self._redis.xpending_range(self._stream, keys.GROUP, "-", "+", 1000, consumername=name)
                ids: list[Any] = [item["message_id"] for item in left]
                claimed: Any = []
                if ids:  # only what has lain idle: of two processes that look at once, one gets it
                    claimed = self._redis.xclaim(self._stream, keys.GROUP, consumer, IDLE_MS, message_ids=ids)
                    taken += self._decode(cast(list[tuple[str, dict[str, str]]], claimed))
                if len(claimed) == len(ids) < 1000:
                    self._redis.xgroup_delconsumer(self._stream, keys.GROUP, name)
        return taken

    def acknowledge(self, delivery: Delivery) -> None:
        """The reply was sent: take it out of the stream."""
        with translated(), self._redis.pipeline(transaction=True) as pipe:
            pipe.xack(self._stream, keys.GROUP, delivery.entry)
            pipe.xdel(self._stream, delivery.entry)
            pipe.execute()

    def bury(self, delivery: Delivery, reason: str) -> None:
        """The reply can never be sent: keep it as a dead letter with its reason."""
        letter = {
            "at": datetime.now(UTC).isoformat(),
            "reason": reason,
            "reply": delivery.reply.model_dump(mode="json"),
        }
        with translated(), self._redis.pipeline(transaction=True) as pipe:
            pipe.rpush(keys.dead(self._channel), json.dumps(letter))
            pipe.xack(self._stream, keys.GROUP, delivery.entry)
            pipe.xdel(self._stream, delivery.entry)
            pipe.execute()

    def leave(self, consumer: str) -> None:
        """This consumer ends: what it has not acknowledged may be taken over at once."""
        with translated():
            self._redis.delete(keys.peer(self._channel, consumer))

    def publish(self, draft: Draft) -> None:
        """Send partial text to whoever listens now."""
        with translated():
            self._redis.publish(keys.drafts(self._channel), draft.model_dump_json())

    @contextmanager
    def drafts(self) -> "Iterator[DraftFeed]":
        """Listen for partial text."""
        pubsub = cast(Any, self._redis).pubsub(ignore_subscribe_messages=True)
        try:
            with translated():
                pubsub.subscribe(keys.drafts(self._channel))
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
