"""How one message gets to a chat, is changed and is taken back (channels.delivery.Network). Errors: see api.py.

Telegram has no key that would make a repeated send harmless, and a bot cannot read back what it wrote. A message
whose sending broke off is therefore sent once more with a visible mark, and ``find`` finds nothing.
"""

import html
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, TypeVar

from telegram import LinkPreviewOptions, ReplyParameters
from telegram.error import BadRequest, ChatMigrated

from channels.delivery import Message, MessageGone
from channels.telegram.api import Api, markup, says, translated
from channels.telegram.feedback import keyboard
from channels.telegram.render import fits, quiet, render, units
from channels.text import Part, split
from core.dialogue import Address
from core.store import Bucket

T = TypeVar("T")

TEXT_LIMIT = 4096
REPEATED = "↻ sent again, as I cannot tell whether it arrived before"
# Telegram allows 1 message a second to a chat, 20 a minute to a group, 30 a second in all; edits count as well. Ours
# is a little less: what was sent evenly may arrive in heaps, and a burst with what follows it must stay within as well.
CHAT_PER_S = 1.0
GROUP_PER_S, GROUP_BURST = 1 / 3.5, 3.0
ALL_PER_S, ALL_BURST = 20.0, 5.0
CRUMBS = 1000  # of which one message is
# How often a text that is being written may change (observed: faster edits are refused after a while).
DIRECT_EDIT_S = 1.1
GROUP_EDIT_S = 3.1

NO_PREVIEW = LinkPreviewOptions(is_disabled=True)
# Of a new message and of an edit; "must be non-empty" is what is left of HTML in which nothing can be seen.
UNREADABLE = ("can't parse entities", "is too long", "message_too_long", "text is empty", "must be non-empty")
NO_TOPIC = "thread not found"
UNCHANGED = "message is not modified"
GONE = ("message to edit not found", "message can't be edited", "message_id_invalid")
NOTHING_TO_DELETE = ("message to delete not found", "message can't be deleted", "message_id_invalid")


class Messages:
    """The messages of one bot."""

    text_limit = TEXT_LIMIT
    can_tell = False

    def __init__(self, api: Api) -> None:
        self._bot = api.bot
        self._moved: dict[str, int] = {}  # groups that became supergroups since we began

    def split(self, text: str) -> list[Part]:
        return split(text, fits)

    def budget(self, message: Message, *, editing: bool) -> list[Bucket]:
        space, direct = message.address.space, message.address.direct
        buckets = limits(message.address)
        if editing and not message.final:
            buckets.append(Bucket(f"edits:{space}", 1 / (DIRECT_EDIT_S if direct else GROUP_EDIT_S)))
        return buckets

    async def post(self, message: Message) -> str:
        async def send(chat: int, thread: int | None, content: dict[str, Any]) -> str:
            sent = await self._bot.send_message(
                chat,
                message_thread_id=thread,
                reply_parameters=_answered(message, chat),
                disable_notification=message.number > 0,  # one reply, one sound
                **content,
            )
            return str(sent.message_id)

        async def send_there(chat: int, content: dict[str, Any]) -> str:
            thread = int(message.address.thread) if message.address.thread else None
            try:
                return await send(chat, thread, content)
            except BadRequest as error:
                # Topics of private chats come and go (and with some servers take no messages of bots): better beside
                # the topic than not at all. In a group the other topics are other people's.
                if thread is None or not message.address.direct or not says(error, NO_TOPIC):
                    raise
                return await send(chat, None, content)

        return await self._wherever(
            message, lambda chat: _readable(message, lambda **content: send_there(chat, content))
        )

    async def edit(self, message_id: str, message: Message) -> None:
        async def change(chat: int, **content: Any) -> None:
            await self._bot.edit_message_text(chat_id=chat, message_id=int(message_id), **content)

        chat = self._chat(message)
        with translated(harmless=True):
            try:
                await _readable(message, lambda **content: change(chat, **content))
            except ChatMigrated as error:  # what was written before it moved is not in the new chat
                self._moved[message.address.space] = error.new_chat_id
                raise MessageGone("the group has become a supergroup") from None
            except BadRequest as error:
                if says(error, *GONE):
                    raise MessageGone(f"Telegram: {error.message}") from None
                if not says(error, UNCHANGED):
                    raise

    async def delete(self, message_id: str, message: Message) -> None:
        async def remove(chat: int) -> None:
            try:
                await self._bot.delete_message(chat, int(message_id))
            except BadRequest as error:
                if not says(error, *NOTHING_TO_DELETE):
                    raise

        await self._wherever(message, remove, harmless=True)

    async def find(self, message: Message, since: datetime) -> str | None:
        """Return None: a bot cannot read what it wrote. But only once Telegram answers again at all.

        The one repeat that a message in doubt gets shall not be lost to the same trouble.
        """
        with translated(harmless=True):
            await self._bot.get_me()
        return None

    async def typing(self, space: str, thread: str | None) -> None:
        """Show for five seconds that the bot is writing."""
        with translated(harmless=True):
            try:
                await self._bot.send_chat_action(
                    self._moved.get(space, int(space)), "typing", message_thread_id=int(thread) if thread else None
                )
            except ChatMigrated as error:
                self._moved[space] = error.new_chat_id

    def _chat(self, message: Message) -> int:
        return self._moved.get(message.address.space, int(message.address.space))

    async def _wherever(self, message: Message, do: Callable[[int], Awaitable[T]], *, harmless: bool = False) -> T:
        """Do it in the message's chat, or in the one that this chat has become."""
        with translated(harmless=harmless):
            try:
                return await do(self._chat(message))
            except ChatMigrated as error:
                self._moved[message.address.space] = error.new_chat_id
                return await do(error.new_chat_id)


def limits(address: Address) -> list[Bucket]:
    """Return what any message to this chat counts against."""
    buckets = [Bucket(f"chat:{address.space}", CHAT_PER_S, 2), Bucket("all", ALL_PER_S, ALL_BURST)]
    if not address.direct:
        buckets.append(Bucket(f"group:{address.space}", GROUP_PER_S, GROUP_BURST))
    return buckets


def glance(address: Address) -> Bucket:
    """Return the chat's bucket in crumbs: what takes one, such as a sign of life, costs the chat's messages nothing.

    But it waits as they do where the network said so, and where two of them were sent just now.
    """
    return Bucket(f"chat:{address.space}", CRUMBS * CHAT_PER_S, CRUMBS)


async def _readable(message: Message, send: Callable[..., Awaitable[T]]) -> T:
    """Send it formatted, or plain if Telegram does not take the format."""
    asks = message.final and message.last and message.rateable
    common = {
        "reply_markup": markup(keyboard(message.reply_id)) if asks else None,
        "link_preview_options": NO_PREVIEW,
    }
    rendered = render(message.shown)
    marked = f"{rendered.html}\n\n<i>{html.escape(REPEATED)}</i>" if message.repeated else rendered.html
    try:
        return await send(text=marked, parse_mode="HTML", **common)
    except BadRequest as error:
        if not says(error, *UNREADABLE):
            raise
    plain = f"{quiet(message.shown)}\n\n{REPEATED}" if message.repeated else quiet(message.shown)
    return await send(text=plain if units(plain) <= TEXT_LIMIT else rendered.shown, parse_mode=None, **common)


def _answered(message: Message, chat: int) -> ReplyParameters | None:
    """Point to the message that is answered, in groups and there in the first part."""
    if message.address.direct or message.number > 0 or not message.in_reply_to:
        return None
    *_, space, number = message.in_reply_to[-1].split(":")
    if space != str(chat) or not number.isdecimal():
        return None
    return ReplyParameters(int(number), allow_sending_without_reply=True)
