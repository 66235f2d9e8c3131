"""The doors of the double of Slack: methods of the Web API and response_urls, with tokens, faults and tickets."""

import json
import math
import time
from collections.abc import Awaitable, Callable
from typing import Any, Literal, Protocol

from aiohttp import web

from tests.platforms.base import Dropped
from tests.platforms.slack_delivery import Deliverer
from tests.platforms.slack_rates import Rates
from tests.platforms.slack_rules import Refusal
from tests.platforms.slack_state import Conversation, Workspace
from tests.platforms.slack_web import ALIASES, WebApi

APP_TOKEN = "xapp-1-A0RAPPORT-double"
USES_OF_RESPONSE_URL = 5


class Host(Protocol):
    """What the doors need of the double."""

    mode: Literal["socket", "http"]
    port: int
    workspaces: dict[str, Workspace]
    app_token_error: str | None
    refuse_with: str | None
    delivery: Deliverer
    error_page: bytes
    rates: Rates

    @property
    def base(self) -> str: ...

    async def answer(
        self,
        method: str,
        arguments: dict[str, Any],
        do: Callable[[], Awaitable[web.StreamResponse]],
        *,
        flood: Callable[[float], web.StreamResponse],
        error: Callable[[], web.StreamResponse],
        refuse: Callable[[], web.StreamResponse],
    ) -> web.StreamResponse: ...


class Doors:
    """Everything that the bot calls."""

    def __init__(self, host: Host, api: WebApi) -> None:
        self._host = host
        self._api = api
        self._urls: dict[str, tuple[Workspace, Conversation, str, list[float]]] = {}

    async def method(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        arguments = await _arguments(request)
        token = request.headers.get("Authorization", "").removeprefix("Bearer ") or arguments.pop("token", "")
        self._host.rates.look(method, token, arguments)
        try:
            return await self._host.answer(
                method,
                arguments,
                lambda: self._answer(method, token, arguments),
                flood=lambda wait_s: _flood(self._host.rates.wait(method, token, arguments, wait_s)),
                error=lambda: web.Response(status=500, body=self._host.error_page, content_type="text/html"),
                refuse=lambda: web.json_response({"ok": False, "error": self._host.refuse_with or _permanent(method)}),
            )
        except Dropped:
            if request.transport:
                request.transport.abort()
            return web.Response()

    async def _answer(self, method: str, token: str, arguments: dict[str, Any]) -> web.StreamResponse:
        if wait_s := self._host.rates.check(method, token):
            return _flood(self._host.rates.wait(method, token, arguments, wait_s))
        try:
            if method == "apps.connections.open":
                return web.json_response(self._open(token))
            workspace = next((w for w in self._host.workspaces.values() if w.token == token), None)
            return web.json_response(self._api.call(method, workspace, arguments))
        except Refusal as refusal:
            return web.json_response(refusal.body)

    def _open(self, token: str) -> dict[str, Any]:
        if token != APP_TOKEN or self._host.app_token_error or self._host.mode != "socket":
            raise Refusal(self._host.app_token_error or "invalid_auth")
        return {
            "ok": True,
            "url": f"ws://127.0.0.1:{self._host.port}/socket?ticket={self._host.delivery.ticket()}&app_id=A0RAPPORT",
        }

    async def response_url(self, request: web.Request) -> web.StreamResponse:
        arguments = await _arguments(request)
        try:
            return await self._host.answer(
                "response_url",
                arguments,
                lambda: self._answered(request.match_info["key"], arguments),
                flood=lambda wait_s: _flood(math.ceil(wait_s)),
                error=lambda: web.Response(status=500, text="error"),
                refuse=lambda: web.Response(
                    status=400 if self._host.refuse_with else 404, text=self._host.refuse_with or "expired_url"
                ),
            )
        except Dropped:
            if request.transport:
                request.transport.abort()
            return web.Response()

    async def _answered(self, key: str, arguments: dict[str, Any]) -> web.StreamResponse:
        workspace, conversation, user, uses = self._urls[key]
        if len(uses) >= USES_OF_RESPONSE_URL:
            return web.Response(status=404, text="used_url")
        uses.append(time.monotonic())
        try:
            self.show(workspace, conversation, user, arguments)
        except Refusal as refusal:
            return web.Response(status=400, text=str(refusal))
        return web.Response(text="ok")

    def show(self, workspace: Workspace, conversation: Conversation, user: str, answer: dict[str, Any]) -> None:
        self._api.check(answer, "response_url")
        if answer.get("response_type") == "in_channel":
            self._api.show_to_all(workspace, conversation, answer)
        else:
            self._api.show_ephemeral(workspace, conversation, user, answer)

    def new_url(self, workspace: Workspace, conversation: Conversation, user: str) -> str:
        key = f"key{len(self._urls)}"
        self._urls[key] = (workspace, conversation, user, [])
        return f"{self._host.base}/response/{key}"

    def expire_urls(self) -> None:
        """Half an hour has passed."""
        for _, _, _, uses in self._urls.values():
            uses.extend([0.0] * USES_OF_RESPONSE_URL)


async def _arguments(request: web.Request) -> dict[str, Any]:
    """Return the arguments of a call: the SDK sends some in the query, some as a form, some as JSON."""
    arguments: dict[str, Any] = dict(request.query)
    if request.content_type == "application/json":
        arguments |= await request.json()
    elif request.can_read_body:
        arguments |= {key: value for key, value in (await request.post()).items() if isinstance(value, str)}
    for key in ("blocks", "metadata", "chunks", "prompts", "loading_messages"):
        if isinstance(arguments.get(key), str):
            arguments[key] = json.loads(arguments[key])
    return arguments


def _flood(wait_s: int) -> web.Response:
    headers = {"Retry-After": str(wait_s)}
    return web.json_response({"ok": False, "error": "ratelimited"}, status=429, headers=headers)


def _permanent(method: str) -> str:
    return "message_not_found" if ALIASES.get(method) == "edit" else "channel_not_found"
