"""Calls of Discord's REST interface, and its errors in our terms. Not here: what is called when.

The calls go through discord.py's own client, which signs them and keeps to the rate headers of each route before it
sends. What it would do by itself after a refusal, waiting out a 429 or repeating after a 5xx, is the runner's affair
here: a middleware of aiohttp sees those answers first. After a 429 that is meant for all calls none is made until it
is over, as each would count against us (10,000 in ten minutes and Discord bans the address). Bodies and answers are
plain JSON, as at the gateway.
"""

import asyncio
import json
import logging
import time
from collections.abc import Callable
from typing import Any

import aiohttp
import discord
from discord.http import Route

from core.errors import DeliveryError, DeliveryLater, DeliveryRefused, DeliveryUnsure

log = logging.getLogger(__name__)

TIMEOUT = aiohttp.ClientTimeout(total=15, sock_connect=5)
NO_TOKEN_WAIT_S = 30.0
BANNED_WAIT_S = 120.0  # a 429 of Cloudflare, which stands before Discord, names no time
AWAY_WAIT_S = 1.0
CALLBACK = "/interactions/"  # these calls are outside of the limit of all calls
NOBODY = {"parse": [], "users": [], "roles": [], "replied_user": False}

# Codes of errors, and what they mean to who is on call.
MEANING = {
    10003: "the channel or thread is gone",
    10008: "the message is gone",
    10013: "the person is gone",
    50001: "the bot cannot see the channel: it was removed from the server, or lacks View Channel",
    50007: "the person takes no direct messages from the bot (blocked, or no server in common)",
    50013: "the bot lacks a permission there: Send Messages, or Send Messages in Threads",
    50083: "the thread is archived",
    160002: "the bot lacks a permission there: Read Message History",
    160005: "the thread is locked",
    20026: "Discord has quarantined the bot; see the developer portal",
    40007: "the person is banned from the server",
}
UNKNOWN_MESSAGE = 10008
# The token of an interaction is not known: used up, or not acknowledged yet.
TOKEN_UNKNOWN = (10008, 10015, 10062, 50027)


class Refused(DeliveryRefused):
    """Discord refused for good; ``code`` is its own."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


class Api:
    """The calls. ``client`` returns the client that is logged in, or None while there is none."""

    def __init__(self, client: Callable[[], discord.Client | None]) -> None:
        self._client = client
        self._running: set[asyncio.Task[Any]] = set()
        self._closed_until = 0.0  # by time.monotonic

    async def call(
        self, verb: str, path: str, body: Any = None, query: dict[str, Any] | None = None, **ids: Any
    ) -> Any:
        """Call Discord; ``ids`` fill the path. Errors are those of channels.base.Adapter.send."""
        client = self._client()
        if client is None or client.is_closed():
            raise DeliveryLater("there is no connection to Discord", AWAY_WAIT_S)
        if (left_s := self._closed_until - time.monotonic()) > 0 and not path.startswith(CALLBACK):
            raise DeliveryLater("Discord takes no calls at the moment", left_s, flood=True, everywhere=True)
        content: dict[str, Any] = {} if body is None else {"json": body}
        if query:
            content["params"] = query
        try:
            return await self._request(client, Route(verb, path, **ids), content)
        except DeliveryLater as error:
            if error.everywhere:
                self._closed_until = max(self._closed_until, time.monotonic() + error.retry_after_s)
            raise

    async def _request(self, client: discord.Client, route: Route, content: dict[str, Any]) -> Any:
        try:
            return await self._answer(client, route, content)
        except discord.RateLimited as error:
            raise DeliveryLater("Discord: too many calls", error.retry_after, flood=True) from None
        except discord.HTTPException as error:
            raise _translated(error) from None
        except aiohttp.ClientConnectorError as error:
            raise DeliveryLater(f"Discord cannot be reached ({type(error).__name__})", AWAY_WAIT_S) from None
        except (aiohttp.ClientError, OSError, TimeoutError) as error:  # their texts may hold an address with a token
            raise DeliveryUnsure(f"Discord did not answer ({type(error).__name__})") from None
        except RuntimeError:
            if client.is_closed():
                raise DeliveryLater("the connection to Discord has just ended", AWAY_WAIT_S) from None
            raise

    async def _answer(self, client: discord.Client, route: Route, content: dict[str, Any]) -> Any:
        """Return the answer as soon as it is there: discord.py returns late where it then waits for the next window."""
        answer: asyncio.Future[bytes | DeliveryError] = asyncio.get_running_loop().create_future()

        async def judge(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
            response = await send(request)
            raw = await response.read()
            if response.status == 429 or response.status >= 500:
                error = _overloaded(response.status, raw)
                if not answer.done():
                    answer.set_result(error)
                raise error
            if response.status < 300 and not answer.done():
                answer.set_result(raw)
            return response

        call = asyncio.create_task(client.http.request(route, timeout=TIMEOUT, middlewares=(judge,), **content))
        self._running.add(call)
        call.add_done_callback(self._over)
        try:
            await asyncio.wait({call, answer}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            call.cancel()
            raise
        if not answer.done():
            return call.result()
        raw = answer.result()
        if isinstance(raw, DeliveryError):
            raise raw
        return json.loads(raw) if raw else None

    def _over(self, call: asyncio.Task[Any]) -> None:
        self._running.discard(call)
        if not call.cancelled():
            call.exception()  # whoever called has seen it, or had the answer before

    async def direct(self, user: str) -> str:
        """Return the channel of direct messages with a person."""
        channel = await self.call("POST", "/users/@me/channels", {"recipient_id": user})
        return str(channel["id"])


def _overloaded(status: int, raw: bytes) -> DeliveryError:
    if status >= 500:
        return DeliveryUnsure(f"Discord has a failure of its own (HTTP {status})")
    try:
        answer = json.loads(raw)
        wait_s, everywhere = float(answer["retry_after"]), bool(answer.get("global"))
    except (ValueError, KeyError, TypeError):
        text = "Discord refuses all calls from this address for a while"
        return DeliveryLater(text, BANNED_WAIT_S, flood=True, everywhere=True)
    text = f"Discord: too many calls{' in all' if everywhere else ''}"
    return DeliveryLater(text, wait_s, flood=True, everywhere=everywhere)


def _translated(error: discord.HTTPException) -> DeliveryError:
    if error.status == 401 and error.code not in TOKEN_UNKNOWN:
        return DeliveryLater("Discord does not accept DISCORD_BOT_TOKEN any more", NO_TOKEN_WAIT_S)
    reason = MEANING.get(error.code, error.text.splitlines()[0] if error.text else "no reason given")
    return Refused(f"Discord: {reason} (HTTP {error.status}, code {error.code})", error.code)
