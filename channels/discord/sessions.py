"""The gateway session of a process that is gone, resumed by the next one for what it had not stored.

Channels can be read again (catchup.py), but Discord has no list of direct messages: what somebody new wrote to a
process that was killed or restarted is told once more only by resuming its session, which Discord keeps for a minute
or two. discord.py cannot begin with a resume, so that is done on a connection of its own, before the new session.
"""

import asyncio
import contextlib
import json
import logging
import os
import socket
import time
from typing import Any

import discord
import yarl
from discord.gateway import DiscordWebSocket

from core.errors import StoreUnavailable
from core.store import Notes

log = logging.getLogger(__name__)

NOTE = "session"
DIRECT_SHARD = 0  # direct messages come to it, whatever the number of shards
KEPT_S = 300.0
STALE_S = 10.0  # a session of another host that was not noted anew for so long is nobody's; it is every two seconds
REPLAY_S = 5.0
ENDED = (OSError, TimeoutError, discord.DiscordException, discord.gateway.ReconnectWebSocket)
BEGUN: set[str] = set()  # sessions that this process began


class Sessions:
    """The session of the shard that direct messages come to."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._now: dict[str, Any] | None = None
        self._saved: dict[str, Any] | None = None
        self._following: asyncio.Task[None] | None = None

    def saw(self, payload: dict[str, Any], shards: int) -> None:
        """Follow the session by a payload of the gateway."""
        data = payload["d"]
        if payload["t"] == "READY":
            if data.get("shard", [DIRECT_SHARD])[0] == DIRECT_SHARD:
                BEGUN.add(data["session_id"])
                self._now = {"id": data["session_id"], "url": data["resume_gateway_url"], "sequence": payload["s"]}
        elif self._now and (int(data.get("guild_id") or 0) >> 22) % shards == DIRECT_SHARD:
            self._now = self._now | {"sequence": payload["s"]}

    def all_stored(self) -> None:
        """Take in that all until here is stored."""
        self._saved = self._now

    async def save(self) -> None:
        """Note until where all is stored."""
        if self._saved is not None:
            await self._note(socket.gethostname())

    async def release(self) -> None:
        """Note that this process ends, so that another may take the session up where it was last saved."""
        if self._saved is not None:
            await self._note("")

    async def _note(self, host: str) -> None:
        note = (self._saved or {}) | {"host": host, "pid": os.getpid(), "at": time.time()}
        await asyncio.to_thread(self._notes.put, NOTE, json.dumps(note), KEPT_S)

    async def replay(self, client: discord.AutoShardedClient) -> None:
        """Have Discord tell again what the process before us did not store, and what comes until ``over``.

        Whatever fails, the start goes on.
        """
        try:
            raw = await asyncio.to_thread(self._notes.get, NOTE)
            left = json.loads(raw) if raw else None
            if left is None or self._now or _is_in_use(left):
                return
            async with asyncio.timeout(REPLAY_S):
                connection = await _resumed(client, left)
            self._following = asyncio.create_task(_follow(connection), name="discord session before")
            log.info("the session of the process before was taken up")
        except (StoreUnavailable, *ENDED):
            log.info("the session of the process before is over; channels are read again")
        except Exception:  # discord.py reads what is told again before it knows a single server
            log.exception("the session of the process before could not be taken up")

    def over(self) -> None:
        """A session of our own tells what happens from now on: leave the one before."""
        if self._following:
            self._following.cancel()
            self._following = None


async def _resumed(client: discord.AutoShardedClient, left: dict[str, Any]) -> DiscordWebSocket:
    connection = await DiscordWebSocket.from_client(
        client,
        gateway=yarl.URL(left["url"]),
        shard_id=DIRECT_SHARD,
        session=left["id"],
        sequence=left["sequence"],
        resume=True,
    )
    try:
        told = connection.wait_for("RESUMED", lambda data: True)
        while not told.done():
            await connection.poll_event()
    except BaseException:
        await _leave(connection)
        raise
    return connection


async def _follow(connection: DiscordWebSocket) -> None:
    """Hear what is told until cancelled, or until Discord ends it."""
    try:
        with contextlib.suppress(*ENDED):
            while True:
                await connection.poll_event()
    except Exception:
        log.exception("the session of the process before could not be followed")
    finally:
        await _leave(connection)


async def _leave(connection: DiscordWebSocket) -> None:
    with contextlib.suppress(OSError):
        await connection.close(code=1000)


def _is_in_use(left: dict[str, Any]) -> bool:
    """Say whether another process of this channel has the session."""
    if not left["host"] or time.time() - left["at"] > STALE_S:
        return False
    if left["host"] != socket.gethostname():
        return True
    if left["pid"] == os.getpid():  # our own, or that of a container that was started again
        return left["id"] in BEGUN
    try:
        os.kill(left["pid"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
