"""Updates of the Bot API -> MessageEvent or None (pure). Not here: feedback (feedback.py), the connection.

Who is answered: everybody in a private chat; in groups who mentions the bot, answers one of its messages or uses a
command of its own. A topic of a forum is a room with many people, not a talk with the bot: there too it answers those
three alone. Never itself, edits, channel posts, service messages and, unless settings say so, other bots.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from channels.telegram.entities import Span, spans, to_markdown
from core import commands
from core.dialogue import Address
from core.events import Attachment, MessageEvent, moment

CHANNEL = "telegram"
# Telegram's clients cut a pasted text at 4096; a part this long is most likely not the last one.
CUT_CHARS = 4000
QUIET_S = 1.0
GENERAL = 1
Payload = Mapping[str, Any]


@dataclass(frozen=True)
class Me:
    """The bot's own account."""

    id: int
    username: str


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
    text = message.get("text", message.get("caption", ""))
    entities = message.get("entities", message.get("caption_entities", ()))
    attachments = _attachments(message)
    if not text and not attachments:
        return None  # a service message: somebody joined, the title changed
    direct = message["chat"]["type"] == "private"
    command = _command(text, entities, me, direct)
    if command is not None and not command:
        return None
    if not (direct or command or _addressed(message, text, entities, me) or continues(message)):
        return None
    user, name = sender
    return MessageEvent(
        id=f"{CHANNEL}:{me.id}:{message['chat']['id']}:{message['message_id']}",
        address=Address(
            channel=CHANNEL,
            space=str(message["chat"]["id"]),
            thread=_topic(message),
            direct=direct,
        ),
        user=user,
        user_name=name,
        text=(command or to_markdown(text, entities, lambda whole, span: _is_me(whole, span, me))).strip(),
        attachments=attachments,
        quiet_s=QUIET_S if "media_group_id" in message or len(text) >= CUT_CHARS else 0,
        sent_at=moment(message["date"]),
    )


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


def _command(text: str, entities: Sequence[Payload], me: Me, direct: bool) -> str | None:
    """Return the command with its argument; None if there is none, nothing ("") if it is for another bot."""
    first = next((span for span in spans(text, entities) if span.begin == 0 and span.kind == "bot_command"), None)
    if first is None:
        return None
    name, _, target = text[: first.end].partition("@")
    if target and target.lower() != me.username.lower() and not direct:
        return ""
    if name == "/start" and (direct or target):
        name = "/help"  # what Telegram's own button sends to a bot it has never talked to
    if not direct and not target and commands.parse(name) is None:
        return None  # a bare command in a group may be any bot's
    return f"{name} {text[first.end :].strip()}".strip()


def _addressed(message: Payload, text: str, entities: Sequence[Payload], me: Me) -> bool:
    answered = message.get("reply_to_message", {})
    # What answers nothing in a topic "answers" the service message that began the topic, which may be ours.
    answers_me = answered.get("from", {}).get("id") == me.id and "forum_topic_created" not in answered
    return answers_me or any(_is_me(text, span, me) for span in spans(text, entities))


def _is_me(text: str, span: Span, me: Me) -> bool:
    if span.kind == "mention":
        return text[span.begin : span.end].lower() == f"@{me.username}".lower()
    return span.kind == "text_mention" and span.entity["user"]["id"] == me.id


def _attachments(message: Payload) -> tuple[Attachment, ...]:
    found = (make(message[key]) for key, make in ATTACHMENTS.items() if message.get(key))
    # An animation comes as a document too, and a venue as a location.
    return tuple(found)[:1]


def _media(kind: str, *names: str) -> Callable[[Any], Attachment]:
    def make(media: Any) -> Attachment:
        name = next((media[key] for key in names if media.get(key)), None)
        return Attachment(kind=kind, name=name, seconds=media.get("duration"))

    return make


def _document(media: Any) -> Attachment:
    kind = "image" if str(media.get("mime_type", "")).startswith("image/") else "file"
    return Attachment(kind=kind, name=media.get("file_name"))


# The key of a message that holds the attachment -> what it is called. The first that is there counts.
ATTACHMENTS: dict[str, Callable[[Any], Attachment]] = {
    "photo": lambda sizes: Attachment(kind="image"),
    "voice": _media("voice note"),
    "audio": _media("audio", "file_name", "title"),
    "video": _media("video", "file_name"),
    "video_note": _media("video message"),
    "animation": _media("GIF", "file_name"),
    "document": _document,
    "sticker": _media("sticker", "emoji"),
    "venue": _media("location", "title"),
    "location": _media("location"),
    "contact": _media("contact", "first_name"),
    "poll": _media("poll", "question"),
    "checklist": _media("checklist", "title"),
    "dice": _media("dice", "emoji"),
    "story": _media("story"),
    "game": _media("game", "title"),
    "paid_media": _media("paid media"),
    "invoice": _media("invoice", "title"),
}
