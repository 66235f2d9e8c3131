"""The gateway of the double of Discord: sessions, intents, sharding, heartbeats, resume with what was missed.

What happens on Discord is handed in with ``dispatch``; everything here runs on the double's loop.
"""

import asyncio
import contextlib
import itertools
import json
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web

from tests.platforms.discord_world import Json, World

DISPATCH, HEARTBEAT, IDENTIFY, PRESENCE, RESUME = 0, 1, 2, 3, 6
RECONNECT, INVALID_SESSION, HELLO, HEARTBEAT_ACK = 7, 9, 10, 11
GUILDS, GUILD_MESSAGES, GUILD_REACTIONS = 1 << 0, 1 << 9, 1 << 10
DIRECT_MESSAGES, DIRECT_REACTIONS, MESSAGE_CONTENT = 1 << 12, 1 << 13, 1 << 15
PRIVILEGED = (1 << 1) | (1 << 8) | MESSAGE_CONTENT
KNOWN_INTENTS = (1 << 26) - 1
# What an event needs: in a server, in direct messages. Others come to everybody.
NEEDED = {
    "MESSAGE_CREATE": (GUILD_MESSAGES, DIRECT_MESSAGES),
    "MESSAGE_UPDATE": (GUILD_MESSAGES, DIRECT_MESSAGES),
    "MESSAGE_DELETE": (GUILD_MESSAGES, DIRECT_MESSAGES),
    "MESSAGE_REACTION_ADD": (GUILD_REACTIONS, DIRECT_REACTIONS),
    "MESSAGE_REACTION_REMOVE": (GUILD_REACTIONS, DIRECT_REACTIONS),
    "THREAD_CREATE": (GUILDS, GUILDS),
}


@dataclass
class Session:
    """One identified session. It outlives its connection, so that it can be resumed."""

    id: str
    shard: tuple[int, int]
    intents: int
    socket: "Socket | None" = None
    sequence: int = 0
    events: list[tuple[int, Json]] = field(default_factory=list)
    alive: bool = True


class Socket:
    """One connection: compression, and when it last gave a heartbeat."""

    def __init__(self, response: web.WebSocketResponse, compression: str | None) -> None:
        self.response = response
        self.beat_at = time.monotonic()
        self._packer = zlib.compressobj() if compression == "zlib-stream" else None

    async def send(self, payload: Json) -> None:
        """Send a payload; a connection that is gone takes nothing, the session keeps it for the resume."""
        raw = json.dumps(payload)
        with contextlib.suppress(ConnectionError, RuntimeError):
            if self._packer is None:
                await self.response.send_str(raw)
            else:
                data = self._packer.compress(raw.encode()) + self._packer.flush(zlib.Z_SYNC_FLUSH)
                await self.response.send_bytes(data)


class Gateway:
    """All sessions. Tests may change the public attributes."""

    def __init__(self, world: World, token: Callable[[], str], violations: list[str]) -> None:
        self._world = world
        self._token = token
        self._violations = violations
        self._ids = itertools.count(1)
        self.url = ""
        self.heartbeat_s = 41.25
        self.shards = 1
        self.granted = 0  # privileged intents that are switched on in the developer portal
        self.refuse_connections = False
        self.resumable = True
        self.server_away = False  # Discord has a failure there: the server is listed, and nothing is told of it
        self.session_starts_left = 1000
        self.identified: list[tuple[float, int]] = []  # when, with which intents
        self.resumed: list[float] = []
        self.closed: list[int | None] = []  # close codes that the bot gave
        self.sessions: dict[str, Session] = {}

    def ready(self) -> bool:
        """Say whether all shards are connected."""
        return {s.shard[0] for s in self.sessions.values() if s.socket} >= set(range(self.shards))

    async def dispatch(self, event: str, data: Json) -> bool:
        """Give an event to every session that it is for; return whether one of them was connected."""
        reached = False
        for session in list(self.sessions.values()):
            if session.alive and self._is_for(session, event, data):
                reached |= session.socket is not None
                await self._give(session, event, _stripped(data, session, event, self._world))
        return reached

    async def server_leaves(self) -> None:
        """The server has a failure from now on."""
        await self.dispatch("GUILD_DELETE", {"id": self._world.guild_id, "unavailable": True})
        self.server_away = True

    async def server_returns(self) -> None:
        """The server is there again."""
        self.server_away = False
        for session in self._connected():
            if self._of_shard(session, {"guild_id": self._world.guild_id}):
                await self._give(session, "GUILD_CREATE", self._world.guild())

    async def ask_to_reconnect(self) -> None:
        """Send RECONNECT to everybody, as Discord does before it takes a server down."""
        for session in self._connected():
            await session.socket.send({"op": RECONNECT, "d": None})  # type: ignore[union-attr]

    async def invalidate(self) -> None:
        """End all sessions for good: they must identify again."""
        for session in self._connected():
            session.alive = False
            await session.socket.send({"op": INVALID_SESSION, "d": False})  # type: ignore[union-attr]

    async def cut(self, code: int = 4000) -> None:
        """Close all connections."""
        for session in self._connected():
            socket, session.socket = session.socket, None
            if socket:
                await socket.response.close(code=code)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection."""
        if self.refuse_connections:
            return web.Response(status=503)
        compression = request.query.get("compress")
        if request.query.get("v") != "10" or compression not in (None, "zlib-stream"):
            return web.Response(status=400)
        response = web.WebSocketResponse(autoping=True)
        await response.prepare(request)
        socket = Socket(response, compression)
        await socket.send({"op": HELLO, "d": {"heartbeat_interval": int(self.heartbeat_s * 1000)}})
        watch = asyncio.create_task(self._watch(socket))
        session: Session | None = None
        try:
            async for frame in response:
                if frame.type is WSMsgType.TEXT:
                    session = await self._take(socket, session, json.loads(frame.data))
        finally:
            watch.cancel()
            self._gone(socket, session)
        return response

    def _gone(self, socket: Socket, session: Session | None) -> None:
        code = socket.response.close_code
        self.closed.append(code)
        if session and session.socket is socket:
            session.socket = None
            if code in (1000, 1001):  # the client says that it is done
                session.alive = False

    async def _take(self, socket: Socket, session: Session | None, payload: Json) -> Session | None:
        op, data = payload["op"], payload.get("d")
        if op == HEARTBEAT:
            socket.beat_at = time.monotonic()
            await socket.send({"op": HEARTBEAT_ACK, "d": None})
        elif op == IDENTIFY:
            return await self._identify(socket, session, data)
        elif op == RESUME:
            return await self._resume(socket, data)
        elif op != PRESENCE or session is None:
            await socket.response.close(code=4001 if session else 4003)
        return session

    async def _identify(self, socket: Socket, session: Session | None, data: Json) -> Session | None:
        intents = data["intents"]
        self.identified.append((time.monotonic(), intents))
        self.session_starts_left -= 1
        refusal = self._refusal(session, data, intents)
        if refusal:
            await socket.response.close(code=refusal)
            return session
        shard = tuple(data.get("shard", (0, 1)))
        session = Session(f"session-{next(self._ids)}", (shard[0], shard[1]), intents, socket)
        self.sessions[session.id] = session
        here = self._of_shard(session, {"guild_id": self._world.guild_id})
        ready = {
            "v": 10, "user": self._world.bot, "session_id": session.id, "resume_gateway_url": self.url,
            "shard": list(session.shard), "application": {"id": self._world.bot["id"], "flags": 0},
            "guilds": [{"id": self._world.guild_id, "unavailable": True}] if here else [], "private_channels": [],
        }  # fmt: skip
        await self._give(session, "READY", ready)
        if here and intents & GUILDS and not self.server_away:
            await self._give(session, "GUILD_CREATE", self._world.guild())
        return session

    def _refusal(self, session: Session | None, data: Json, intents: int) -> int | None:
        if self.session_starts_left < 0:
            self._violations.append("more than 1000 IDENTIFY in 24 hours: Discord resets the token")
            return 4004
        if session:
            return 4005
        if data["token"] != self._token():
            return 4004
        if intents & ~KNOWN_INTENTS:
            return 4013
        if intents & PRIVILEGED & ~self.granted:
            return 4014
        if self.shards > 1 and "shard" not in data:
            return 4011
        return None

    async def _resume(self, socket: Socket, data: Json) -> Session | None:
        session = self.sessions.get(data["session_id"])
        if data["token"] != self._token():
            await socket.response.close(code=4004)
            return None
        if not session or not session.alive or not self.resumable:
            await socket.send({"op": INVALID_SESSION, "d": False})
            return None
        if session.socket:
            self._closing = asyncio.create_task(session.socket.response.close(code=4000))
        session.socket = socket
        for sequence, payload in list(session.events):
            if sequence > (data["seq"] or 0):
                await socket.send(payload)
        self.resumed.append(time.monotonic())
        await self._give(session, "RESUMED", {})
        return session

    async def _give(self, session: Session, event: str, data: Json) -> None:
        session.sequence += 1
        payload = {"op": DISPATCH, "t": event, "s": session.sequence, "d": data}
        session.events.append((session.sequence, payload))
        if session.socket:
            await session.socket.send(payload)

    async def _watch(self, socket: Socket) -> None:
        """Close a connection that has no pulse, as Discord does."""
        while True:
            await asyncio.sleep(self.heartbeat_s / 4)
            if time.monotonic() - socket.beat_at > self.heartbeat_s * 2:
                await socket.response.close(code=4009)

    def _is_for(self, session: Session, event: str, data: Json) -> bool:
        if not self._of_shard(session, data) or (self.server_away and data.get("guild_id")):
            return False
        needed = NEEDED.get(event)
        return needed is None or bool(session.intents & needed[0 if data.get("guild_id") else 1])

    def _of_shard(self, session: Session, data: Json) -> bool:
        number, count = session.shard
        guild_id = data.get("guild_id")
        return number == ((int(guild_id) >> 22) % count if guild_id else 0)

    def _connected(self) -> list[Session]:
        return [session for session in self.sessions.values() if session.socket]


def _stripped(data: Json, session: Session, event: str, world: World) -> Json:
    """Return a message without its content where Discord keeps it from bots without MESSAGE_CONTENT."""
    if not event.startswith("MESSAGE_") or "content" not in data or session.intents & MESSAGE_CONTENT:
        return data
    return world.kept_back(data)
