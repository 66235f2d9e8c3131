"""What crosses processes: the message, the reply, and partial text on its way.

All are frozen and have a JSON form that ignores unknown keys and defaults missing ones, so that processes of
two releases can run side by side during an update. What is *said* (turns, moods, tones) is in dialogue.py.
"""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime

from pydantic import Field

from core.dialogue import Address, FinishReason, Record, Sentiment

__all__ = ["Address", "Attachment", "Draft", "MessageEvent", "Reply", "reply_id"]


class Attachment(Record):
    """Something sent beside the text; ``kind`` is image, audio, video or file."""

    kind: str
    name: str | None = None
    seconds: float | None = None


class MessageEvent(Record):
    """A message to the bot. ``id`` is built from the platform's own identity, so a redelivery has the same id."""

    id: str
    address: Address
    user: str
    workspace: str = "-"
    user_name: str | None = None
    text: str
    attachments: tuple[Attachment, ...] = ()
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


class Draft(Record):
    """Text of a reply that is still being written. ``text`` is all of it so far. May be lost without harm."""

    reply_id: str
    address: Address
    in_reply_to: tuple[str, ...]
    text: str
    sentiment: Sentiment | None = None
    tone: str | None = None


def reply_id(event_ids: Sequence[str]) -> str:
    """Return the id of the reply to these events: the same events always give the same id."""
    return hashlib.sha256("\n".join(event_ids).encode()).hexdigest()[:32]
