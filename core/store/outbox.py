"""Replies on their way to a network: a Redis Stream per channel, drafts beside it, dead letters behind it."""

import json
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import redis
from pydantic import ValidationError

from core.errors import StoreUnavailable
from core.events import Draft, Heard, Reply, event_of, reply_of
from core.process import release
from core.store import keys
from core.store.connection import script, translated

log = logging.getLogger(__name__)

COURIER_TTL_S = 5.0
SILENT_S = 5.0  # a subscription may leave our question for a sign of life open that long
ONE_PROCESS_TTL_S = 86400  # a process that does not come back to its outbox by then never will
IDLE_MS = 60_000  # a process that asked for nothing for so long is not in the middle of reading
MOST_WAITING = 10_000  # of all channels; more people than that have more to wait for than a sign
Entry = tuple[str, dict[str, str]]


@dataclass(frozen=True)
class Delivery:
    """A reply and its entry in the stream, to be acknowledged when it was sent.

    ``given_up``: it was a dead letter, and since when; ``written``: then, when it had come into the outbox at first.
    """

    entry: str
    reply: Reply
    given_up: str = ""
    written: str = ""


@dataclass(frozen=True)
class ProcessSign:
    """One process of a channel that lives."""

    name: str
    release: str
    pid: int
    outbox: str

    def written(self) -> str:
        """Return it as it stands in Redis."""
        return f"{self.name}|{self.release}|{self.pid}|{self.outbox}"

    @classmethod
    def read(cls, written: str) -> "ProcessSign | None":
        """Return what was written, or None if a release that we do not know wrote it."""
        try:
            name, version, pid, outbox = written.split("|", 3)
            return cls(name, version, int(pid), outbox)
        except ValueError:
            return None


class Outbox:
    """The outbox of one channel, or of one process of it (Address.outbox). Thread-safe."""

    def __init__(self, client: "redis.Redis", name: str, letters_kept: int) -> None:
        self._redis = client
        self._name = name
        self._letters_kept = letters_kept
        self._stream = keys.outbox(name)
        self._who = [keys.courier(name), keys.processes(name.partition(".")[0])]
        self._settled = script(client, "settle")
        self._lead = script(client, "lead")

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
        """Wait for new replies, at most ``block_ms``.

        What was read here but got lost on its way (redis-py repeats a command silently) is in ``unacknowledged``.
        """
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
                reply = Reply.model_validate_json(fields["reply"])
                deliveries.append(Delivery(entry, reply, fields.get("since", ""), fields.get("written", "")))
            except (ValidationError, KeyError, TypeError) as error:  # None: the entry was deleted
                log.error("a reply in the outbox %s cannot be read and is a dead letter: %s", self._name, error)
                self._settle(entry, _unreadable(fields) if fields else None)
        return deliveries

    def holds(self, event_id: str) -> bool:
        """Tell whether a reply to this event is still to be sent."""
        with translated():
            entries = cast(list[Entry], self._redis.xrange(self._stream))
        replies = (reply_of(fields.get("reply", "")) for _, fields in entries)
        return any(event_id in reply.in_reply_to for reply in replies if reply)

    def waiting(self, since: datetime) -> list[Heard]:
        """Return who waits for a reply that goes out here, by their newest message, if it was sent ``since``."""
        with translated():
            persons = cast(list[str], self._redis.zrange(keys.WAITING, 0, MOST_WAITING - 1))
            together = self._redis.pipeline(transaction=False)
            for person in persons:
                together.lindex(keys.inbox(person), -1)
            events = [event_of(raw) for raw in together.execute() if raw]
        ours = [event for event in events if event and event.address.outbox == self._name and event.sent_at > since]
        ours.sort(key=lambda event: event.sent_at)
        return [Heard(event_id=event.id, address=event.address, person=event.person) for event in ours]

    def lead(self, process: str) -> bool:
        """Become, or stay, the one process that sends what is here; call it more often than ``COURIER_TTL_S``.

        It is a sign of life as well, whatever comes of it.
        """
        sign = ProcessSign(process, release(), os.getpid(), self._name)
        return bool(self._lead(self._who, [process, int(COURIER_TTL_S * 1000), sign.written()]))

    def resign(self, process: str) -> None:
        """This process sends no more: another may begin at once."""
        self._lead(self._who, [process, 0, ""])

    def inherit(self, consumer: str) -> None:
        """Make what any process has read and not acknowledged our own (``unacknowledged``); for who leads."""
        with translated():
            try:
                start = "0-0"
                while start:
                    start, *_ = cast(
                        Any, self._redis.xautoclaim(self._stream, keys.GROUP, consumer, 0, start, count=1000)
                    )
                    start = "" if start == "0-0" else start
                for peer in cast(Any, self._redis.xinfo_consumers(self._stream, keys.GROUP)):
                    # Not one that stood still: what it reads next would belong to nobody once its name is gone.
                    if peer["name"] != consumer and not peer["pending"] and peer["idle"] > IDLE_MS:
                        self._redis.xgroup_delconsumer(self._stream, keys.GROUP, peer["name"])
            except redis.ResponseError as error:
                if "NOGROUP" not in str(error) and "no such key" not in str(error):
                    raise

    def acknowledge(self, delivery: Delivery) -> None:
        """The reply was sent: take it out of the stream."""
        self._settle(delivery.entry, None)

    def bury(self, delivery: Delivery, reason: str) -> None:
        """The reply can never be sent: keep it as a dead letter with its reason."""
        reply = delivery.reply
        letter = {"person": reply.person, "reason": reason, "reply": reply.model_dump_json()}
        if delivery.given_up:
            letter["given_up"] = delivery.given_up
        if delivery.written:
            letter["written"] = delivery.written
        self._settle(delivery.entry, letter)

    def _settle(self, entry: str, letter: dict[str, Any] | None) -> None:
        since = datetime.fromtimestamp(int(entry.partition("-")[0]) / 1000, UTC).isoformat()
        buried = json.dumps({"outbox": self._name, "written": since, **letter}) if letter else ""
        self._settled(
            [self._stream, keys.DEAD, keys.DEAD_EVER],
            [keys.GROUP, entry, buried, self._letters_kept],
        )

    def publish(self, *drafts: Draft) -> None:
        """Send partial texts to whoever listens now."""
        with translated():
            pipe = self._redis.pipeline(transaction=False)
            for draft in drafts:
                pipe.publish(keys.drafts(self._name), draft.model_dump_json())
            pipe.execute()

    @contextmanager
    def news(self) -> "Iterator[NewsFeed]":
        """Listen for partial text and for events that were stored."""
        pubsub = cast(Any, self._redis).pubsub()
        try:
            with translated():
                pubsub.subscribe(keys.drafts(self._name), keys.heard(self._name))
                for _ in range(2):  # each subscription is confirmed, which is no news
                    pubsub.get_message(timeout=1)
            yield NewsFeed(pubsub, keys.heard(self._name))
        finally:
            pubsub.close()


class NewsFeed:
    """An open subscription to what happens on a channel and may be missed; for one thread."""

    def __init__(self, pubsub: Any, heard: str) -> None:
        self._pubsub = pubsub
        self._heard = heard
        self._answered_at = time.monotonic()

    def next(self, timeout_s: float) -> Draft | Heard | None:
        """Return what happened next, or None if nothing did in time.

        Raises StoreUnavailable if Redis is away or was away, be it that it did not answer: a subscription has to be
        opened anew, and what happened meanwhile was missed.
        """
        with translated():
            message = self._pubsub.get_message(timeout=timeout_s)
        # redis-py asks a connection that is silent for a sign of life, but nothing follows if none comes.
        now = time.monotonic()
        if message or not self._pubsub.health_check_response_counter:
            self._answered_at = now
        elif now - self._answered_at > SILENT_S:
            raise StoreUnavailable(f"Redis: a subscription has been silent for {SILENT_S:.0f} s")
        if not message:
            return None
        if message["type"] != "message":  # redis-py has connected again, without a word
            raise StoreUnavailable("Redis: a subscription was broken off")
        kind = Heard if message["channel"] == self._heard else Draft
        return kind.model_validate_json(message["data"])


def _unreadable(fields: dict[str, str]) -> dict[str, str]:
    raw = fields.get("reply", json.dumps(fields))
    person = ""
    with suppress(ValueError, TypeError, AttributeError):
        person = str(json.loads(raw).get("person", ""))
    return {"person": person, "reason": "the reply cannot be read", "reply": raw}
