"""What comes in from Discord: messages into the store in order, commands within their deadline, ratings.

Discord's gateway sends nothing twice of its own accord, so what Redis does not take at once waits here, and what does
not fit here is read again from the channels afterwards.
"""

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable, Coroutine
from typing import Any
from weakref import WeakValueDictionary

import discord

from channels.base import Accept
from channels.discord import feedback
from channels.discord.api import NOBODY, Api, Refused
from channels.discord.catchup import CatchUp
from channels.discord.messages import EPHEMERAL, Messages
from channels.discord.parse import CHANNEL, Me, parse, parse_command
from channels.discord.sessions import Sessions
from channels.discord.settings import Discord
from channels.discord.tickets import Tickets
from core.errors import DeliveryError, InputError, StoreUnavailable
from core.events import MessageEvent
from core.store import Notes, People

log = logging.getLogger(__name__)

WAITING = 1000  # messages that wait while Redis is away
AGAIN_S = 0.5
HEARD_S = 2.0  # between two marks of what was heard
CATCH_UP_S = 10.0  # so long what is new waits for what is old, to keep the order
DEADLINE_S = 1.0  # for the store; Discord gives 3 s in all to acknowledge a command
TOLD_TTL_S = 3 * 86400.0
REPLY, DEFER = 4, 5  # types of answers to an interaction
ALREADY_ACKNOWLEDGED = 40060
RATINGS = ("MESSAGE_REACTION_ADD", "MESSAGE_REACTION_REMOVE")
EVENTS = ("READY", "MESSAGE_CREATE", "INTERACTION_CREATE", *RATINGS)
BAD_PAYLOAD = (KeyError, TypeError, ValueError, AttributeError)

NOT_NOW = "I cannot take anything in right now. Please try again in a moment."
NO_SUCH_COMMAND = "I do not know this command any more. /help lists what I know."
THANKS = {"up": "Thank you, I am glad that helped. 👍", "down": "Thank you for telling me. 👎"}
NOT_NOTED = "I could not note that right now. Please press again in a moment."


class Known:
    """The names and threads of one server, as discord.py keeps them (channels.discord.parse.Surroundings)."""

    def __init__(self, client: discord.Client, guild_id: str | None, *, threads: bool) -> None:
        self._client = client
        self._guild = client.get_guild(int(guild_id)) if guild_id else None
        self._threads = threads

    def me(self) -> Me:
        """Return the bot as this server knows it."""
        role = self._guild.self_role if self._guild else None
        return Me(str(self._client.user.id if self._client.user else ""), frozenset({str(role.id)} if role else ()))

    def channel(self, channel_id: str) -> str | None:
        found = self._guild.get_channel_or_thread(int(channel_id)) if self._guild else None
        return found.name if found else None

    def role(self, role_id: str) -> str | None:
        found = self._guild.get_role(int(role_id)) if self._guild else None
        return found.name if found else None

    def takes_part(self, channel_id: str) -> bool:
        thread = self._guild.get_thread(int(channel_id)) if self._guild else None
        return thread is not None and (thread.me is not None or str(thread.owner_id) == self.me().id)

    def branches(self, channel_id: str) -> bool:
        found = self._guild.get_channel(int(channel_id)) if self._guild and self._threads else None
        return isinstance(found, discord.TextChannel)


class Intake:
    """Hears the gateway (channels.discord.connection.Listener). ``client`` is None while there is none."""

    def __init__(
        self,
        accept: Accept,
        client: Callable[[], discord.AutoShardedClient | None],
        whole: Callable[[], bool],
        settings: Discord,
        api: Api,
        messages: Messages,
        tickets: Tickets,
        catch_up: CatchUp,
        notes: Notes,
        people: People,
    ) -> None:
        self._accept = accept
        self._client = client
        self._whole = whole
        self._settings = settings
        self._api = api
        self._messages = messages
        self._tickets = tickets
        self._catch_up = catch_up
        self._notes = notes
        self._people = people
        self._sessions = Sessions(notes)
        self._replaying = False
        self._waiting: asyncio.Queue[MessageEvent] = asyncio.Queue(WAITING)
        self._storing = False
        self._gap = False
        self._reading = 0  # catch-ups under way
        self._nothing_missed = asyncio.Event()
        self._nothing_missed.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def run(self) -> None:
        """Store what waits, until cancelled."""
        marking = asyncio.create_task(self._mark(), name="discord marks")
        try:
            while True:
                event = await self._waiting.get()
                if not self._nothing_missed.is_set():
                    await self._old_first()
                self._storing = True
                await self._store(event)
                self._storing = False
        finally:
            for task in [marking, *self._tasks]:
                task.cancel()
            await asyncio.gather(marking, *self._tasks, return_exceptions=True)
            with contextlib.suppress(StoreUnavailable):
                await self._sessions.release()

    def received(self, raw: str) -> None:
        """Take a raw payload of the gateway."""
        if not any(event in raw for event in EVENTS):
            return  # most of what the gateway tells is not for us, and some of it is large
        payload = json.loads(raw)
        event, data = payload.get("t"), payload.get("d")
        if event in EVENTS and not self._replaying and (client := self._client()):
            self._sessions.saw(payload, client.shard_count or 1)
        if event == "MESSAGE_CREATE":
            self._hear(data)
        elif event == "INTERACTION_CREATE":
            self._begin(self._interaction(data))
        elif event == "READY":
            self._nothing_missed.clear()  # until the servers are told, see ready
        elif event in RATINGS:
            self._begin(self._reaction(event, data))

    def ready(self, shard: int) -> None:
        """Read what was missed before this session."""
        self._begin(self._read_missed(shard))

    async def before_sessions(self, client: discord.AutoShardedClient) -> None:
        """Hear the direct messages that the process before us did not store; the rest is read from the channels."""
        self._replaying = True
        try:
            await self._sessions.replay(client)
            await asyncio.sleep(0)  # what was told last is on its way here
        finally:
            self._replaying = False

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(_guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _hear(self, message: dict[str, Any]) -> None:
        if self._replaying and "guild_id" in message:
            return  # its server is not known yet
        if event := self._parsed(message):
            try:
                self._waiting.put_nowait(event)
            except asyncio.QueueFull:
                if not self._gap:
                    log.error("more than %d messages wait for Redis; the rest is read again from Discord", WAITING)
                self._gap = True

    def _parsed(self, message: dict[str, Any]) -> MessageEvent | None:
        client = self._client()
        if client is None:
            return None
        try:
            known = Known(client, message.get("guild_id"), threads=self._settings.threads)
            return parse(message, known.me(), known, other_bots=self._settings.other_bots)
        except BAD_PAYLOAD:
            log.exception("a message of Discord could not be read")
            return None

    async def _old_first(self) -> None:
        try:
            await asyncio.wait_for(self._nothing_missed.wait(), CATCH_UP_S)
        except TimeoutError:
            log.warning("reading what was missed takes long; new messages do not wait any more")
            self._nothing_missed.set()

    async def _store(self, event: MessageEvent) -> None:
        """Bring one message into the store, however long Redis is away."""
        while True:
            try:
                new = await self._accept(event)
                if new and event.address.space == event.id.rpartition(":")[2]:
                    self._begin(self._open_thread(event))
                if event.address.direct:
                    await self._catch_up.spoke(event.address.space, event.id.rpartition(":")[2])
                return
            except InputError as error:
                self._begin(self._tell(event, str(error)))
                return
            except StoreUnavailable as error:
                log.warning("a message waits: %s", error)
                await asyncio.sleep(AGAIN_S)
            except Exception:
                log.exception("message %s could not be taken", event.id)
                return

    async def _open_thread(self, event: MessageEvent) -> None:
        _, channel, message_id = event.id.split(":")
        await self._messages.open_thread(channel, message_id, event.text)

    async def _tell(self, event: MessageEvent, text: str) -> None:
        if await asyncio.to_thread(self._notes.add, f"told:{event.id}", "1", TOLD_TTL_S):
            await self._messages.tell(event, text)

    async def _interaction(self, interaction: dict[str, Any]) -> None:
        client = self._client()
        if client is None:
            return
        if press := feedback.pressed(interaction):
            noted = await self._within_deadline(self._rate(press.user, press.reply_id, press.verdict))
            await self._say(interaction, THANKS[press.verdict] if noted else NOT_NOTED)
            return
        known = Known(client, interaction.get("guild_id"), threads=False)
        event = parse_command(interaction, known)
        if event is None:
            await self._say(interaction, NO_SUCH_COMMAND)
            return
        try:
            taken = await self._within_deadline(self._take(event, interaction))
        except InputError as error:
            await self._say(interaction, str(error))
            return
        if not taken:
            await self._say(interaction, NOT_NOW)
            return
        await self._acknowledge(interaction, {"type": DEFER, "data": {"flags": EPHEMERAL if event.discreet else 0}})
        self._tickets.acknowledged(event.id)

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
            self._tasks.add(task)  # what is in a thread goes on; if it is stored after all, it is answered
            task.add_done_callback(self._forget)
            return False
        try:
            task.result()
        except StoreUnavailable as error:
            log.warning("an interaction was turned away: %s", error)
            return False
        return True

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.warning("an interaction was not stored in time: %s", error)

    async def _say(self, interaction: dict[str, Any], text: str) -> None:
        """Answer an interaction at once, for its sender alone."""
        data = {"content": text, "flags": EPHEMERAL, "allowed_mentions": NOBODY}
        await self._acknowledge(interaction, {"type": REPLY, "data": data})

    async def _acknowledge(self, interaction: dict[str, Any], answer: dict[str, Any]) -> None:
        path = "/interactions/{interaction}/{webhook_token}/callback"
        ids = {"interaction": interaction["id"], "webhook_token": interaction["token"]}
        try:
            await self._api.call("POST", path, answer, None, **ids)
        except Refused as error:
            if error.code != ALREADY_ACKNOWLEDGED:  # by another process of this channel
                raise

    async def _reaction(self, event: str, data: dict[str, Any]) -> None:
        client = self._client()
        own = str(client.user.id) if client and client.user else ""
        if found := feedback.reacted(event, data, own):
            note = f"reply:{found.channel_id}:{found.message_id}"
            if reply_id := await asyncio.to_thread(self._notes.get, note):
                await self._rate(found.user, reply_id, found.verdict)

    async def _rate(self, user: str, reply_id: str, verdict: Any) -> None:
        await asyncio.to_thread(self._people.rate, f"{CHANNEL}:-:{user}", reply_id, verdict)

    async def _read_missed(self, shard: int) -> None:
        self._reading += 1
        self._nothing_missed.clear()
        try:
            while True:
                try:
                    await self._read_once(shard)
                    return
                except StoreUnavailable as error:
                    log.warning("reading what was missed waits: %s", error)
                    await asyncio.sleep(AGAIN_S)
        finally:
            self._reading -= 1
            if not self._reading:
                self._nothing_missed.set()

    async def _read_once(self, shard: int) -> None:
        client = self._client()
        count = 0
        if client is None:
            return
        async for message in self._catch_up.missed(client, shard):
            if event := self._parsed(message):
                count += 1
                await self._store(event)
        if count:
            log.info("%d messages to me from before this session were found", count)

    async def _mark(self) -> None:
        """Note from time to time that everything was heard, and read what did not fit in here."""
        with contextlib.suppress(StoreUnavailable):
            await self._catch_up.begin()
        while True:
            await asyncio.sleep(HEARD_S)
            idle = self._waiting.empty() and not self._storing and not self._reading
            if not idle or not self._whole():
                continue
            if self._gap:
                self._gap = False
                client = self._client()
                for shard in client.shards if client else ():
                    self.ready(shard)
                continue
            try:
                await self._catch_up.heard_all()
                await self._sessions.save()
            except StoreUnavailable as error:
                log.debug("not marked: %s", error)


async def _guarded(work: Coroutine[Any, Any, None]) -> None:
    """Do something beside the stream of messages; its failure ends nothing."""
    try:
        await work
    except (DeliveryError, StoreUnavailable) as error:
        log.warning("Discord: %s", error)
    except Exception:
        log.exception("something from Discord could not be handled")
