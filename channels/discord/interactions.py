"""Slash commands, buttons and reactions: each on its own, as Discord gives an interaction three seconds.

A command is stored before it is acknowledged; what the store does not take in time is turned away with a word. One
that seems to be too old (Discord tells some again after a loss) is acknowledged first: if Discord takes that, our clock
was wrong; if not, the person has been told that it failed, and it is not carried out behind their back.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any
from weakref import WeakValueDictionary

import discord

from channels.base import Accept
from channels.discord import feedback
from channels.discord.api import NOBODY, Api, Refused
from channels.discord.known import Known
from channels.discord.messages import EPHEMERAL, HOOK, Messages
from channels.discord.order import CATCH_UP_S, Turn
from channels.discord.parse import CHANNEL, parse_command
from channels.discord.tickets import Tickets
from core.errors import DeliveryLater, DeliveryUnsure, InputError, StoreUnavailable
from core.events import MessageEvent
from core.store import Notes, People, Verdict

log = logging.getLogger(__name__)

DEADLINE_S = 1.0  # for the store; Discord gives 3 s in all to acknowledge an interaction
ANSWER_S = 1.5  # for the acknowledgement itself, with what is tried again
ATTEMPTS = 3
LATE_S = 2.5  # an interaction of this age, by our clock, is most likely one that the person has seen fail
BEFORE_S = CATCH_UP_S + 2  # so long a command waits for what its author wrote before
REPLY, DEFER = 4, 5  # types of answers to an interaction
ALREADY_ACKNOWLEDGED = 40060
TOO_LATE = 10062

NOT_NOW = "I cannot take anything in right now. Please try again in a moment."
NO_SUCH_COMMAND = "I do not know this command any more. /help lists what I know."
THANKS: dict[Verdict, str] = {
    "up": "Thank you, I am glad that helped. 👍",
    "down": "Thank you for telling me. 👎",
}
NOT_NOTED = "I could not note that right now. Please press again in a moment."


class Interactions:
    """What people do beside writing."""

    def __init__(
        self, accept: Accept, api: Api, tickets: Tickets, notes: Notes, people: People, messages: Messages
    ) -> None:
        self._accept = accept
        self._api = api
        self._tickets = tickets
        self._notes = notes
        self._people = people
        self._messages = messages
        self._late: set[asyncio.Task[None]] = set()
        self._ratings: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def interaction(self, interaction: dict[str, Any], client: discord.Client, turn: Turn) -> None:
        """Answer a command or a button (``d`` of INTERACTION_CREATE); a command after what its author did before."""
        with contextlib.ExitStack() as ending:
            ending.callback(turn.end)
            if press := feedback.pressed(interaction):
                noted = await self._within_deadline(self._press(press))
                await self._say(interaction, THANKS[press.verdict] if noted else NOT_NOTED)
                return
            event = parse_command(interaction, Known(client, interaction.get("guild_id"), threads=False))
            if event is None:
                await self._say(interaction, NO_SUCH_COMMAND)
                return
            deferred = turn.waits or (datetime.now(UTC) - event.sent_at).total_seconds() > LATE_S
            if deferred and not await self._defer(interaction, event):
                log.warning("a command came too late to be answered, so it is not carried out")
                return
            if not await self._comes(turn, interaction):
                await self._say(interaction, NOT_NOW, deferred=True)
                return
            ending.pop_all()  # storing it ends the turn, however long that takes
            await self._carry_out(event, interaction, turn, deferred=deferred)

    async def reaction(self, event: str, data: dict[str, Any], client: discord.Client) -> None:
        """Note what a reaction to a reply says (``d`` of MESSAGE_REACTION_ADD or _REMOVE)."""
        own = str(client.user.id) if client.user else ""
        if found := feedback.reacted(event, data, own):
            async with self._in_order(found.user):
                space = await self._messages.space(found.channel_id, found.message_id)
                reply_id = await asyncio.to_thread(self._notes.get, f"reply:{space}:{found.message_id}")
                if reply_id:
                    note = self._people.unrate if found.withdrawn else self._people.rate
                    await asyncio.to_thread(note, f"{CHANNEL}:-:{found.user}", reply_id, found.verdict)

    async def _press(self, press: feedback.Press) -> None:
        async with self._in_order(press.user):
            await asyncio.to_thread(self._people.rate, f"{CHANNEL}:-:{press.user}", press.reply_id, press.verdict)

    def _in_order(self, user: str) -> asyncio.Lock:
        """Return what keeps the ratings of one person in order: it lets in who asks first."""
        return self._ratings.setdefault(user, asyncio.Lock())

    async def _comes(self, turn: Turn, interaction: dict[str, Any]) -> bool:
        try:
            return await turn.comes(BEFORE_S)
        except asyncio.CancelledError:  # this process ends; nobody shall wait for an answer that does not come
            await self._say(interaction, NOT_NOW, deferred=True)
            raise

    async def _carry_out(self, event: MessageEvent, interaction: dict[str, Any], turn: Turn, *, deferred: bool) -> None:
        try:
            taken = await self._within_deadline(self._take(event, interaction, turn))
        except InputError as error:
            await self._say(interaction, str(error), deferred=deferred)
            return
        if not taken:
            await self._say(interaction, NOT_NOW, deferred=deferred)
            return
        if deferred or await self._defer(interaction, event):
            self._tickets.acknowledged(event.id)

    async def _take(self, event: MessageEvent, interaction: dict[str, Any], turn: Turn) -> None:
        try:
            await self._tickets.keep(event.id, interaction, event.user, discreet=event.discreet)
            await self._accept(event)
        finally:
            turn.end()

    async def _within_deadline(self, work: Coroutine[Any, Any, None]) -> bool:
        """Do it; return False if Redis is away or takes too long for an interaction."""
        task = asyncio.create_task(work)
        done, _ = await asyncio.wait({task}, timeout=DEADLINE_S)
        if not done:
            self._late.add(task)  # what is in a thread goes on; if it is stored after all, it is answered
            task.add_done_callback(self._forget)
            return False
        try:
            task.result()
        except StoreUnavailable as error:
            log.warning("an interaction was turned away: %s", error)
            return False
        return True

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._late.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.warning("an interaction was not stored in time: %s", error)

    async def _say(self, interaction: dict[str, Any], text: str, *, deferred: bool = False) -> None:
        """Answer an interaction at once, for its sender alone."""
        data = {"content": text, "flags": EPHEMERAL, "allowed_mentions": NOBODY}
        if deferred:
            del data["flags"]  # settled by then
            ids = {"webhook_id": interaction["application_id"], "webhook_token": interaction["token"]}
            await self._api.call("PATCH", HOOK + "/messages/@original", data, **ids)
        else:
            await self._acknowledge(interaction, {"type": REPLY, "data": data})

    async def _defer(self, interaction: dict[str, Any], event: MessageEvent) -> bool:
        """Tell Discord that an answer comes; return False if it is too late for that."""
        flags = EPHEMERAL if event.discreet else 0
        try:
            await self._acknowledge(interaction, {"type": DEFER, "data": {"flags": flags}})
        except Refused as error:
            if error.code != TOO_LATE:
                raise
            return False
        return True

    async def _acknowledge(self, interaction: dict[str, Any], answer: dict[str, Any]) -> None:
        path = "/interactions/{interaction}/{webhook_token}/callback"
        ids = {"interaction": interaction["id"], "webhook_token": interaction["token"]}
        until = time.monotonic() + ANSWER_S
        for left in reversed(range(ATTEMPTS)):
            try:
                await self._api.call("POST", path, answer, None, **ids)
                return
            except Refused as error:
                if error.code == ALREADY_ACKNOWLEDGED:  # by another process of this channel, or an earlier attempt
                    return
                raise
            except (DeliveryLater, DeliveryUnsure) as error:
                wait_s = error.retry_after_s if isinstance(error, DeliveryLater) else 0
                if not left or time.monotonic() + wait_s > until:
                    raise
                await asyncio.sleep(wait_s)
