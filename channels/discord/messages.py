"""How one message gets to its place on Discord, is changed and is taken back (channels.delivery.Network).

A message carries its key as nonce, so that Discord itself returns the first one when a send is repeated within minutes.
The first part of an answer to a slash command is the command's own answer, which can be set as often as need be. What
was meant for one person alone is never shown in the open: when the command cannot be answered any more, it goes into
a direct message. Where Discord refuses something beyond the bare message, the plainer thing is done: no reference, no
thread, a new nonce for one whose message was deleted, the command's own answers for a channel that is closed to the
bot. Errors: see api.py.
"""

import asyncio
import hashlib
import logging
from collections import OrderedDict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from channels.delivery import NOTE_TTL_S, Message, MessageGone
from channels.discord.api import NOBODY, TOKEN_UNKNOWN, UNKNOWN_MESSAGE, Api, Refused
from channels.discord.feedback import buttons
from channels.discord.parse import snowflake_at
from channels.discord.render import TEXT_LIMIT, render, split, thread_name
from channels.discord.tickets import KEPT_S, Ticket, Tickets
from channels.text import Part
from core.errors import DeliveryLater, DeliveryRefused
from core.events import Heard, MessageEvent
from core.store import Bucket, Notes

log = logging.getLogger(__name__)

EPHEMERAL = 64
PLACE = "…"  # what stands where the next part of a command's answer will be
# Discord promises none of these (observed: 5 of each in 5 s for a channel); discord.py keeps to the headers besides.
POSTS_PER_S, POSTS_BURST = 1.0, 5.0
EDITS_PER_S, EDITS_BURST = 0.9, 3.0
DRAFT_EDIT_S = 1.2
# Of the 50 calls that Discord takes in any second in all, signs of life (adapter.py) may be 15.
ALL = Bucket("all", 29.0, 6.0)
# Discord remembers nonces for "the past few minutes".
NONCE_KNOWN = timedelta(minutes=2)
CLOCKS_DIFFER = timedelta(seconds=30)
SETTLING_S = 5.0  # so long a command may be answered here before another process has acknowledged it
TOO_OLD_TO_EDIT = 30046
THREAD_EXISTS = 160004
NO_HISTORY = 160002  # a reference needs Read Message History
CLOSED = (10003, 50001, 50013, 50083, 160005)  # nothing can be written there
DAY_MINUTES = 1440
REMEMBERED = 1000
MESSAGES = "/channels/{channel_id}/messages"
MESSAGE = MESSAGES + "/{message_id}"
HOOK = "/webhooks/{webhook_id}/{webhook_token}"


class Messages:
    """The messages of one bot."""

    text_limit = TEXT_LIMIT
    can_tell = True  # a nonce is taken once; what is older is looked for

    def __init__(self, api: Api, tickets: Tickets, notes: Notes) -> None:
        self._api = api
        self._tickets = tickets
        self._notes = notes
        self._opened: OrderedDict[str, str] = OrderedDict()  # space -> the channel that it really is

    def split(self, text: str) -> list[Part]:
        try:
            return split(text)
        except ValueError:  # a fence without a line in it, for one
            return [Part(text, text)]

    def budget(self, message: Message, *, editing: bool) -> list[Bucket]:
        space = message.address.space
        if not editing:
            return self.posting(space)
        pauses = [] if message.final else [Bucket(f"draft:{message.reply_id}", 1 / DRAFT_EDIT_S)]
        return [Bucket(f"edit:{space}", EDITS_PER_S, EDITS_BURST), *pauses, ALL]

    @staticmethod
    def posting(channel: str) -> list[Bucket]:
        """Return the limits that a new message counts against."""
        return [Bucket(f"post:{channel}", POSTS_PER_S, POSTS_BURST), ALL]

    async def post(self, message: Message) -> str:
        ticket = await self._tickets.of(message.in_reply_to)
        if ticket is None:
            return await self._write(await self._place(message), message)
        if message.number == 0:
            await self._settle(message)
        if ticket.is_open and (message.number == 0 or ticket.discreet):
            try:
                return await self._answer(ticket, message)
            except Refused as error:
                if error.code not in TOKEN_UNKNOWN:
                    raise
                if ticket.age_s < SETTLING_S:
                    raise DeliveryLater("the command is being acknowledged", 0.3) from None
        try:
            return await self._write(await self._fallback(ticket, message), message)
        except Refused as error:
            if error.code not in CLOSED or not ticket.is_open:
                raise
        return await self._answer(ticket, message)

    async def edit(self, message_id: str, message: Message) -> None:
        ticket = await self._tickets.of(message.in_reply_to)
        body = {"content": render(message.shown), "allowed_mentions": NOBODY, "components": _components(message)}
        try:
            if ticket and ticket.is_open and (message.number == 0 or ticket.discreet):
                await self._hook(ticket, "PATCH", f"/messages/{message_id}", body)
            elif ticket and ticket.discreet:
                raise MessageGone("a command's answer cannot be changed after 15 minutes")
            else:
                await self._reach(ticket, "PATCH", message_id, message, body)
        except Refused as error:
            if error.code in (*TOKEN_UNKNOWN, TOO_OLD_TO_EDIT):
                raise MessageGone(str(error)) from None
            raise

    async def delete(self, message_id: str, message: Message) -> None:
        ticket = await self._tickets.of(message.in_reply_to)
        try:
            if ticket and ticket.is_open and (message.number == 0 or ticket.discreet):
                await self._hook(ticket, "DELETE", f"/messages/{message_id}")
            elif not (ticket and ticket.discreet):
                await self._reach(ticket, "DELETE", message_id, message)
        except Refused as error:
            if error.code not in TOKEN_UNKNOWN:
                raise

    async def find(self, message: Message, since: datetime) -> str | None:
        """Look through what the bot wrote in the channel, where a nonce or the command itself does not settle it."""
        ticket = await self._tickets.of(message.in_reply_to)
        if ticket and message.number and (place := await asyncio.to_thread(self._notes.get, _follow_up_note(message))):
            return place
        if ticket and (ticket.discreet or (ticket.is_open and message.number == 0)):
            return None
        if datetime.now(UTC) - since < NONCE_KNOWN and not (ticket and message.number == 0):
            return None
        after = snowflake_at(since - CLOCKS_DIFFER)
        query = {"after": str(after), "limit": 100}
        channel = await self._place(message)
        try:
            written = await self._api.call("GET", MESSAGES, query=query, channel_id=channel)
        except Refused:  # it cannot be told; that nothing can be written there either, the next attempt will show
            return None
        found = next(
            (str(one["id"]) for one in written if one.get("author", {}).get("bot") and _is(one, message)), None
        )
        if found:
            await self._stands(channel, found, message)
        return found

    async def space(self, channel: str, message_id: str) -> str:
        """Return the space of a message that stands in this channel: another, where its thread could not be made."""
        return await asyncio.to_thread(self._notes.get, f"space:{channel}:{message_id}") or channel

    async def _stands(self, channel: str, message_id: str, message: Message) -> None:
        if channel != message.address.space:
            name = f"space:{channel}:{message_id}"
            await asyncio.to_thread(self._notes.put, name, message.address.space, NOTE_TTL_S)

    async def typing(self, heard: Heard) -> None:
        """Show for ten seconds that the bot is writing; beside the message as long as its thread is not open."""
        space = heard.address.space
        channel = self._opened.get(space) or _parent(space, (heard.event_id,)) or space
        await self._api.call("POST", "/channels/{channel_id}/typing", channel_id=channel)

    async def tell(self, event: MessageEvent, text: str) -> None:
        """Tell a person why their message was not taken."""
        _, channel, message_id = event.id.split(":")
        nonce = "-" + hashlib.sha256(event.id.encode()).hexdigest()[:24]
        body: dict[str, Any] = {"content": text, "nonce": nonce, "enforce_nonce": True, "allowed_mentions": NOBODY}
        if not event.address.direct:
            body["message_reference"] = _reference(message_id)
        await self._send(channel, body)

    async def open_thread(self, parent: str, thread: str, question: str) -> str:
        """Begin a thread with the message of the same id; return where to write: its parent if it may not be made."""
        body = {"name": thread_name(question) or "Conversation", "auto_archive_duration": DAY_MINUTES}
        place = thread
        try:
            await self._api.call("POST", MESSAGE + "/threads", body, channel_id=parent, message_id=thread)
        except Refused as error:
            if error.code != THREAD_EXISTS:
                place = parent
        self._remember(thread, place)
        return place

    def _remember(self, thread: str, place: str) -> None:
        self._opened[thread] = place
        while len(self._opened) > REMEMBERED:
            self._opened.popitem(last=False)

    async def _place(self, message: Message) -> str:
        """Return the channel of a message; its thread is made if it is to begin with the message that is answered."""
        space = message.address.space
        if space in self._opened:
            return self._opened[space]
        parent = _parent(space, message.in_reply_to)
        return await self.open_thread(parent, space, "") if parent else space

    async def _write(self, channel: str, message: Message) -> str:
        content = render(message.shown)
        body = {
            "content": content,
            "nonce": message.key,
            "enforce_nonce": True,
            "allowed_mentions": NOBODY,
            "components": _components(message),
        }
        asked = next((number for place, number in _asked(message.in_reply_to[-1:]) if place == channel), None)
        if asked and message.number == 0 and not message.address.direct:
            body["message_reference"] = _reference(asked)
        try:
            made = await self._send(channel, body)
        except Refused as error:
            parent = _parent(channel, message.in_reply_to)
            if error.code not in CLOSED or not parent:
                raise
            self._remember(channel, parent)
            return await self._write(parent, message)
        await self._stands(channel, str(made["id"]), message)
        # The one that an earlier attempt made, with the text of then. A draft leaves it: that may be the reply itself.
        if message.final and made["content"] != content.strip():
            change = {name: body[name] for name in ("content", "allowed_mentions", "components")}
            try:
                await self._api.call("PATCH", MESSAGE, change, channel_id=channel, message_id=made["id"])
            except Refused as error:
                if error.code != UNKNOWN_MESSAGE:
                    raise
                raise DeliveryLater("the message was deleted just now", 0.3) from None
        return str(made["id"])

    async def _send(self, channel: str, body: dict[str, Any]) -> Any:
        """Post; without what Discord refuses: a reference, the nonce of a message that was deleted."""
        while True:
            try:
                return await self._api.call("POST", MESSAGES, body, channel_id=channel)
            except Refused as error:
                if error.code == NO_HISTORY and "message_reference" in body:
                    log.info("in channel %s no message can be pointed to: %s", channel, error)
                    body = {name: value for name, value in body.items() if name != "message_reference"}
                elif error.code == UNKNOWN_MESSAGE and "-" in body["nonce"]:
                    body = body | {"nonce": body["nonce"].replace("-", "+")}
                else:
                    raise

    async def _reach(
        self, ticket: Ticket | None, verb: str, message_id: str, message: Message, body: Any = None
    ) -> None:
        """Change or delete a message of a channel, or a command's answer that stands in for one."""
        channel = await self._place(message)
        try:
            await self._api.call(verb, MESSAGE, body, channel_id=channel, message_id=message_id)
        except Refused as error:
            if error.code not in CLOSED or not ticket or not ticket.is_open:
                raise
            await self._hook(ticket, verb, f"/messages/{message_id}", body)

    async def _answer(self, ticket: Ticket, message: Message) -> str:
        body: dict[str, Any] = {"content": render(message.shown), "allowed_mentions": NOBODY}
        body["components"] = _components(message)
        if message.number == 0:
            made = await self._hook(ticket, "PATCH", "/messages/@original", body)
            return str(made["id"])
        return await self._follow_up(ticket, message, body)

    async def _follow_up(self, ticket: Ticket, message: Message, body: dict[str, Any]) -> str:
        """Post a further part of a command's answer: a place for it first, then its text.

        Discord has no nonce here and no list of these messages. So what a crash in mid-send can leave behind has
        nothing in it yet, and the text goes where the place for it is noted.
        """
        note = _follow_up_note(message)
        message_id = await asyncio.to_thread(self._notes.get, note)
        if not message_id:
            place = {"content": PLACE, "allowed_mentions": NOBODY, "flags": EPHEMERAL if ticket.discreet else 0}
            message_id = str((await self._hook(ticket, "POST", "", place))["id"])
            await asyncio.to_thread(self._notes.put, note, message_id, KEPT_S)
        try:
            await self._hook(ticket, "PATCH", f"/messages/{message_id}", body)
        except Refused as error:
            if error.code != UNKNOWN_MESSAGE:
                raise
            await asyncio.to_thread(self._notes.drop, note)
            raise DeliveryLater("the message was deleted just now", 0.3) from None
        return message_id

    async def _fallback(self, ticket: Ticket, message: Message) -> str:
        """Return the channel for an answer that the command itself cannot take."""
        if not ticket.discreet:
            return message.address.space
        if not ticket.user:
            raise DeliveryRefused("Discord: it is not known any more who asked, and others must not read the answer")
        return await self._api.direct(ticket.user)

    async def _settle(self, message: Message) -> None:
        """Take "thinking" away from further commands that this message answers as well."""
        for ticket in await self._tickets.others(message.in_reply_to):
            try:
                await self._hook(ticket, "DELETE", "/messages/@original")
            except Refused as error:
                if error.code not in TOKEN_UNKNOWN:
                    raise

    async def _hook(self, ticket: Ticket, verb: str, path: str, body: Any = None) -> Any:
        return await self._api.call(verb, HOOK + path, body, webhook_id=ticket.application, webhook_token=ticket.token)


def _components(message: Message) -> list[dict[str, Any]]:
    asks = message.final and message.last and message.rateable
    return buttons(message.reply_id) if asks else []


def _follow_up_note(message: Message) -> str:
    return f"followup:{message.key}"


def _reference(message_id: str) -> dict[str, Any]:
    return {"type": 0, "message_id": message_id, "fail_if_not_exists": False}


def _asked(event_ids: Sequence[str]) -> list[tuple[str, str]]:
    """Return channel and message of the messages that are answered; commands have none."""
    split_ids = [event_id.split(":") for event_id in event_ids]
    return [(parts[1], parts[2]) for parts in split_ids if len(parts) == 3 and parts[1].isdecimal()]


def _parent(space: str, event_ids: Sequence[str]) -> str | None:
    """Return the channel where a thread begins, if it begins with one of these messages."""
    return next((channel for channel, number in _asked(event_ids) if number == space), None)


def _is(written: dict[str, Any], message: Message) -> bool:
    """Say whether what a bot wrote is this message, in full or as far as it had been written."""
    text, content = str(written.get("content", "")), render(message.shown).strip()
    if not text or not (text == content or (len(text) >= 20 and content.startswith(text))):
        return False
    answered = (written.get("message_reference") or {}).get("message_id")
    if answered and answered not in [number for _, number in _asked(message.in_reply_to)]:
        return False
    ids = [button.get("custom_id", "") for row in written.get("components", ()) for button in row["components"]]
    return all(one.endswith(message.reply_id) for one in ids)
