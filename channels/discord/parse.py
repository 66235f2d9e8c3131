"""Discord's raw gateway JSON -> MessageEvent or None (pure). Not here: feedback (feedback.py), the connection.

Who is answered: everybody in direct messages; in servers who mentions the bot or the role that Discord made for it,
who replies to it, who writes in a thread it takes part in unless it is meant for somebody else, and who uses a command
of its own. Never itself, webhooks, system messages, edits and, unless settings say so, other bots.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from core import commands
from core.dialogue import Address
from core.events import Attachment, MessageEvent, moment

CHANNEL = "discord"
CHAT = "chat"  # the command that talks to the bot where it reads no mentions, with its option
CHAT_OPTION = "message"
EPOCH_MS = 1_420_070_400_000
# Types of messages that people write; all others are news of the system ("Ada pinned a message").
WRITTEN = (0, 19)
FORWARD = 1
VOICE_MESSAGE = 1 << 13
CHAT_INPUT = 1
SLASH_COMMAND = 2
BOT_DIRECT = 1
Payload = Mapping[str, Any]

_MARKUP = re.compile(
    r"(?P<code>```.*?```|`[^`\n]+`)"
    r"|(?P<space>[ \t]?)(?:<@!?(?P<user>\d+)>|<@&(?P<role>\d+)>)"
    r"|<#(?P<channel>\d+)>|<a?:(?P<emoji>\w+):\d+>|</(?P<command>[^:<>]+):\d+>"
    r"|<t:(?P<moment>-?\d{1,15})(?::[A-Za-z])?>|<id:(?P<place>\w+)(?::\d+)?>",
    re.DOTALL,
)


@dataclass(frozen=True)
class Me:
    """The bot's own account, and the roles that Discord made for it in its servers."""

    id: str
    roles: frozenset[str] = frozenset()


class Surroundings(Protocol):
    """What the adapter knows of the places that payloads name by their ids."""

    def channel(self, channel_id: str) -> str | None:
        """Return the name of a channel."""

    def role(self, role_id: str) -> str | None:
        """Return the name of a role."""

    def takes_part(self, channel_id: str) -> bool:
        """Say whether this is a thread that the bot takes part in, and whose messages it may read."""

    def hides(self, channel_id: str) -> bool:
        """Say whether this is a thread of the bot's own where Discord keeps back what does not mention it."""

    def branches(self, channel_id: str) -> bool:
        """Say whether a mention here begins a thread of its own. A thread has the id of the message it begins with."""


def parse(message: Payload, me: Me, around: Surroundings, *, other_bots: bool = False) -> MessageEvent | None:
    """Return the message to the bot that this message is (``d`` of MESSAGE_CREATE), or None.

    One without text and attachments in a server is one that Discord kept back.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: the payload is not as Discord's API describes it.
    """
    author = message["author"]
    if message["type"] not in WRITTEN or author["id"] == me.id:
        return None
    if (author.get("bot") or message.get("webhook_id")) and not other_bots:
        return None
    channel_id, direct = message["channel_id"], "guild_id" not in message
    called = direct or _called(message, me)
    hidden = not called and around.hides(channel_id)
    if not called and (not (hidden or around.takes_part(channel_id)) or _for_another(message, author["id"])):
        return None
    text, attachments = ("", ()) if hidden else (_content(message, me, around), _attachments(message))
    if not called and not hidden and not text and not attachments:
        return None
    space = message["id"] if not direct and around.branches(channel_id) else channel_id
    return MessageEvent(
        id=f"{CHANNEL}:{channel_id}:{message['id']}",
        address=Address(channel=CHANNEL, space=space, direct=direct),
        user=author["id"],
        user_name=_name(author, message.get("member")),
        text=text,
        attachments=attachments,
        sent_at=datetime.fromisoformat(message["timestamp"]),
    )


def parse_command(interaction: Payload, around: Surroundings) -> MessageEvent | None:
    """Return the event of a slash command (``d`` of INTERACTION_CREATE), or None if the bot has no such command.

    Commands other than /chat are answered to their sender alone, as they are nobody else's business.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: the payload is not as Discord's API describes it.
    """
    data = interaction["data"]
    if interaction["type"] != SLASH_COMMAND or data.get("type", CHAT_INPUT) != CHAT_INPUT:
        return None
    chat = data["name"] == CHAT
    if not chat and data["name"] not in commands.TABLE:
        return None
    direct = "guild_id" not in interaction and interaction.get("context", BOT_DIRECT) == BOT_DIRECT
    member = interaction.get("member")
    user = member["user"] if member else interaction["user"]
    given = " ".join(str(option["value"]) for option in data.get("options", ()))
    return MessageEvent(
        id=f"{CHANNEL}:interaction:{interaction['id']}",
        address=Address(channel=CHANNEL, space=interaction["channel_id"], direct=direct),
        user=user["id"],
        user_name=_name(user, member),
        text=plain(given, around) if chat else f"/{data['name']} {given}".strip(),
        discreet=not chat and not direct,
        sent_at=made_at(interaction["id"]),
    )


def made_at(snowflake: str) -> datetime:
    """Return when something with this id was made; raises ValueError if it is none."""
    number = int(snowflake)
    if number >> 64:
        raise ValueError("an id of Discord has 64 bits")
    return moment(((number >> 22) + EPOCH_MS) / 1000)


def snowflake_at(moment: datetime) -> int:
    """Return the smallest id that something made at this time can have."""
    return max(0, int(moment.timestamp() * 1000) - EPOCH_MS) << 22


def plain(text: str, around: Surroundings, names: Mapping[str, str] = {}, me: Me | None = None) -> str:
    """Return the text with Discord's mark-up for people, places, emoji and times in plain words; code stays as it is.

    Args:
        text: what was written.
        around: names of channels and roles.
        names: the people it mentions, by id.
        me: the bot, whose own mention is left out.
    """

    def word(found: re.Match[str]) -> str:
        kind = found.lastgroup or ""
        return "" if _is_me(found, me) else WORDS[kind](found, around, names)

    said = _MARKUP.sub(word, text).strip()
    first = _MARKUP.match(text.lstrip())
    return said.lstrip(" ,:") if first and _is_me(first, me) else said


def _is_me(found: re.Match[str], me: Me | None) -> bool:
    return me is not None and (found["user"] == me.id or found["role"] in me.roles)


def _moment(found: re.Match[str]) -> str:
    try:
        return f"{moment(int(found['moment'])):%Y-%m-%d %H:%M} UTC"
    except ValueError:
        return found[0]


WORDS: dict[str, Callable[[re.Match[str], Surroundings, Mapping[str, str]], str]] = {
    "code": lambda found, around, names: found[0],
    "user": lambda found, around, names: f"{found['space']}@{names.get(found['user'], 'someone')}",
    "role": lambda found, around, names: f"{found['space']}@{around.role(found['role']) or 'a role'}",
    "channel": lambda found, around, names: f"#{around.channel(found['channel']) or 'a-channel'}",
    "emoji": lambda found, around, names: f":{found['emoji']}:",
    "command": lambda found, around, names: f"/{found['command']}",
    "moment": lambda found, around, names: _moment(found),
    "place": lambda found, around, names: f"#{found['place']}",
}


def _called(message: Payload, me: Me) -> bool:
    """Say whether the bot is mentioned, by its role as well, or replied to."""
    answered = message.get("referenced_message") or {}
    return (
        any(user["id"] == me.id for user in message["mentions"])
        or not me.roles.isdisjoint(message["mention_roles"])
        or answered.get("author", {}).get("id") == me.id
    )


def _for_another(message: Payload, author: str) -> bool:
    """Say whether a message in a thread is meant for somebody else than the bot."""
    answered = (message.get("referenced_message") or {}).get("author", {}).get("id", author)
    return answered != author or any(user["id"] != author for user in message["mentions"])


def _content(message: Payload, me: Me, around: Surroundings) -> str:
    names = {user["id"]: _name(user, user.get("member")) for user in message["mentions"]}
    text = plain(message["content"], around, names, me)
    for original in _forwarded(message):
        if quoted := plain(original.get("content", ""), around).replace("\n", "\n> "):
            text = f"{text}\n\nForwarded message:\n> {quoted}".strip()
    return text


def _forwarded(message: Payload) -> list[Payload]:
    if (message.get("message_reference") or {}).get("type") != FORWARD:
        return []
    return [snapshot["message"] for snapshot in message.get("message_snapshots", ())]


def _attachments(message: Payload) -> tuple[Attachment, ...]:
    found = [_file(file, message) for part in (message, *_forwarded(message)) for file in part.get("attachments", ())]
    found += [Attachment(kind="sticker", name=sticker["name"]) for sticker in message.get("sticker_items", ())]
    if poll := message.get("poll"):
        found.append(Attachment(kind="poll", name=poll["question"].get("text")))
    return tuple(found)


def _file(file: Payload, message: Payload) -> Attachment:
    if message.get("flags", 0) & VOICE_MESSAGE:
        return Attachment(kind="voice note", seconds=file.get("duration_secs"))
    family = str(file.get("content_type", "")).partition("/")[0]
    kind = family if family in ("image", "audio", "video") else "file"
    return Attachment(kind=kind, name=file.get("title") or file["filename"], seconds=file.get("duration_secs"))


def _name(user: Payload, member: Payload | None) -> str:
    name = (member or {}).get("nick") or user.get("global_name") or user["username"]
    return str(name)
