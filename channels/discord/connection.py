"""The connection to Discord's gateway: one client of discord.py after the other, until the process is to end.

discord.py keeps the session alive, resumes it and shards when Discord asks for it. Here is what it leaves to others:
a token that is refused, an intent that is not granted, the limit of session starts, and a connection that does not
come back. Where they disagree with Discord's documents, discord.py 2.7.1 is followed: with several shards a session
whose first resume fails is begun anew, so what was missed is read by a catch-up (catchup.py), not replayed.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable
from typing import Protocol

import aiohttp
import discord
import yarl
from discord.gateway import DiscordWebSocket
from discord.http import Route

from channels.discord.settings import Credentials
from core.errors import SettingsError

log = logging.getLogger(__name__)

FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 30.0
REFUSED_WAIT_S, LONGEST_REFUSED_WAIT_S = 15.0, 600.0
SETTLED_S = 60.0  # a connection that held so long has shown that all is well
LOST_S = 60.0  # without any shard so long: begin anew rather than wait for discord.py's growing pauses
LOOK_S = 2.0
CLOSE_S = 5.0
READY_S = 0.5  # after the last server was told: the picture is complete
SPARE_STARTS = 20  # of 1000 a day; Discord resets the token of a bot that uses up more

TOKEN_REFUSED = (
    "Discord does not accept DISCORD_BOT_TOKEN. Press Reset Token on the Bot page of your application "
    "(https://discord.com/developers/applications) and put the new one into .env; it is tried again in %.0f s."
)
NO_CONTENT = (
    "Discord did not grant the message content intent, so I go on without it: mentions, replies, direct messages and "
    "slash commands work; messages in threads without a mention are not seen. To have it, switch on Message Content "
    "Intent on the Bot page of your application (https://discord.com/developers/applications) and restart, or set "
    "message_content = false in [discord]."
)
# Close codes after which nothing goes on by itself, and what they mean.
FATAL = {
    4010: "Discord says that the shard is not valid",
    4011: "Discord wants more shards than were started",
    4012: "Discord does not speak this version of its API any more; update discord.py",
    4013: "Discord does not know one of the intents; update discord.py",
}


class Listener(Protocol):
    """Who hears what happens."""

    def received(self, raw: str) -> None:
        """Take a raw payload of the gateway, in order."""

    def ready(self, shard: int) -> None:
        """A new session of this shard has begun: what happened before was not told."""

    def came(self, guild: discord.Guild) -> None:
        """A server is there (again)."""

    def left(self, guild: discord.Guild) -> None:
        """A server is away for now: Discord has a failure there, and tells nothing of it."""

    async def before_sessions(self, client: discord.AutoShardedClient) -> None:
        """A client is logged in; its sessions begin afterwards."""


class Client(discord.AutoShardedClient):
    """discord.py's client with the fewest intents, keeping no messages and no members."""

    def __init__(self, listener: Listener, logged_in: asyncio.Event, *, message_content: bool) -> None:
        super().__init__(
            intents=discord.Intents(
                guilds=True,
                guild_messages=True,
                dm_messages=True,
                guild_reactions=True,
                dm_reactions=True,
                message_content=message_content,
            ),
            max_messages=None,
            member_cache_flags=discord.MemberCacheFlags.none(),
            chunk_guilds_at_startup=False,
            guild_ready_timeout=READY_S,
            allowed_mentions=discord.AllowedMentions.none(),
            max_ratelimit_timeout=60,
            enable_debug_events=True,  # the supported way to the raw payloads
        )
        self._listener = listener
        self._logged_in = logged_in
        self.lost: set[int] = set()  # shards whose connection broke off and was not taken up yet

    async def setup_hook(self) -> None:
        """Called between login and the first session."""
        self._logged_in.set()
        await self._listener.before_sessions(self)
        shards, _, limits = await self.http.get_bot_gateway()
        if limits["remaining"] < SPARE_STARTS + shards:  # each shard takes one
            wait_s = limits["reset_after"] / 1000
            log.error("only %d session starts are left for today; waiting %.0f s", limits["remaining"], wait_s)
            await asyncio.sleep(wait_s)

    async def on_socket_raw_receive(self, raw: str) -> None:
        self._listener.received(raw)

    async def on_shard_disconnect(self, shard_id: int) -> None:
        self.lost.add(shard_id)

    async def on_shard_resumed(self, shard_id: int) -> None:
        self.lost.discard(shard_id)

    async def on_shard_ready(self, shard_id: int) -> None:
        self._listener.ready(shard_id)
        self.lost.discard(shard_id)

    async def on_guild_available(self, guild: discord.Guild) -> None:
        self._listener.came(guild)

    async def on_guild_unavailable(self, guild: discord.Guild) -> None:
        self._listener.left(guild)

    async def on_error(self, event: str, /, *args: object, **kwargs: object) -> None:
        log.exception("an event of Discord could not be handled: %s", event)


class Connection:
    """Keeps one client connected. ``credentials`` is asked anew for each, so a token corrected in .env is taken."""

    def __init__(self, credentials: Callable[[], Credentials], *, message_content: bool) -> None:
        self._credentials = credentials
        self._message_content = message_content
        self._client: Client | None = None
        self._logged_in = asyncio.Event()
        self._refusals = 0
        self._failures = 0

    @property
    def client(self) -> Client | None:
        """The client that is logged in."""
        return self._client if self._logged_in.is_set() else None

    @property
    def whole(self) -> bool:
        """Whether all shards are connected, so that whatever happens is told."""
        client = self.client
        if client is None or client.lost or not client.is_ready():
            return False
        return not any(shard.is_closed() for shard in client.shards.values())

    async def logged_in(self, timeout_s: float | None = None) -> None:
        """Wait until there is a client, at most so long."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._logged_in.wait(), timeout_s)

    async def run(self, listener: Listener) -> None:
        """Stay connected until cancelled. The gateway is left then; calls go on to work until ``close``."""
        while True:
            try:
                token = self._credentials().token
            except SettingsError as error:
                await asyncio.sleep(self._refused(error))
                continue
            self._client = Client(listener, self._logged_in, message_content=self._message_content)
            began = asyncio.get_running_loop().time()
            try:
                wait_s = await self._one_client(self._client, token)
            except asyncio.CancelledError:
                await self._leave()
                raise
            if asyncio.get_running_loop().time() - began > SETTLED_S:
                self._failures = self._refusals = 0
            await self.close()
            await asyncio.sleep(wait_s)

    async def close(self) -> None:
        """Close what is open."""
        client, self._client = self._client, None
        self._logged_in.clear()
        if client:
            try:
                await asyncio.wait_for(client.close(), CLOSE_S)
            except Exception as error:  # discord.py cannot close, without a mistake, what was never connected
                log.info("the connection to Discord was not closed as it should be (%s)", type(error).__name__)

    async def _leave(self) -> None:
        """Leave the gateway without ending the sessions (code 4000): the next process may take them up."""
        if client := self.client:
            sockets = [client._get_websocket(shard_id=number) for number in client.shards]
            with contextlib.suppress(TimeoutError):
                closing = asyncio.gather(*(one.close(code=4000) for one in sockets), return_exceptions=True)
                await asyncio.wait_for(closing, CLOSE_S)

    async def _one_client(self, client: Client, token: str) -> float:
        """Connect and stay so; return how long to wait before the next attempt."""
        starting = asyncio.create_task(client.start(token), name="discord")
        watching = asyncio.create_task(self._watch(client), name="discord watch")
        try:
            await asyncio.wait({starting, watching}, return_when=asyncio.FIRST_COMPLETED)
            if not starting.done():
                log.warning("no connection to Discord for %.0f s: beginning anew", LOST_S)
                return FIRST_WAIT_S
            starting.result()
            return self._longer()
        except discord.PrivilegedIntentsRequired:
            log.warning(NO_CONTENT)
            self._message_content = False
            return 0
        except discord.LoginFailure as error:
            return self._refused(error)
        except discord.ConnectionClosed as error:
            if error.code == 4004:
                return self._refused(error)
            log.error("%s (code %s)", FATAL.get(error.code, "Discord closed the connection"), error.code)
            return LONGEST_WAIT_S
        except (discord.DiscordException, aiohttp.ClientError, OSError, TimeoutError) as error:
            wait_s = self._longer()
            log.warning("Discord cannot be reached (%s); again in %.0f s", type(error).__name__, wait_s)
            return wait_s
        except Exception:  # a payload that discord.py cannot read ends its client
            wait_s = self._longer()
            log.exception("discord.py failed; beginning anew in %.0f s", wait_s)
            return wait_s
        finally:
            for task in (starting, watching):
                task.cancel()
            await asyncio.gather(starting, watching, return_exceptions=True)

    async def _watch(self, client: Client) -> None:
        """Return when the connection has been gone for long."""
        loop = asyncio.get_running_loop()
        await self._logged_in.wait()
        seen = loop.time()
        while loop.time() - seen < LOST_S or not client.shards:  # the first ones are tried again every few seconds
            await asyncio.sleep(LOOK_S)
            if any(not shard.is_closed() for shard in client.shards.values()):
                seen = loop.time()

    def _longer(self) -> float:
        self._failures = min(self._failures + 1, 10)
        return min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** (self._failures - 1)) * random.uniform(0.8, 1.2)

    def _refused(self, error: Exception) -> float:
        self._refusals = min(self._refusals + 1, 10)
        wait_s = min(LONGEST_REFUSED_WAIT_S, REFUSED_WAIT_S * 2.0 ** (self._refusals - 1))
        if isinstance(error, SettingsError):
            log.error("%s It is tried again in %.0f s.", error, wait_s)
        else:
            log.error(TOKEN_REFUSED, wait_s)
        return wait_s


def point_to(credentials: Credentials) -> None:
    """Have discord.py talk to a stand-in for Discord; it has no setting for that."""
    if credentials.api_url:
        Route.BASE = credentials.api_url
    if credentials.gateway_url:
        DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(credentials.gateway_url)


def quieten() -> None:
    """Keep what people write, and tokens of interactions, out of discord.py's debug lines; voice is not used."""
    logging.getLogger("discord").setLevel(logging.INFO)
    discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False
