"""The sections of settings.toml: their keys, types, bounds and defaults, and the table of tones.

How they are read, and what comes before what, is in settings.py. A channel's own section stands in its room.
"""

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from core import remote

# Conversations that a note can be sent to without having been asked there.
NOTIFY = r"slack:[A-Z0-9]+/[A-Z0-9]+|telegram:-?\d+(?:/\d+)?|discord:\d+"
# A channel, one of its workspaces, or one person, as persons' keys have it; "*" is any workspace or anybody.
PLACE = r"(?:terminal|web|slack|telegram|discord)(?::[^:\s]+(?::\S.*)?)?"
# What a person can feel, from the gravest to the lightest (core/tone.py chooses by this order), and how the reply
# should sound. settings.toml overrides it key by key. The names are words that the starter model has learnt.
TONES: dict[str, dict[str, str | float | tuple[float, float]]] = {
    "angry": {
        "name": "calm",
        "guidance": (
            "The person is angry and it is getting worse. Stay calm, own what went wrong, be short and "
            "concrete, and offer to bring in a human. Never argue, never answer in kind."
        ),
        "temperature": 0.2,
        "max_new_tokens": 60,
        "valence": (-0.8, 0.2),
    },
    "sad": {
        "name": "empathetic",
        "guidance": (
            "The person is sad or hurt. Be warm and slow: name what hurts in your own words, leave room, ask "
            "at most one gentle question. No advice unless asked, no silver lining, no jokes."
        ),
        "temperature": 0.3,
        "valence": (-1.0, 0.1),
    },
    "frustrated": {
        "name": "empathetic",
        "guidance": (
            "The person is upset or let down. First name what is wrong for them in your own words, then "
            "help, to the point. No cheerfulness, no jokes, no exclamation marks."
        ),
        "temperature": 0.3,
        "valence": (-1.0, 0.1),
    },
    "anxious": {
        "name": "reassuring",
        "guidance": (
            "The person is worried. Be steady and gentle, take the worry seriously, and offer one small next "
            "step. Promise nothing you cannot know."
        ),
        "temperature": 0.3,
        "valence": (-0.6, 0.5),
    },
    "confused": {
        "name": "clarifying",
        "guidance": (
            "The person does not understand. Say it anew in plain words, one step at a time, or ask the one "
            "question that clears it up. Never make them feel slow."
        ),
        "temperature": 0.2,
        "valence": (-0.4, 0.4),
    },
    "easing": {
        "name": "reassuring",
        "guidance": (
            "The person has been having a hard time and it may be easing. Be gentle, keep what was said in "
            "mind, and be glad with them if the news is good."
        ),
        "valence": (-0.3, 0.7),
    },
    "neutral": {
        "name": "plain",
        "guidance": ("Be plain, friendly and brief."),
        "valence": (-0.3, 0.5),
    },
    "grateful": {
        "name": "cheerful",
        "guidance": ("The person thanks you. Take it gladly and simply, in a few words, and leave the door open."),
        "max_new_tokens": 60,
        "valence": (0.2, 1.0),
    },
    "happy": {
        "name": "cheerful",
        "guidance": ("The person is glad. Share the joy, be casual and lively."),
        "valence": (0.2, 1.0),
    },
}


Valence = Annotated[float, Field(ge=-1, le=1)]


class Section(BaseModel):
    """Base of a section: an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Bot(Section):
    """Who the bot is."""

    name: str = "Rapport"
    persona: str = ""
    apology: str = "Sorry, I could not answer that. Please try again in a moment, or say it in other words."


class Generation(Section):
    """The chat model and how it writes."""

    model: str = "models/starter-chat"
    fallback: tuple[str, ...] = ()
    device: str = "auto"
    precision: Literal["auto", "fp32", "bf16", "fp16", "int8", "int4"] = "auto"
    max_new_tokens: int = Field(80, ge=1, le=4096)
    context_tokens: int = Field(4096, ge=64)
    temperature: float = Field(0.4, ge=0, le=2)
    top_p: float = Field(0.9, gt=0, le=1)
    repetition_penalty: float = Field(1.1, ge=1, le=2)
    num_beams: int = Field(1, ge=1, le=16)
    best_of: int = Field(1, ge=1, le=8)
    batch: int = Field(16, ge=1, le=512)
    queue: int = Field(256, ge=1)
    cache_gib: float = Field(0, ge=0)
    timeout_s: float = Field(120, gt=0)

    @field_validator("best_of")
    @classmethod
    def _can_differ(cls, count: int, info: ValidationInfo) -> int:
        if count > 1 and info.data.get("temperature") == 0:
            raise ValueError("it needs a temperature above 0, as greedy candidates are all the same; or set it to 1")
        return count

    @property
    def order(self) -> tuple[str, ...]:
        """The names of the models in the order in which they are asked, each once."""
        return tuple(dict.fromkeys((self.model, *self.fallback)))  # [models.NAME] may be a fallback of [generation]

    @field_validator("model", "fallback")
    @classmethod
    def _is_well_written(cls, names: str | tuple[str, ...]) -> str | tuple[str, ...]:
        for name in (names,) if isinstance(names, str) else names:
            if remote.is_remote(name):
                remote.parse(name)
        return names


class SentimentSettings(Section):
    """The encoder: sentiment and embedding."""

    model: str = "models/starter-encoder"
    device: str = "auto"
    batch: int = Field(32, ge=1, le=1024)


class ToneRow(Section):
    """How a reply to one feeling should sound: a word that small models know, and guidance for larger ones.

    What it says of the generation overrides [generation]; a reply never gets longer than that allows. ``valence`` is
    the lowest and the highest that a reply in this tone should have, by which best_of chooses.
    """

    name: str = Field(pattern=r"^[A-Za-z][A-Za-z -]*$")
    guidance: str
    temperature: float | None = Field(None, gt=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    max_new_tokens: int | None = Field(None, ge=1, le=4096)
    valence: tuple[Valence, Valence] | None = None

    @field_validator("valence")
    @classmethod
    def _is_a_band(cls, band: tuple[float, float] | None) -> tuple[float, float] | None:
        if band and band[0] > band[1]:
            raise ValueError("it must be the lowest and then the highest valence, such as [-1.0, 0.1]")
        return band


class Mood(Section):
    """How sentiment becomes a feeling. Valences lie between -1 (negative) and 1 (positive)."""

    recent_turns: int = Field(8, ge=1, le=50)
    half_life_turns: float = Field(2, ge=0.1, le=50)
    half_life_hours: float = Field(12, ge=0.1)
    low: float = Field(-0.25, ge=-1, le=0)
    very_low: float = Field(-0.6, ge=-1, le=0)
    high: float = Field(0.25, ge=0, le=1)


class Safety(Section):
    """What is done in a crisis, when the bot is abused, and before a reply is sent."""

    answer_crisis: bool = True
    weak_hints: int = Field(2, ge=0, le=20)
    country: str = Field("", pattern=r"^([A-Za-z]{2})?$")
    crisis_message: str = (
        "I'm really sorry that you are in so much pain, and I'm glad you told me. I'm only a program and cannot give "
        "you the help you deserve, but people can: {helpline}. If you are in immediate danger or have hurt yourself, "
        "please call your local emergency number now. If you can, go to somebody you trust."
    )
    other_message: str = (
        "Thank you for telling me. I'm only a program, so please bring in people who can help: {helpline}. They also "
        "advise those who worry about somebody else. If there is immediate danger, call your local emergency number."
    )
    notify: str = ""
    notify_pause_h: float = Field(1, gt=0, le=720)
    calm_abuse: bool = True
    check_replies: bool = True
    links: tuple[str, ...] = ()
    refused_message: str = "I have no good answer to that. Could you say it in other words, or tell me a little more?"
    helplines: dict[str, str] = {"default": "https://findahelpline.com lists free helplines for your country"}

    @field_validator("crisis_message", "other_message")
    @classmethod
    def _names_the_helpline(cls, text: str) -> str:
        if "{helpline}" not in text:
            raise ValueError("it must have {helpline} where the helpline is to be named")
        return text

    @field_validator("links")
    @classmethod
    def _are_hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            if not re.fullmatch(r"\*|[a-z0-9-]+(\.[a-z0-9-]+)*", host):
                raise ValueError(f'"{host}" must be a host in small letters, such as "example.org", or "*" for all')
        return hosts

    @field_validator("notify")
    @classmethod
    def _is_an_address(cls, text: str) -> str:
        if text and not re.fullmatch(NOTIFY, text):
            raise ValueError("it must read slack:TEAM/CHANNEL, telegram:CHAT or discord:CHANNEL, with their ids")
        return text

    @field_validator("helplines")
    @classmethod
    def _has_a_default(cls, table: dict[str, str]) -> dict[str, str]:
        if not table.get("default", "").strip():
            raise ValueError('it must have a row "default", for countries without a row')
        return {name if name == "default" else name.upper(): text for name, text in table.items()}


class Access(Section):
    """Whom the bot listens to, and who may ask how it is. See PLACE for what an entry may be."""

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    admins: tuple[str, ...] = ()

    @field_validator("allow", "deny", "admins")
    @classmethod
    def _are_places(cls, entries: tuple[str, ...]) -> tuple[str, ...]:
        for entry in entries:
            if not re.fullmatch(PLACE, entry):
                text = 'must be a channel, a workspace or a person, such as "slack", "slack:T0123" or "telegram:*:42"'
                raise ValueError(f'"{entry}" {text}')
        return entries

    @field_validator("admins")
    @classmethod
    def _are_persons(cls, entries: tuple[str, ...]) -> tuple[str, ...]:
        for entry in entries:
            if entry.count(":") < 2 or entry.endswith(":*"):
                raise ValueError(f'"{entry}" must be one person, such as "slack:T0123:U0456"')
        return entries

    def admits(self, person: str) -> bool:
        """Say whether the person with this key is listened to: not denied, and allowed if anybody must be."""
        return not _is_among(self.deny, person) and (not self.allow or _is_among(self.allow, person))

    def is_admin(self, person: str) -> bool:
        """Say whether the person with this key may use the commands of admins."""
        return _is_among(self.admins, person)


def _is_among(entries: tuple[str, ...], person: str) -> bool:
    parts = person.split(":", 2)
    wanted = (entry.split(":", 2) for entry in entries)
    return any(all(want in ("*", part) for want, part in zip(entry, parts, strict=False)) for entry in wanted)


class History(Section):
    """What is kept of a person's conversation."""

    max_turns: int = Field(200, ge=2, le=5000)
    prompt_turns: int = Field(30, ge=2, le=1000)
    ttl_days: float = Field(180, gt=0)


class Inbox(Section):
    """Limits on what is accepted, and the timing of the path."""

    max_chars: int = Field(8000, ge=1, le=100_000)
    max_waiting: int = Field(50, ge=1)
    max_people: int = Field(1000, ge=0)
    person_per_minute: float = Field(20, ge=0)
    person_burst: float = Field(60, ge=1)
    workspace_per_minute: float = Field(0, ge=0)
    workspace_burst: float = Field(600, ge=1)
    seen_days: float = Field(3, gt=0)
    stale_hours: float = Field(12, gt=0)
    lease_s: float = Field(5, ge=0.5)
    sweep_s: float = Field(0.5, gt=0)
    max_attempts: int = Field(4, ge=1)
    retry_s: float = Field(2, ge=0)


class DeadLetters(Section):
    """What is kept of what could not be delivered or answered, and what of it may be tried again."""

    keep: int = Field(1000, ge=1, le=100_000)
    keep_days: float = Field(30, gt=0)
    replay_hours: float = Field(24, gt=0)


class Worker(Section):
    """One worker process."""

    threads: int = Field(16, ge=1, le=512)
    torch_threads: int = Field(0, ge=0)
    serves: str = ""


class Stack(Section):
    """The local stack that ``rapport chat`` and ``rapport up`` start."""

    data: str = "data"


class Log(Section):
    """Logging."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    format: Literal["text", "json"] = "text"
