"""Slack's payloads as MessageEvents: pure, so that what an adapter knows of the world is passed in.

Here: which messages are for the bot, where their answers go, what was attached. Not here: how texts are read
(markup.py), whether the bot takes part in a thread and what people are called (handlers.py looks that up before).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from channels.slack import markup
from core import commands
from core.events import Address, Attachment, MessageEvent, moment

CHANNEL = "slack"
COMMAND = "/rapport"
# What the prompt for help says in the name of the person; a slash command would be Slack's to read.
WHAT_CAN_YOU_DO = "What can you do?"
# Messages that people write have one of these subtypes; the others are edits, deletions, joins and the like.
SPOKEN = {None, "file_share", "thread_broadcast", "me_message"}
FROM_BOT = "bot_message"


@dataclass(frozen=True)
class Me:
    """Who the bot is in one workspace."""

    team: str
    user: str
    bot: str
    name: str


def parse(
    payload: Mapping[str, Any],
    me: Me,
    *,
    takes_part: bool = False,
    names: Mapping[str, str] | None = None,
    other_bots: bool = False,
) -> MessageEvent | None:
    """Return the message of an event_callback, or None if it is not for the bot.

    Args:
        payload: What Slack sent; its event is a message or an app_mention.
        me: The bot in the workspace that the event was delivered for.
        takes_part: Whether the bot takes part in the thread that the message is in.
        names: Display names by user id.
        other_bots: Whether messages of other bots are answered.

    Raises:
        KeyError, ValueError, TypeError, AttributeError: The payload is not what Slack documents.
    """
    event = payload["event"]
    if not _is_spoken(event, me, other_bots):
        return None
    text = event.get("text") or ""
    direct = event.get("channel_type") == "im"
    if not (direct or _mentions(event, me) or (_is_reply(event) and _goes_on(event, me, text, takes_part))):
        return None
    channel, ts = event["channel"], event["ts"]
    known = names or {}
    user = event.get("user") or event["bot_id"]
    said = _text(event, me, known)
    return MessageEvent(
        id=f"{CHANNEL}:{me.team}:{channel}:{ts}",
        address=Address(
            channel=CHANNEL,
            space=f"{me.team}/{channel}",
            thread=event.get("thread_ts") or (None if direct else ts),
            direct=direct,
        ),
        user=user,
        workspace=me.team,
        user_name=known.get(user),
        text="/help" if direct and said == WHAT_CAN_YOU_DO else said,
        attachments=tuple(_attachment(file) for said in (event, *_shared(event)) for file in said.get("files") or ()),
        prefix=f"{COMMAND} ",
        sent_at=moment(float(ts)),
    )


def parse_slash(
    form: Mapping[str, Any], me: Me, names: Mapping[str, str] | None = None, *, admin: bool = False
) -> MessageEvent:
    """Return the message of a slash command.

    "/rapport help" is the command /help, whose answer only its sender sees. "/rapport forget about work" is none, as
    nothing can follow that one, and what erases must not be called by mistake. Anything else is said to the bot in
    that place, for all to see: so neither is the address "direct" (people call commands in conversations with others,
    too, and Slack does not tell these from the conversation with the bot). The commands of admins are commands if their
    sender is an ``admin``, and words like others if not.

    Raises:
        KeyError, ValueError: The form is not what Slack documents.
    """
    typed = (form.get("text") or "").strip()
    first, *rest = typed.split(maxsplit=1) or ["help"]
    called, argument = first.removeprefix("/").lower(), "".join(rest).strip()
    is_command = _is_command(commands.known(admin=admin).get(called), argument)
    known = names or {}
    text = f"/{called} {argument}".strip() if is_command else typed.removeprefix("/")
    return MessageEvent(
        id=f"{CHANNEL}:{me.team}:slash:{form['trigger_id']}",
        address=Address(channel=CHANNEL, space=f"{me.team}/{form['channel_id']}", direct=False),
        user=form["user_id"],
        workspace=me.team,
        user_name=known.get(form["user_id"]) or form.get("user_name"),
        text=markup.to_markdown(text, own=me.user, name=me.name, names=known, emoji={}),
        discreet=is_command,
        prefix=f"{form.get('command') or COMMAND} ",
    )


def _is_command(command: commands.Command | None, argument: str) -> bool:
    if command is None or not argument:
        return command is not None
    if command.choices:
        return argument.lower().removeprefix("/") in command.choices
    return command.argument is not None


def people_in(event: Mapping[str, Any], me: Me) -> set[str]:
    """Return the ids of those whose names ``parse`` would use."""
    text = event.get("text") or ""
    author = {event["user"]} if isinstance(event.get("user"), str) else set()
    return (markup.mentioned(text) | author) - {me.user}


def thread_in_doubt(event: Mapping[str, Any], me: Me) -> str | None:
    """Return the thread of which ``parse`` must know whether the bot takes part in it, if it depends on that."""
    if event.get("channel_type") == "im" or not _is_reply(event) or _mentions(event, me):
        return None
    return None if event.get("parent_user_id") == me.user else event["thread_ts"]


def _is_spoken(event: Mapping[str, Any], me: Me, other_bots: bool) -> bool:
    subtype, bot = event.get("subtype"), event.get("bot_id")
    if event.get("user") == me.user or bot == me.bot or event.get("hidden"):
        return False
    if bot or subtype == FROM_BOT:
        return other_bots and subtype in SPOKEN | {FROM_BOT}
    return subtype in SPOKEN


def _mentions(event: Mapping[str, Any], me: Me) -> bool:
    """Tell whether a message names the bot. Slack itself says so of an app_mention, however the text puts it."""
    return event.get("type") == "app_mention" or me.user in markup.mentioned(event.get("text") or "")


def _is_reply(event: Mapping[str, Any]) -> bool:
    return bool(event.get("thread_ts")) and event["thread_ts"] != event["ts"]


def _goes_on(event: Mapping[str, Any], me: Me, text: str, takes_part: bool) -> bool:
    """Tell whether a message in a thread is for the bot although it does not mention it."""
    # Who begins with another's name speaks to that person.
    return (takes_part or event.get("parent_user_id") == me.user) and not text.lstrip().startswith("<@")


def _text(event: Mapping[str, Any], me: Me, names: Mapping[str, str]) -> str:
    emoji = markup.emoji_in(event.get("blocks"))

    def read(text: str) -> str:
        return markup.to_markdown(text, own=me.user, name=me.name, names=names, emoji=emoji)

    quotes = [_quote(one.get("author_name") or "Somebody", read(one.get("text") or "")) for one in _shared(event)]
    return "\n\n".join(filter(None, [read(event.get("text") or ""), *quotes]))


def _shared(event: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the messages that were passed on with a message: they stand beside its text, each with its own files."""
    return [one for one in event.get("attachments") or () if one.get("is_share")]


def _quote(author: str, text: str) -> str:
    return f"{author} wrote:\n> " + text.replace("\n", "\n> ") if text else f"(passed on from {author})"


def _attachment(file: Mapping[str, Any]) -> Attachment:
    kind, _, _ = (file.get("mimetype") or "").partition("/")
    spoken = file.get("subtype") == "slack_audio" or (kind == "audio" and "duration_ms" in file)
    duration = file.get("duration_ms")
    return Attachment(
        kind="voice note" if spoken else kind if kind in ("image", "audio", "video") else "file",
        name=None if spoken else file.get("title") or file.get("name"),
        seconds=round(duration / 1000) if duration else None,
    )
