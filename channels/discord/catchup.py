"""What was written while nobody listened: read from the channels after a start or a lost session.

One mark says until when everything was heard; it stays where it is as long as something could not be read. Channels of
servers tell their last message when a session begins, so only those where something was written since are read; of
direct messages Discord tells nothing, so the latest ones that are known from before are looked through. Whoever writes
to the bot for the very first time meanwhile is not found.
A server that is away when the session begins, or goes away later, is read once Discord says that it is there again.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import discord

from channels.discord.api import Api
from channels.discord.messages import ALL
from channels.discord.parse import snowflake_at
from core.errors import DeliveryLater, DeliveryRefused, DeliveryUnsure
from core.store import Notes, Pace

log = logging.getLogger(__name__)

HEARD = "*"  # the mark of all places
# A connection may have been dead for so long before it was noticed; messages are recognised, so more does no harm.
MARGIN = timedelta(seconds=120)
PLACES, DIRECTS = 500, 200  # at most so many are read
PAGE, PAGES = 100, 10
FAILURES = 5  # so many places in one go that Discord fails to tell of, and it is down
AT_ONCE = 4  # places that are read beside each other
Room = discord.TextChannel | discord.VoiceChannel | discord.StageChannel | discord.Thread
Over = Callable[[str], None]  # told of a place that was read
AWAY_S = 1800.0  # a server that is away for longer holds the mark no more; this process still reads it from then on


@dataclass(frozen=True)
class Missed:
    """Where something may not have been heard since a message: channels, each with what its messages lack (a server).

    ``away``: this is all of a server that was away since then.
    """

    places: dict[str, dict[str, str]]
    since: int
    away: tuple[int, tuple[int, float]] | None = None


class CatchUp:
    """Reads what was missed, back to ``horizon``: older messages are not answered anyway."""

    def __init__(self, api: Api, notes: Notes, pace: Pace, horizon: timedelta) -> None:
        self._api = api
        self._notes = notes
        self._pace = pace
        self._horizon = horizon
        self._newest = 0  # id of what was seen last: unlike our clock, it is surely Discord's
        self._away: dict[int, tuple[int, float]] = {}  # server -> since which message it is not heard, and noted when

    async def begin(self) -> None:
        """Note the beginning, if nothing has been noted before."""
        if HEARD not in await asyncio.to_thread(self._notes.marks):
            now = snowflake_at(datetime.now(UTC) - MARGIN)
            await asyncio.to_thread(self._notes.mark, HEARD, str(now))

    def saw(self, number: str) -> None:
        """Take in that Discord told us of something with this id."""
        self._newest = max(self._newest, int(number))

    async def heard_all(self) -> None:
        """Note that everything until what was seen last was heard."""
        if self._newest:
            heard = max(0, self._newest - (int(MARGIN.total_seconds() * 1000) << 22))  # ids count milliseconds
            await asyncio.to_thread(self._notes.mark, HEARD, str(heard))

    async def spoke(self, channel_id: str, message_id: str) -> None:
        """Note that somebody wrote in this channel of direct messages."""
        await asyncio.to_thread(self._notes.mark, channel_id, message_id)

    async def missed(self, client: discord.AutoShardedClient, shard: int) -> Missed:
        """Return where something of this shard may not have been heard; raises StoreUnavailable."""
        await self.begin()
        marks = await asyncio.to_thread(self._notes.marks)
        since = self._capped(int(marks[HEARD]))
        guilds = [guild for guild in client.guilds if guild.shard_id == shard]
        for guild in guilds:
            if guild.unavailable:
                self._away.setdefault(guild.id, (since, time.monotonic()))
        places = _places(guilds, since)
        if shard == 0:  # direct messages come to it
            directs = _directs(marks)
            places |= {channel_id: {} for channel_id in directs[:DIRECTS]}
            await self._forget(directs[DIRECTS:])
        return Missed(places, since)

    async def read(self, missed: Missed, take: Callable[[dict[str, Any]], Awaitable[None]], over: Over) -> None:
        """Read each place, the oldest first, and some places at once. Messages look as they do at the gateway.

        Raises StoreUnavailable, DeliveryLater and DeliveryUnsure. The latter at the end, so that a place that Discord
        fails to tell of keeps no other from being read.
        """
        failures: list[DeliveryUnsure] = []
        left = iter(missed.places.items())

        async def work() -> None:
            for channel_id, server in left:
                try:
                    async for message in self._read(channel_id, missed.since):
                        await take(message | server)
                    over(channel_id)
                except DeliveryUnsure as error:
                    failures.append(error)
                if len(failures) >= FAILURES:
                    return

        workers = [asyncio.create_task(work()) for _ in range(AT_ONCE)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        if failures:
            raise failures[0]
        if missed.away and self._away.get(missed.away[0]) == missed.away[1]:
            del self._away[missed.away[0]]

    async def _forget(self, directs: list[str]) -> None:
        for channel_id in directs:
            await asyncio.to_thread(self._notes.unmark, channel_id)
        if directs:
            log.warning(
                "%d conversations are not kept in mind any more: what is written there while I am away will not be "
                "found; the latest %d are",
                len(directs),
                DIRECTS,
            )

    async def left(self, guild: discord.Guild) -> None:
        """Note that a server is away from now on."""
        marks = await asyncio.to_thread(self._notes.marks)
        now = snowflake_at(datetime.now(UTC) - MARGIN)
        if guild.unavailable:
            self._away.setdefault(guild.id, (int(marks.get(HEARD, now)), time.monotonic()))

    async def missed_there(self, guild: discord.Guild) -> Missed:
        """Return what may not have been heard of a server that was away; as ``missed``."""
        if guild.id not in self._away:
            return Missed({}, 0)
        away = self._away[guild.id]
        since = self._capped(away[0])
        return Missed(_places([guild], since), since, (guild.id, away))

    def is_away(self, guild: discord.Guild) -> bool:
        """Say whether this server was away when it should have been read."""
        return guild.id in self._away

    def waits(self, client: discord.Client) -> bool:
        """Say whether a server is away whose messages will be read, so that not everything was heard."""
        self._away = {number: away for number, away in self._away.items() if client.get_guild(number)}
        return any(time.monotonic() - noted < AWAY_S for _, noted in self._away.values())

    def _capped(self, since: int) -> int:
        return max(since, snowflake_at(datetime.now(UTC) - self._horizon))

    async def _read(self, channel_id: str, since: int) -> AsyncIterator[dict[str, Any]]:
        for _ in range(PAGES):
            page = await self._page(channel_id, since)
            for message in sorted(page, key=lambda message: int(message["id"])):
                since = max(since, int(message["id"]))
                self.saw(message["id"])
                yield message
            if len(page) < PAGE:
                return
        log.warning("more than %d messages were missed in channel %s; the rest is left", PAGE * PAGES, channel_id)

    async def _page(self, channel_id: str, since: int) -> list[dict[str, Any]]:
        query = {"after": str(since), "limit": PAGE}
        while True:
            if wait_s := await asyncio.to_thread(self._pace.take, [ALL], spare=1):
                await asyncio.sleep(wait_s)
                continue
            try:
                page = await self._api.call(
                    "GET", "/channels/{channel_id}/messages", query=query, channel_id=channel_id
                )
                return list(page)
            except DeliveryRefused as error:
                log.info("channel %s cannot be read: %s", channel_id, error)
                await asyncio.to_thread(self._notes.unmark, channel_id)
                return []
            except DeliveryLater as error:
                if not error.flood:
                    raise
                await asyncio.sleep(error.retry_after_s)


def _places(guilds: Iterable[discord.Guild], since: int) -> dict[str, dict[str, str]]:
    """Return channels and threads of servers where something was written since; see Missed."""
    found = [
        (channel.last_message_id, str(channel.id), str(guild.id))
        for guild in guilds
        for channel in _rooms(guild)
        if (channel.last_message_id or 0) > since and _readable(channel, guild)
    ]
    if len(found) > PLACES:
        log.warning("only the latest %d of %d channels with news are read", PLACES, len(found))
    return {channel_id: {"guild_id": guild_id} for _, channel_id, guild_id in sorted(found, reverse=True)[:PLACES]}


def _rooms(guild: discord.Guild) -> list[Room]:
    return [*guild.text_channels, *guild.voice_channels, *guild.stage_channels, *guild.threads]


def _readable(channel: Room, guild: discord.Guild) -> bool:
    if guild.me is None or (isinstance(channel, discord.Thread) and channel.parent is None):
        return False
    allowed = channel.permissions_for(guild.me)
    return allowed.view_channel and allowed.read_message_history


def _directs(marks: dict[str, str]) -> list[str]:
    """Return the known channels of direct messages, the latest first."""
    latest = sorted(((int(last), channel) for channel, last in marks.items() if channel != HEARD), reverse=True)
    return [channel for _, channel in latest]
