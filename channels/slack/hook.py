"""Slack's calls by HTTP: an ASGI application in the web channel's process. The SDK checks the signatures."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse

from channels.base import Accept, AsgiApp
from channels.slack.adapter import Intake
from channels.slack.parse import CHANNEL
from core.errors import SettingsError

log = logging.getLogger(__name__)

_MOMENT = re.compile(r"[0-9]{1,12}")
_SIGNATURE = re.compile(r"v0=[0-9a-f]{64}")

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class SlackHook:
    """See channels.base.Hook."""

    name = CHANNEL

    def __init__(self, intake: Intake, signing_secret: str) -> None:
        self._intake = intake
        self._signing_secret = signing_secret
        self._starting: asyncio.Task[None] | None = None

    def app(self, accept: Accept) -> AsgiApp:
        """Return the application; must be called within the event loop that serves it."""
        bolt = self._intake.handlers.app(accept, self._signing_secret)
        self._starting = asyncio.create_task(self._start(accept), name="slack hook")

        async def serve(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                raise ValueError(f"not served: {scope['type']}")
            await _send(send, await _answer(bolt, scope, receive))

        return serve

    async def _start(self, accept: Accept) -> None:
        try:
            await self._intake.start(accept)
        except SettingsError as error:  # it ends the Slack channel's own process; the page goes on without Slack
            log.error("%s", error)

    async def close(self) -> None:
        """See channels.base.Hook."""
        if self._starting:
            self._starting.cancel()
            await asyncio.gather(self._starting, return_exceptions=True)
        await self._intake.close()


async def _answer(bolt: Any, scope: MutableMapping[str, Any], receive: Receive) -> BoltResponse:
    if scope["method"] != "POST":
        return BoltResponse(status=405, body="Slack calls this address with POST.")
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    moment, signature = headers.get("x-slack-request-timestamp", ""), headers.get("x-slack-signature", "")
    if not (_MOMENT.fullmatch(moment) and _SIGNATURE.fullmatch(signature)):
        return BoltResponse(status=401, body="")  # the SDK would stumble over some of these
    try:
        body = (await _body(receive)).decode("utf-8")
    except UnicodeDecodeError:
        return BoltResponse(status=400, body="")
    request = AsyncBoltRequest(body=body, query=scope["query_string"].decode("latin-1"), headers=dict(headers))
    response: BoltResponse = await bolt.async_dispatch(request)
    return response


async def _body(receive: Receive) -> bytes:
    """Return the body; the web channel's guard limits its size."""
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if message["type"] != "http.request" or not message.get("more_body"):
            return bytes(body)


async def _send(send: Send, response: BoltResponse) -> None:
    body = (response.body or "").encode()
    headers = [(name.encode(), value.encode()) for name, values in response.headers.items() for value in values]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
