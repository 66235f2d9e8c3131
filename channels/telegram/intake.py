"""What is done with one update, however it came: stored first, and only then anything else."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from telegram import ReplyParameters
from telegram.error import BadRequest, RetryAfter, TelegramError

from channels.base import Accept
from channels.telegram.api import Api, markup, reason, says, wait_s
from channels.telegram.feedback import Pressed, Reacted, Verdict, keyboard, pressed, reacted
from channels.telegram.messages import limits
from channels.telegram.parse import CHANNEL, CUT_CHARS, Bare, Me, Payload, bare, parse
from core import logs
from core.errors import InputError, StoreUnavailable
from core.events import Address, MessageEvent
from core.store import Store

log = logging.getLogger(__name__)

REMEMBERED = 1000
PASTE_S = 2  # between the parts of one pasted text
HINT_S = 3600.0  # between two words to the same person on how a command is meant for us
TELL_S = 3.0  # between two hints to the same person: who sends too much must not make the bot do the same
THANKS: dict[Verdict | None, str] = {"up": "Thank you 👍", "down": "Thank you, noted 👎", None: "Taken back"}


class Intake:
    """Takes updates of one bot. Everything that only pleases (hints, button marks) is done beside, and may fail."""

    def __init__(self, api: Api, store: Store, *, other_bots: bool) -> None:
        self._api = api
        self._people = store.people
        self._notes = store.notes(CHANNEL)
        self._pace = store.pace(CHANNEL)
        self._other_bots = other_bots
        self._together = _Together()
        self._admits = store.admits
        self._presses: OrderedDict[tuple[str, str], Pressed] = OrderedDict()  # the last one of each message
        self._told: OrderedDict[str, float] = OrderedDict()
        self._beside: set[asyncio.Task[None]] = set()

    async def take(self, update: Mapping[str, Any], me: Me, accept: Accept) -> None:
        """Store what the update brings; when this returns, Telegram may forget it. Raises StoreUnavailable."""
        try:
            event = parse(update, me, other_bots=self._other_bots, continues=self._together.continues)
            press, reaction, unnamed = pressed(update), reacted(update), bare(update, me)
        except Exception as error:  # it would be no better the next time, and must not hold up what comes after it
            # Neither text nor names: what is wrong is the form.
            log.warning("update %s (%s) is not understood: %s", update.get("update_id"), _kind(update), _type(error))
            return
        if event:
            self._together.note(update["message"])
            await self._accept(event, accept)
        elif unnamed:
            self._do_beside(lambda: self._hint(unnamed, me))
        elif press:
            await asyncio.to_thread(self._rate, press.reply_id, press)
            self._do_beside(lambda: self._acknowledge(press))
        elif "callback_query" in update:
            self._do_beside(lambda: self._acknowledge_foreign(update))
        elif reaction:
            reply_id = await asyncio.to_thread(self._notes.get, f"reply:{reaction.space}:{reaction.message_id}")
            if reply_id:
                await asyncio.to_thread(self._rate, reply_id, reaction)

    def _rate(self, reply_id: str, change: Pressed | Reacted) -> None:
        person = _person(change.user)
        for verdict in change.withdrawn:
            self._people.unrate(person, reply_id, verdict)
        if change.verdict:
            self._people.rate(person, reply_id, change.verdict)

    async def close(self) -> None:
        """Finish what is done beside."""
        if self._beside:
            await asyncio.wait(self._beside, timeout=2)
        for task in self._beside:
            task.cancel()

    async def _accept(self, event: MessageEvent, accept: Accept) -> None:
        try:
            await accept(event)
        except InputError as error:
            text = str(error)
            if not error.told:
                with logs.about(event.id):  # what is done beside inherits it
                    self._do_beside(lambda: self._refuse(event, text))

    async def _refuse(self, event: MessageEvent, text: str) -> None:
        now = time.monotonic()
        if now - self._told.get(event.person, -TELL_S) < TELL_S:
            return
        _remember(self._told, event.person, now)
        await self._tell(event.address, int(event.id.rpartition(":")[2]), text)

    async def _hint(self, unnamed: Bare, me: Me) -> None:
        """Say how the command would be for us; whom it was for we do not know, so not often."""
        if not self._admits(unnamed.person):
            return
        if await asyncio.to_thread(self._notes.add, f"hint:{unnamed.person}", "1", HINT_S):
            text = f"If you mean me, write {unnamed.name}@{me.username}, or answer one of my messages with it."
            await self._tell(unnamed.address, unnamed.message_id, text)

    async def _tell(self, address: Address, message_id: int, text: str) -> None:
        async def send() -> None:
            await self._api.bot.send_message(
                int(address.space),
                text,
                message_thread_id=int(address.thread) if address.thread else None,
                reply_parameters=ReplyParameters(message_id, allow_sending_without_reply=True),
            )

        await self._within(address, send)

    async def _acknowledge(self, press: Pressed) -> None:
        place = (press.space, press.message_id)
        _remember(self._presses, place, press)
        await self._api.bot.answer_callback_query(press.query, THANKS[press.verdict])
        if not press.direct:
            return  # others see the buttons as well, and one person's choice is not theirs

        async def mark() -> None:
            try:
                await self._api.bot.edit_message_reply_markup(
                    chat_id=int(press.space),
                    message_id=int(press.message_id),
                    reply_markup=markup(keyboard(press.reply_id, press.verdict)),
                )
            except BadRequest as error:
                if not says(error, "message is not modified"):
                    raise

        chat = Address(channel=CHANNEL, space=press.space, direct=True)
        await self._within(chat, mark, lambda: self._presses.get(place) is press)  # else it was pressed again meanwhile

    async def _within(
        self, address: Address, do: Callable[[], Awaitable[None]], wanted: Callable[[], bool] = lambda: True
    ) -> None:
        """Do what counts against the limits of a chat when they allow it, and again if Telegram says to wait."""
        budget = limits(address)
        while wanted():
            if pause_s := await asyncio.to_thread(self._pace.take, budget):
                await asyncio.sleep(pause_s)
                continue
            try:
                await do()
                break
            except RetryAfter as error:
                await asyncio.to_thread(self._pace.hold, budget[0], wait_s(error))

    async def _acknowledge_foreign(self, update: Payload) -> None:
        await self._api.bot.answer_callback_query(update["callback_query"]["id"])

    def _do_beside(self, do: Callable[[], Awaitable[None]]) -> None:
        async def quietly() -> None:
            try:
                await do()
            except TelegramError as error:
                log.info("a hint or a mark on a button was not shown: %s", reason(error))
            except StoreUnavailable as error:
                log.info("a hint was not shown: %s", error)

        task = asyncio.create_task(quietly())
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)


class _Together:
    """Which messages of a group go with one that was for the bot: only the first of them says so."""

    def __init__(self) -> None:
        self._albums: OrderedDict[str, None] = OrderedDict()
        self._pastes: OrderedDict[tuple[Any, ...], tuple[int, int]] = OrderedDict()  # message id, time

    def continues(self, message: Payload) -> bool:
        if message.get("media_group_id") in self._albums:
            return True
        number, at = self._pastes.get(_writer(message), (0, 0))
        return bool(number < message["message_id"] and message["date"] - at <= PASTE_S)

    def note(self, message: Payload) -> None:
        if "media_group_id" in message:
            _remember(self._albums, message["media_group_id"], None)
        if len(message.get("text", "")) >= CUT_CHARS:
            _remember(self._pastes, _writer(message), (message["message_id"], message["date"]))
        else:
            self._pastes.pop(_writer(message), None)


def _writer(message: Payload) -> tuple[Any, ...]:
    return message["chat"]["id"], message.get("message_thread_id"), message.get("from", {}).get("id")


def _person(user: str) -> str:
    return f"{CHANNEL}:-:{user}"


def _kind(update: Mapping[str, Any]) -> str:
    return next((str(key) for key in update if key != "update_id"), "empty")


def _type(error: Exception) -> str:
    return f"{type(error).__name__} {error}" if isinstance(error, KeyError) else type(error).__name__


def _remember(known: "OrderedDict[Any, Any]", name: Any, value: Any) -> None:
    known[name] = value
    known.move_to_end(name)
    while len(known) > REMEMBERED:
        known.popitem(last=False)
