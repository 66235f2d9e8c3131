"""Slash commands, buttons and reactions: each on its own, as Discord gives an interaction three seconds.

A command is stored before it is acknowledged; what the store does not take in time is turned away with a word. One
that seems to be too old (Discord tells some again after a loss) is acknowledged first: if Discord takes that, our clock
was wrong; if not, the person has been told that it failed, and it is not carried out behind their back.
"""

import asyncio
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
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def interaction(self, interaction: dict[str, Any], client: discord.Client) -> None:
        """Answer a command or a button (``d`` of INTERACTION_CREATE)."""
        if press := feedback.pressed(interaction):
            noted = await self._within_deadline(self._rate(press.user, press.reply_id, press.verdict))
            await self._say(interaction, THANKS[press.verdict] if noted else NOT_NOTED)
            return
        known = Known(client, interaction.get("guild_id"), threads=False)
        event = parse_command(interaction, known)
        if event is None:
            await self._say(interaction, NO_SUCH_COMMAND)
            return
        late = (datetime.now(UTC) - event.sent_at).total_seconds() > LATE_S
        if late and not await self._defer(interaction, event):
            log.warning("a command came too late to be answered, so it is not carried out")
            return
        try:
            taken = await self._within_deadline(self._take(event, interaction))
        except InputError as error:
            await self._say(interaction, str(error), deferred=late)
            return
        if not taken:
            await self._say(interaction, NOT_NOW, deferred=late)
            return
        if late or await self._defer(interaction, event):
            self._tickets.acknowledged(event.id)

    async def reaction(self, event: str, data: dict[str, Any], client: discord.Client) -> None:
        """Note what a reaction to a reply says (``d`` of MESSAGE_REACTION_ADD or _REMOVE)."""
        own = str(client.user.id) if client.user else ""
        if found := feedback.reacted(event, data, own):
            space = await self._messages.space(found.channel_id, found.message_id)
            note = f"reply:{space}:{found.message_id}"
            if reply_id := await asyncio.to_thread(self._notes.get, note):
                await self._rate(found.user, reply_id, found.verdict)

    async def _take(self, event: MessageEvent, interaction: dict[str, Any]) -> None:
        turn = self._turns.setdefault(event.user, asyncio.Lock())
        async with turn:  # what one person says stays in order
            await self._tickets.keep(event.id, interaction, event.user, discreet=event.discreet)
            await self._accept(event)

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

    async def _rate(self, user: str, reply_id: str, verdict: Verdict | None) -> None:
        await asyncio.to_thread(self._people.rate, f"{CHANNEL}:-:{user}", reply_id, verdict)
