"""What crosses processes: the message, the reply, and partial text on its way.

All are frozen and have a JSON form that ignores unknown keys and defaults missing ones, so that processes of
two releases can run side by side during an update. What is *said* (turns, moods, tones) is in dialogue.py.
"""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime

from pydantic import Field, ValidationError

from core.dialogue import Address, FinishReason, Record, Sentiment

__all__ = ["Address", "Attachment", "Draft", "Heard", "Letter", "MessageEvent", "Reply", "moment", "reply_id"]


class Attachment(Record):
    """Something sent beside the text; ``kind`` is a plain word: image, voice note, audio, video, file, sticker, ..."""

    kind: str
    name: str | None = None
    seconds: float | None = None


class MessageEvent(Record):
    """A message to the bot. ``id`` is built from the platform's own identity, so a redelivery has the same id.

    ``discreet``: its sender alone sees the reply, wherever it was written. ``prefix``: what stands before a command
    there, for texts that tell people what to type; ``text`` itself always has "/". ``quiet_s``: more belongs to it
    (an album, a pasted text that the client cut up), so wait so long for the rest. ``again``: how often it was taken
    out of the dead letters to be answered after all.
    """

    id: str
    address: Address
    user: str
    workspace: str = "-"
    user_name: str | None = None
    text: str
    attachments: tuple[Attachment, ...] = ()
    discreet: bool = False
    prefix: str = "/"
    quiet_s: float = 0
    again: int = 0
    sent_at: datetime = Field(default_factory=lambda: datetime.now(UTC))

    @property
    def person(self) -> str:
        """The key of the person's inbox and history: ``channel:workspace:user``."""
        return f"{self.address.channel}:{self.workspace}:{self.user}"


class Reply(Record):
    """What goes back. ``text`` is Markdown; ``in_reply_to`` are the ids of the events that it answers."""

    id: str
    address: Address
    text: str
    in_reply_to: tuple[str, ...]
    person: str
    sentiment: Sentiment | None = None
    tone: str | None = None
    finish_reason: FinishReason = "stop"


class Heard(Record):
    """An event was stored: time for a sign of life. May be lost without harm.

    ``place``: which number the person is in the line of those who wait for a worker; 0: a worker has begun.
    """

    event_id: str
    address: Address
    person: str
    place: int = 0


class Draft(Record):
    """Text of a reply that is still being written. ``text`` is all of it so far. May be lost without harm."""

    reply_id: str
    address: Address
    person: str = ""
    in_reply_to: tuple[str, ...]
    text: str
    sentiment: Sentiment | None = None
    tone: str | None = None


class Letter(Record):
    """A dead letter: a reply that could not be delivered, or messages that could not be answered.

    ``id`` is its entry in the stream of dead letters, which begins with the time in ms. ``reply`` and ``events`` are
    the JSON that lay in the outbox or the inbox, which may be what cannot be read; ``turns`` what the history says of
    the failure. ``written`` is when the reply was; ``given_up`` when it was given up for the first time, if it was
    replayed since.
    """

    id: str
    reason: str
    person: str = ""
    outbox: str = ""
    reply: str | None = None
    written: datetime | None = None
    given_up: datetime | None = None
    events: tuple[str, ...] = ()
    turns: tuple[str, ...] = ()

    @property
    def at(self) -> datetime:
        """When it became a dead letter."""
        return datetime.fromtimestamp(int(self.id.partition("-")[0]) / 1000, UTC)

    @property
    def since(self) -> datetime:
        """When it first did."""
        return self.given_up or self.at


def moment(seconds: float) -> datetime:
    """Return a point in time as networks write it, in UTC; raises ValueError for one that is in no calendar."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError):
        raise ValueError("a time that is in no calendar") from None


def event_of(raw: str) -> MessageEvent | None:
    """Return the message that this JSON is, or None if it cannot be read."""
    try:
        return MessageEvent.model_validate_json(raw)
    except ValidationError:
        return None


def reply_of(raw: str) -> Reply | None:
    """Return the reply that this JSON is, or None if it cannot be read."""
    try:
        return Reply.model_validate_json(raw)
    except ValidationError:
        return None


def reply_id(event_ids: Sequence[str], again: int = 0) -> str:
    """Return the id of the reply to these events.

    It is made of the first one alone, which no other reply answers: when a reply is begun again and more was said
    meanwhile, it has the same id, so what was shown of the first attempt becomes the second. ``again`` is the one of
    that event: who got an apology gets the reply of a later replay beside it, not in its place.
    """
    first = f"{event_ids[0]} again {again}" if again else event_ids[0]
    return hashlib.sha256(first.encode()).hexdigest()[:32]
