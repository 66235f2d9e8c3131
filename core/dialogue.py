"""What is said and where: turns of a conversation, moods and tones, input and output of a model."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict

_FINISH_REASONS = ("stop", "length", "cancelled", "timeout", "command", "failed", "safety")
# A reason that a newer release gave is no reason not to send a reply.
FinishReason = Annotated[
    Literal["stop", "length", "cancelled", "timeout", "command", "failed", "safety"],
    BeforeValidator(lambda reason: reason if reason in _FINISH_REASONS else "stop"),
]
Label = Literal["negative", "neutral", "positive"]


class Record(BaseModel):
    """Base of all records: frozen, and tolerant of keys that a newer release added.

    What cannot be read may be what people wrote, so errors do not show it: they get into logs.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class Address(Record):
    """Where something was said and the reply goes. Opaque outside the adapter that made it.

    ``space`` is the conversation on that network (chat, channel, page); ``thread`` a thread in it; ``direct``
    says whether only the person and the bot read there. ``via`` names the one process that can send the reply,
    where processes of a channel cannot stand in for each other (two terminals).
    """

    channel: str
    space: str
    thread: str | None = None
    direct: bool = True
    via: str | None = None

    @property
    def outbox(self) -> str:
        """The name of the outbox that a reply to this address goes to."""
        return outbox_name(self.channel, self.via)


def outbox_name(channel: str, via: str | None) -> str:
    """Return the name of a channel's outbox, or of the one that a single process of it has for itself."""
    return f"{channel}.{via}" if via else channel


class Sentiment(Record):
    """Mood of one text: the probabilities of the three labels, and valence = P(positive) - P(negative)."""

    label: Label
    scores: dict[Label, float]
    valence: float

    @classmethod
    def of(cls, scores: dict[Label, float]) -> "Sentiment":
        """Return the sentiment with these probabilities."""
        label = max(scores, key=lambda name: scores[name])
        return cls(label=label, scores=scores, valence=scores["positive"] - scores["negative"])


class Reading(Record):
    """What the encoder reads from one text: its sentiment and its embedding (unit length)."""

    sentiment: Sentiment
    embedding: tuple[float, ...]


class Tone(Record):
    """How a reply should sound: a name that small models know, and guidance in words for larger ones.

    What is set of the generation's own settings overrides those of the engine, as far as it can. ``valence`` is the
    lowest and the highest that a reply in this tone should have.
    """

    name: str
    guidance: str
    temperature: float | None = None
    top_p: float | None = None
    max_new_tokens: int | None = None
    valence: tuple[float, float] | None = None


class Turn(Record):
    """One entry of a person's history. ``role`` "break" marks where /new began afresh.

    ``failed`` marks what no reply could be made to: it stays out of prompts, where it would fail again. What the bot
    said has the id of its reply; ``rated`` ("up", "down") is filled in when the history is read, not stored with it.
    """

    role: Literal["user", "assistant", "break"]
    text: str
    at: datetime
    sentiment: Sentiment | None = None
    tone: str | None = None
    address: Address
    failed: bool = False
    reply_id: str | None = None
    rated: str | None = None


class PromptMessage(Record):
    """One message of a prompt. ``tone`` is the tone a past reply was given in."""

    role: Literal["system", "user", "assistant"]
    content: str
    tone: str | None = None


class Prompt(Record):
    """Input of the chat model: messages (the last one is the user's) and the tone of the reply to come."""

    messages: tuple[PromptMessage, ...]
    tone: Tone


class Completion(Record):
    """Output of the chat model. ``reused_tokens`` of the prompt's needed no work, being known from before."""

    text: str
    finish_reason: FinishReason
    prompt_tokens: int
    completion_tokens: int
    reused_tokens: int = 0
