"""What the API takes and gives, with the examples that its documentation shows."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from core.dialogue import FinishReason, Label, Sentiment
from core.events import Draft, Reply

MAX_USER = 100


def _printable(user: str) -> str:
    if not user.isprintable() or not user.strip():
        raise ValueError("use printable characters only, and at least one that is not a space")
    return user


User = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MAX_USER,
        description=(
            "Your name for the person who writes; the same name continues the same conversation. "
            "The chat page alone leaves it out, as its cookie names the person."
        ),
        examples=["anna"],
    ),
    AfterValidator(_printable),
]


class ChatRequest(BaseModel):
    """A message to the bot."""

    model_config = ConfigDict(extra="forbid")

    message: str = Field(description="What the person says.", examples=["My order is three weeks late!"])
    user: User | None = None
    id: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9._-]{1,100}$",
        description="Your own id of this message. Sent again with the same id, it is not answered twice.",
        examples=["order-4711-1"],
    )


class Mood(BaseModel):
    """The mood that was read from the message. Valence lies between -1 (negative) and 1 (positive)."""

    label: Label = Field(examples=["negative"])
    scores: dict[Label, float] = Field(examples=[{"negative": 0.93, "neutral": 0.06, "positive": 0.01}])
    valence: float = Field(examples=[-0.92])

    @classmethod
    def of(cls, sentiment: Sentiment | None) -> "Mood | None":
        """Return the mood as the API shows it."""
        return cls(**sentiment.model_dump()) if sentiment else None


class ChatReply(BaseModel):
    """The reply. ``sentiment`` and ``tone`` are null when no mood was read, as with a command."""

    response: str = Field(description="Markdown.", examples=["Three weeks is far too long. What did they tell you?"])
    sentiment: Mood | None
    tone: str | None = Field(examples=["empathetic"])
    id: str = Field(
        description="Id of the reply. Messages sent in a burst share one reply and so its id.",
        examples=["5f0c1a9e0b7d4c62b1f0a8d3c2e4f6a8"],
    )
    finish_reason: FinishReason = Field(examples=["stop"])

    @classmethod
    def of(cls, reply: Reply) -> "ChatReply":
        """Return the reply as the API shows it."""
        return cls(
            response=reply.text,
            sentiment=Mood.of(reply.sentiment),
            tone=reply.tone,
            id=reply.id,
            finish_reason=reply.finish_reason,
        )


class MoodEvent(BaseModel):
    """Event "mood" of a stream: known before the first word of the reply is."""

    id: str
    sentiment: Mood | None
    tone: str | None

    @classmethod
    def of(cls, draft: Draft) -> "MoodEvent":
        """Return what a draft says about the mood."""
        return cls(id=draft.reply_id, sentiment=Mood.of(draft.sentiment), tone=draft.tone)


class BusyEvent(BaseModel):
    """Event "busy" of a stream: many people wait, and the caller is this number in line; 0: it has become short."""

    place: int


class DraftEvent(BaseModel):
    """Event "draft" of a stream: all of the text so far, not only what is new."""

    id: str
    text: str


class HistoryEntry(BaseModel):
    """One entry of the conversation, oldest first. Role "break" marks a fresh start."""

    role: Literal["user", "assistant", "break"]
    text: str
    at: datetime
    sentiment: Label | None
    tone: str | None


class CommandEntry(BaseModel):
    """A command that can be sent as a message."""

    name: str = Field(examples=["help"])
    summary: str = Field(examples=["shows this list"])


class About(BaseModel):
    """What a page needs to know of the bot."""

    bot: str
    max_chars: int
    commands: list[CommandEntry]


class Alive(BaseModel):
    """The process answers."""

    status: Literal["alive"] = "alive"


class Ready(BaseModel):
    """Whether a message sent now would be answered."""

    status: Literal["ready", "not ready"]
    redis: Literal["reachable", "away"]
    workers: int = Field(description="Workers that live and have their models loaded.")


class ErrorBody(BaseModel):
    """Code for programs, text for people."""

    code: str = Field(examples=["too_long"])
    message: str = Field(examples=["The message has 9,000 characters; I can take 4,000. Please send less at once."])


class Error(BaseModel):
    """The one shape of every error."""

    error: ErrorBody
