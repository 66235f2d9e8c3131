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
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import discord

from channels.discord.api import Api
from channels.discord.parse import snowflake_at
from core.errors import DeliveryLater, DeliveryRefused, DeliveryUnsure
from core.store import Notes

log = logging.getLogger(__name__)

HEARD = "*"  # the mark of all places
# A connection may have been dead for so long before it was noticed; messages are recognised, so more does no harm.
MARGIN = timedelta(seconds=120)
PLACES, DIRECTS = 500, 200  # at most so many are read
PAGE, PAGES = 100, 10
FAILURES = 5  # so many places in one go that Discord fails to tell of, and it is down
Room = discord.TextChannel | discord.VoiceChannel | discord.Thread
AWAY_S = 1800.0  # a server that is away for longer holds the mark no more; this process still reads it from then on


class CatchUp:
    """Reads what was missed, back to ``horizon``: older messages are not answered anyway."""

    def __init__(self, api: Api, notes: Notes, horizon: timedelta) -> None:
        self._api = api
        self._notes = notes
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

    async def missed(self, client: discord.AutoShardedClient, shard: int) -> AsyncIterator[dict[str, Any]]:
        """Yield the messages of this shard that may not have been heard, each channel's oldest first.

        They look as they do at the gateway. Raises StoreUnavailable, DeliveryLater and DeliveryUnsure.
        """
        await self.begin()
        marks = await asyncio.to_thread(self._notes.marks)
        since = self._capped(int(marks[HEARD]))
        guilds = [guild for guild in client.guilds if guild.shard_id == shard]
        for guild in guilds:
            if guild.unavailable:
                self._away.setdefault(guild.id, (since, time.monotonic()))
        places = [(channel_id, {"guild_id": guild_id}) for channel_id, guild_id in _places(guilds, since)]
        if shard == 0:  # direct messages come to it
            directs = _directs(marks)
            places += [(channel_id, {}) for channel_id in directs[:DIRECTS]]
            for channel_id in directs[DIRECTS:]:
                await asyncio.to_thread(self._notes.unmark, channel_id)
        async for message in self._read_all(places, since):
            yield message

    async def left(self, guild: discord.Guild) -> None:
        """Note that a server is away from now on."""
        marks = await asyncio.to_thread(self._notes.marks)
        now = snowflake_at(datetime.now(UTC) - MARGIN)
        if guild.unavailable:
            self._away.setdefault(guild.id, (int(marks.get(HEARD, now)), time.monotonic()))

    async def missed_there(self, guild: discord.Guild) -> AsyncIterator[dict[str, Any]]:
        """Yield the messages of a server that was away; as ``missed``."""
        if guild.id not in self._away:
            return
        away = self._away[guild.id]
        since = self._capped(away[0])
        places = [(channel_id, {"guild_id": guild_id}) for channel_id, guild_id in _places([guild], since)]
        async for message in self._read_all(places, since):
            yield message
        if self._away.get(guild.id) == away:
            del self._away[guild.id]

    def is_away(self, guild: discord.Guild) -> bool:
        """Say whether this server was away when it should have been read."""
        return guild.id in self._away

    def waits(self, client: discord.Client) -> bool:
        """Say whether a server is away whose messages will be read, so that not everything was heard."""
        self._away = {number: away for number, away in self._away.items() if client.get_guild(number)}
        return any(time.monotonic() - noted < AWAY_S for _, noted in self._away.values())

    def _capped(self, since: int) -> int:
        return max(since, snowflake_at(datetime.now(UTC) - self._horizon))

    async def _read_all(self, places: list[tuple[str, dict[str, str]]], since: int) -> AsyncIterator[dict[str, Any]]:
        """Read one place after the other; what fails is raised at the end, so that it keeps none from being read."""
        failures: list[DeliveryUnsure] = []
        for channel_id, server in places:
            try:
                async for message in self._read(channel_id, since):
                    yield message | server
            except DeliveryUnsure as error:
                failures.append(error)
                if len(failures) == FAILURES:
                    break
        if failures:
            raise failures[0]

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


def _places(guilds: Iterable[discord.Guild], since: int) -> list[tuple[str, str]]:
    """Return channels and threads of servers where something was written since, and their servers."""
    found = [
        (channel.last_message_id, str(channel.id), str(guild.id))
        for guild in guilds
        for channel in _rooms(guild)
        if (channel.last_message_id or 0) > since and _readable(channel, guild)
    ]
    return [(channel_id, guild_id) for _, channel_id, guild_id in sorted(found, reverse=True)[:PLACES]]


def _rooms(guild: discord.Guild) -> list[Room]:
    return [*guild.text_channels, *guild.voice_channels, *guild.threads]


def _readable(channel: Room, guild: discord.Guild) -> bool:
    if guild.me is None or (isinstance(channel, discord.Thread) and channel.parent is None):
        return False
    allowed = channel.permissions_for(guild.me)
    return allowed.view_channel and allowed.read_message_history


def _directs(marks: dict[str, str]) -> list[str]:
    """Return the known channels of direct messages, the latest first."""
    latest = sorted(((int(last), channel) for channel, last in marks.items() if channel != HEARD), reverse=True)
    return [channel for _, channel in latest]
