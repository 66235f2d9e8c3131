"""What comes in from Discord's gateway: messages go into the store in order; the rest to interactions.py.

The gateway sends nothing twice of its own accord, so what Redis does not take at once waits here, and what does not
fit here is read again from the channels afterwards.
"""

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import discord

from channels.base import Accept
from channels.discord.catchup import CatchUp, Missed
from channels.discord.hints import Hints
from channels.discord.interactions import Interactions
from channels.discord.known import Known
from channels.discord.messages import Messages
from channels.discord.order import Holds, Turn, Turns
from channels.discord.parse import CHANNEL, parse
from channels.discord.sessions import Sessions
from channels.discord.settings import Discord
from core import logs
from core.errors import DeliveryError, InputError, StoreUnavailable
from core.events import MessageEvent
from core.store import Store

log = logging.getLogger(__name__)

WAITING = 1000  # messages that wait while Redis is away
AGAIN_S = 0.5
LONGEST_AGAIN_S = 60.0
HEARD_S = 2.0  # between two marks of what was heard
COMMAND_S = 1.0  # so long a message waits for a command of its author
ERASING = "forget"  # the command that must not go before what was missed
HIDDEN_S = 3600.0  # between two hints to a person that their text was kept back
HIDDEN_THREAD_S = 30 * 86400.0  # the same, to all in a thread of the bot's own
RATINGS = ("MESSAGE_REACTION_ADD", "MESSAGE_REACTION_REMOVE")
EVENTS = ("READY", "MESSAGE_CREATE", "INTERACTION_CREATE", *RATINGS)
BAD_PAYLOAD = (KeyError, TypeError, ValueError, AttributeError)

HIDDEN = (
    "I see that you wrote to me, but not what: Discord shows me only messages that mention me. Please mention me by "
    "name, or leave the ping on when you reply."
)


Look = Callable[[discord.AutoShardedClient], Awaitable[Missed]]


@dataclass(frozen=True)
class _Heard:
    """What waits for the store: a message with its author's turn, or only the turn, for a command to wait for."""

    event: MessageEvent | None
    turn: Turn
    shard: int


class Intake:
    """Hears the gateway (channels.discord.connection.Listener). ``client`` is None while there is none."""

    def __init__(
        self,
        accept: Accept,
        client: Callable[[], discord.AutoShardedClient | None],
        whole: Callable[[], bool],
        settings: Discord,
        messages: Messages,
        interactions: Interactions,
        catch_up: CatchUp,
        store: Store,
    ) -> None:
        self._accept = accept
        self._client = client
        self._whole = whole
        self._settings = settings
        self._messages = messages
        self._interactions = interactions
        self._catch_up = catch_up
        self._hints = Hints(messages, store)
        self._sessions = Sessions(store.notes(CHANNEL))
        self._replaying = False
        self._waiting: asyncio.Queue[_Heard] = asyncio.Queue(WAITING)
        self._storing = 0
        self._gap = False
        self._reading = 0  # catch-ups under way
        self._turns = Turns()
        self._holds: Holds[_Heard] = Holds(self._wait)  # what waits for what is old
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Store what waits, until cancelled."""
        marking = asyncio.create_task(self._mark(), name="discord marks")
        try:
            while True:
                heard = await self._waiting.get()
                self._storing += 1
                if heard.turn.waits and self._storing < WAITING:
                    self._begin(self._take_in(heard))  # nobody else has to wait for a command of its author
                else:
                    await self._take_in(heard)
        finally:
            for task in [marking, *self._tasks]:
                task.cancel()
            await asyncio.gather(marking, *self._tasks, return_exceptions=True)
            self._sessions.over()
            with contextlib.suppress(StoreUnavailable):
                await self._sessions.release()

    def received(self, raw: str) -> None:
        """Take a raw payload of the gateway."""
        if not any(event in raw for event in EVENTS):
            return  # most of what the gateway tells is not for us, and some of it is large
        payload, client = json.loads(raw), self._client()
        event, data = payload.get("t"), payload.get("d")
        if event not in EVENTS or client is None:
            return
        if event == "READY":
            self._replaying = False
            self._sessions.over()
        if not self._replaying:
            self._sessions.saw(payload, client.shard_count or 1)
        if event in ("MESSAGE_CREATE", "INTERACTION_CREATE"):
            self._catch_up.saw(data["id"])
        shard = _shard(data.get("guild_id"), client)
        if event == "MESSAGE_CREATE":
            self._hear(data, shard)
        elif event == "INTERACTION_CREATE":
            self._begin(self._interactions.interaction(data, client, self._turn_of(data, shard)))
        elif event == "READY":
            self._holds.begin(data.get("shard", [0])[0])  # until the servers are told, see ready
        else:
            self._begin(self._interactions.reaction(event, data, client))

    def ready(self, shard: int) -> None:
        """Read what was missed before this session."""
        self._catch_up_with(shard, lambda client: self._catch_up.missed(client, shard))

    def came(self, guild: discord.Guild) -> None:
        """Read what was missed in a server that was away."""
        if self._catch_up.is_away(guild):
            there = self._catch_up.missed_there
            self._catch_up_with(guild.shard_id, lambda client: there(client.get_guild(guild.id) or guild))

    def left(self, guild: discord.Guild) -> None:
        """Note that a server is away for now."""
        self._begin(self._catch_up.left(guild))

    async def before_sessions(self, client: discord.AutoShardedClient) -> None:
        """Hear the direct messages that the process before us did not store; the rest is read from the channels.

        That goes on until our own session begins, so that nobody writes into a gap between the two.
        """
        self._sessions.over()
        self._replaying = True
        await self._sessions.replay(client)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(_guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _hear(self, message: dict[str, Any], shard: int) -> None:
        if self._replaying and "guild_id" in message:
            return  # its server is not known yet
        if event := self._readable(message):
            self._queue(_Heard(event, self._turns.take(event.user), shard), message["channel_id"])

    def _turn_of(self, interaction: dict[str, Any], shard: int) -> Turn:
        """Return the turn of a command, after its author's messages; to erase them, those missed are waited for too."""
        user = (interaction.get("member") or interaction).get("user", {}).get("id", "")
        place = str(interaction.get("channel_id"))
        erases = interaction.get("data", {}).get("name") == ERASING
        if erases and self._holds.covers(shard, place):
            self._queue(_Heard(None, self._turns.take(user), shard), place)
        return self._turns.take(user)

    def _queue(self, heard: _Heard, place: str) -> None:
        if not self._holds.covers(heard.shard, place):
            self._wait(heard)
        elif self._holds.waiting(heard.shard) < WAITING:
            self._holds.add(heard.shard, place, heard)
        else:
            self._leave(heard)

    def _wait(self, heard: _Heard) -> None:
        if self._waiting.full():
            self._leave(heard)
        else:
            self._waiting.put_nowait(heard)

    def _leave(self, heard: _Heard) -> None:
        heard.turn.end()
        if not self._gap:
            log.error("more than %d messages wait for Redis; the rest is read again from Discord", WAITING)
        self._gap = True

    def _readable(self, message: dict[str, Any]) -> MessageEvent | None:
        """Return the message to us that this is; tell its author if Discord kept its text back."""
        client = self._client()
        if client is None:
            return None
        known = Known(client, message.get("guild_id"), threads=self._settings.threads)
        try:
            event = parse(message, known.me(), known, other_bots=self._settings.other_bots)
        except BAD_PAYLOAD:
            log.exception("a message of Discord could not be read")
            return None
        if event and not (message["content"] or event.text or event.attachments or event.address.direct):
            once = (event.person, HIDDEN_S)
            if known.hides(message["channel_id"]):
                once = (message["channel_id"], HIDDEN_THREAD_S)
            self._begin(self._hints.tell(event, HIDDEN, once))
            return None
        return event

    async def _take_in(self, heard: _Heard) -> None:
        try:
            await heard.turn.comes(COMMAND_S)
            if heard.event:
                await self._store(heard.event)
        finally:
            heard.turn.end()
            self._storing -= 1

    async def _store(self, event: MessageEvent) -> None:
        """Bring one message into the store, however long Redis is away."""
        with logs.about(event.id):
            await self._store_about(event)

    async def _store_about(self, event: MessageEvent) -> None:
        while True:
            try:
                new = await self._accept(event)
                if new and event.address.space == event.id.rpartition(":")[2]:
                    self._begin(self._open_thread(event))
                if event.address.direct:
                    await self._catch_up.spoke(event.address.space, event.id.rpartition(":")[2])
                return
            except InputError as error:
                if not error.told:
                    self._begin(self._hints.tell(event, str(error)))
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

    def _catch_up_with(self, shard: int, look: Look) -> None:
        self._reading += 1  # at once: nothing may be marked from here on
        self._holds.begin(shard)
        self._begin(self._read_missed(shard, look))

    async def _read_missed(self, shard: int, look: Look) -> None:
        """Read until all was read, however long that takes: the mark stays where it is meanwhile."""
        wait_s = AGAIN_S
        try:
            while True:
                try:
                    await self._read_once(shard, look)
                    return
                except (DeliveryError, StoreUnavailable) as error:
                    log.warning("reading what was missed goes on in %.1f s: %s", wait_s, error)
                except Exception:
                    log.exception("what was missed could not be read; again in %.1f s", wait_s)
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, LONGEST_AGAIN_S)
        finally:
            self._reading -= 1
            self._holds.end(shard)

    async def _read_once(self, shard: int, look: Look) -> None:
        client = self._client()
        count = 0
        if client is None:
            return  # the next one begins with this

        async def take(message: dict[str, Any]) -> None:
            nonlocal count
            if event := self._readable(message):
                count += 1
                await self._store(event)

        missed = await look(client)
        self._holds.only(shard, missed.places)
        await self._catch_up.read(missed, take, lambda place: self._holds.read(shard, place))
        if count:
            log.info("%d messages to me from before this session were found", count)

    async def _mark(self) -> None:
        """Note from time to time that everything was heard, and read what did not fit in here."""
        with contextlib.suppress(StoreUnavailable):
            await self._catch_up.begin()
        while True:
            await asyncio.sleep(HEARD_S)
            try:
                await self._mark_once()
                await self._sessions.save()
            except StoreUnavailable as error:
                log.debug("not marked: %s", error)

    async def _mark_once(self) -> None:
        client = self._client()
        idle = self._waiting.empty() and not self._storing and not self._reading and not self._holds
        if not client or not idle or not self._whole():
            return
        if self._gap:
            self._gap = False
            for shard in client.shards:
                self.ready(shard)
            return
        self._sessions.all_stored()
        if not self._catch_up.waits(client):
            await self._catch_up.heard_all()


def _shard(guild_id: str | None, client: discord.AutoShardedClient) -> int:
    """Return the shard that tells of a server; direct messages come to the first."""
    return (int(guild_id or 0) >> 22) % (client.shard_count or 1)


async def _guarded(work: Coroutine[Any, Any, None]) -> None:
    """Do something beside the stream of messages; its failure ends nothing."""
    try:
        await work
    except (DeliveryError, StoreUnavailable) as error:
        log.warning("Discord: %s", error)
    except Exception:
        log.exception("something from Discord could not be handled")
