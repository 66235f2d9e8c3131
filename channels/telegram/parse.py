"""Updates of the Bot API -> MessageEvent or None (pure). Not here: feedback (feedback.py), the connection.

Who is answered: everybody in a private chat; in groups who mentions the bot, answers one of its messages or uses a
command of its own; one that erases or interrupts must be for it by name there, as it may be another bot's. A topic of a
forum is a room with many people, not a talk with the bot: there too it answers those three alone. Never itself, edits,
channel posts, service messages and, unless settings say so, other bots. Nothing that a person sends is passed over for
its kind: what we do not know becomes an attachment.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from channels.telegram import rich
from channels.telegram.attachments import UNKNOWN, attachments, is_service
from channels.telegram.entities import Span, spans, to_markdown
from core import commands
from core.dialogue import Address
from core.events import Attachment, MessageEvent, moment

CHANNEL = "telegram"
# Telegram's clients cut a pasted text at 4096; a part this long is most likely not the last one.
CUT_CHARS = 4000
QUIET_S = 1.0
GENERAL = 1
# In groups these count only with our name, or in an answer to us: every bot there gets a bare /new.
DELIBERATE = frozenset({"/forget", "/new", "/stop"})
Payload = Mapping[str, Any]


@dataclass(frozen=True)
class Me:
    """The bot's own account."""

    id: int
    username: str


@dataclass(frozen=True)
class Bare:
    """Somebody in a group used a command that must be for us by name, and named nobody."""

    name: str
    person: str
    address: Address
    message_id: int


def parse(
    update: Payload,
    me: Me,
    *,
    other_bots: bool = False,
    continues: Callable[[Payload], bool] = lambda message: False,
) -> MessageEvent | None:
    """Return the message to the bot that this update brings, or None.

    Args:
        update: an update as getUpdates or a webhook gives it.
        me: the bot's own account.
        other_bots: whether messages of other bots are answered.
        continues: says whether a message of a group goes with one that was for the bot (the other pictures of an
            album, the rest of a pasted text).

    Raises:
        KeyError, TypeError, ValueError, AttributeError: the update is not as the Bot API describes it.
    """
    message = update.get("message")
    if message is None:
        return None
    sender = _sender(message, me, other_bots)
    if sender is None:
        return None
    text, entities, held = _content(message)
    if not text and not held:
        if is_service(message):
            return None  # somebody joined, the title changed
        held = (UNKNOWN,)
    direct = _is_direct(message)
    addressed = direct or _addressed(message, text, entities, me)
    command = _command(text, entities, me, direct=direct, addressed=addressed)
    if command is not None and not command:
        return None
    if not (addressed or command or continues(message)):
        return None
    user, name = sender
    return MessageEvent(
        id=f"{CHANNEL}:{me.id}:{message['chat']['id']}:{message['message_id']}",
        address=_address(message),
        user=user,
        user_name=name,
        text=(command or to_markdown(text, entities, lambda whole, span: _is_me(whole, span, me))).strip(),
        attachments=held,
        quiet_s=QUIET_S if "media_group_id" in message or len(text) >= CUT_CHARS else 0,
        sent_at=moment(message["date"]),
    )


def bare(update: Payload, me: Me) -> Bare | None:
    """Return the command of this update that would have to be for us by name and is not; raises as ``parse`` does."""
    message = update.get("message")
    if message is None or _is_direct(message):
        return None
    sender = _sender(message, me, other_bots=False)
    text, entities, _ = _content(message)
    name, target, _ = _called(text, entities)
    if sender is None or target or name not in DELIBERATE or _addressed(message, text, entities, me):
        return None
    return Bare(name, f"{CHANNEL}:-:{sender[0]}", _address(message), message["message_id"])


def _is_direct(message: Payload) -> bool:
    return bool(message["chat"]["type"] == "private")


def _address(message: Payload) -> Address:
    return Address(
        channel=CHANNEL, space=str(message["chat"]["id"]), thread=_topic(message), direct=_is_direct(message)
    )


def _content(message: Payload) -> tuple[str, Sequence[Payload], tuple[Attachment, ...]]:
    """Return the text, its entities and what comes beside it."""
    if "rich_message" in message:
        with contextlib.suppress(KeyError, TypeError, ValueError, AttributeError):  # of a form that we do not know yet
            found = rich.read(message["rich_message"])
            if found.text or found.attachments:
                return found.text, found.entities, (*found.attachments, *attachments(message))
    text = message.get("text", message.get("caption", ""))
    return text, message.get("entities", message.get("caption_entities", ())), attachments(message)


def _topic(message: Payload) -> str | None:
    """Return the topic; None outside topics and in "General", which Telegram does not take as a topic to write in."""
    topic = message["message_thread_id"] if message.get("is_topic_message") else GENERAL
    return None if topic == GENERAL else str(topic)


def _sender(message: Payload, me: Me, other_bots: bool) -> tuple[str, str | None] | None:
    """Return id and name of who wrote, or None if that one is not answered."""
    chat = message.get("sender_chat")
    if chat is not None:  # an anonymous administrator, or a channel: "from" is then a stand-in
        return None if message.get("is_automatic_forward") else (str(chat["id"]), chat.get("title"))
    sender = message.get("from")
    if sender is None or sender["id"] == me.id or (sender["is_bot"] and not other_bots):
        return None
    names = (sender.get("first_name"), sender.get("last_name"))
    return str(sender["id"]), " ".join(filter(None, names)) or sender.get("username")


def _called(text: str, entities: Sequence[Payload]) -> tuple[str, str, str]:
    """Return the command that the text begins with, the bot that it is for by name, and the rest; or nothing."""
    first = next((span for span in spans(text, entities) if span.begin == 0 and span.kind == "bot_command"), None)
    if first is None:
        return "", "", ""
    name, _, target = text[: first.end].partition("@")
    return name.lower(), target.lower(), text[first.end :].strip()


def _command(text: str, entities: Sequence[Payload], me: Me, *, direct: bool, addressed: bool) -> str | None:
    """Return the command with its argument; None if there is none, nothing ("") if it is not for us."""
    name, target, rest = _called(text, entities)
    if not name:
        return None
    if target and target != me.username.lower() and not direct:
        return ""
    if name == "/start" and (direct or target):
        name = "/help"  # what Telegram's own button sends to a bot it has never talked to
    if name in DELIBERATE and not target and not addressed:
        return ""
    if not direct and not target and commands.parse(name) is None:
        return None  # a bare command in a group may be any bot's
    return f"{name} {rest}".strip()


def _addressed(message: Payload, text: str, entities: Sequence[Payload], me: Me) -> bool:
    answered = message.get("reply_to_message", {})
    # What answers nothing in a topic "answers" the service message that began the topic, which may be ours.
    answers_me = answered.get("from", {}).get("id") == me.id and "forum_topic_created" not in answered
    return answers_me or any(_is_me(text, span, me) for span in spans(text, entities))


def _is_me(text: str, span: Span, me: Me) -> bool:
    if span.kind == "mention":
        return text[span.begin : span.end].lower() == f"@{me.username}".lower()
    return span.kind == "text_mention" and span.entity["user"]["id"] == me.id
