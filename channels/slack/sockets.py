"""Socket Mode: one connection to Slack, kept up whatever happens.

The SDK reconnects by itself after most losses. It does not after some: its address for a connection serves once, and
when the connecting fails it tries the same one for ever. So a connection that is not there for a while is thrown away
and begun anew. A refused app token is said clearly, and asked for again.
"""

import asyncio
import contextlib
import logging
import re
import time
from collections.abc import Awaitable, Callable

from slack_bolt.adapter.socket_mode.async_base_handler import AsyncBaseSocketModeHandler
from slack_bolt.adapter.socket_mode.async_internals import run_async_bolt_app, send_async_response
from slack_bolt.async_app import AsyncApp
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.async_client import AsyncBaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest

from channels.slack.settings import WHERE
from channels.slack.teams import Teams
from channels.slack.trouble import LockedOut, Refused, asked
from core.errors import DeliveryError, DeliveryLater

log = logging.getLogger(__name__)

PING_S = 5.0
LOOK_S = 0.5
PATIENCE_S = 15.0  # for the SDK's own attempts
CLOSE_S = 3.0
FIRST_WAIT_S, LAST_WAIT_S = 1.0, 60.0
APP_TOKEN = {
    "invalid_auth": "the app token is not valid",
    "not_authed": "the app token is not valid",
    "token_revoked": "the app token was revoked",
    "account_inactive": "the app was removed",
    "not_allowed_token_type": "SLACK_APP_TOKEN is no app-level token",
    "missing_scope": "the app token lacks the scope connections:write",
    "socket_mode_not_enabled": "Socket Mode is off",
    "app_not_found": "the app does not exist any more",
}


class _OneLine(logging.Filter):
    """Takes tracebacks and tickets out of what the SDK says: a lost connection is no defect."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = re.sub(r"ticket=[^&\s'\")]+", "ticket=...", record.getMessage())
        record.msg, record.args, record.exc_info = message.splitlines()[0][:300] if message else "", None, None
        return True


sdk_log = logging.getLogger("channels.slack.socket")
sdk_log.setLevel(logging.WARNING)
sdk_log.addFilter(_OneLine())


class Socket(AsyncBaseSocketModeHandler):
    """Passes what comes through connections to the app; acknowledges what the app says it has."""

    def __init__(self, app: AsyncApp, teams: Teams, app_token: str, alive: Callable[[], Awaitable[None]]) -> None:
        self.app = self._app = app
        self._teams = teams
        self._app_token = app_token
        self._alive = alive

    async def handle(self, client: AsyncBaseSocketModeClient, req: SocketModeRequest) -> None:
        """Called by the SDK for each envelope."""
        began = time.time()
        await send_async_response(client, req, await run_async_bolt_app(self._app, req), began)

    async def run(self) -> None:
        """Stay connected until cancelled."""
        while True:
            client = await self._client()
            try:
                await self._keep(client)
            finally:
                await _closed(client)
            log.warning("the connection to Slack does not come back by itself; beginning a new one")

    async def _client(self) -> SocketModeClient:
        """Return a client with a fresh address for its connection, however long Slack does not give one."""
        wait_s = FIRST_WAIT_S
        while True:
            try:
                api = self._teams.client()
                answer = await asked(api.apps_connections_open(app_token=self._app_token))
                break
            except (LockedOut, Refused) as error:
                reason = APP_TOKEN.get(error.code, "Slack lets nobody connect")
                log.error(
                    "Slack (%s): %s. Look %s under Socket Mode and Basic Information, App-Level Tokens. "
                    "Trying again in %.0f s.",
                    error.code,
                    reason,
                    WHERE,
                    wait_s,
                )
            except DeliveryError as error:
                wait_s = max(wait_s, error.retry_after_s) if isinstance(error, DeliveryLater) else wait_s
                log.warning("connecting to Slack waits %.0f s: %s", wait_s, error)
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, LAST_WAIT_S)
        client = SocketModeClient(self._app_token, logger=sdk_log, web_client=api, ping_interval=PING_S)
        client.wss_uri = answer["url"]
        client.socket_mode_request_listeners.append(self.handle)
        return client

    async def _keep(self, client: SocketModeClient) -> None:
        """Return when the connection was away for too long."""
        loop = asyncio.get_running_loop()
        connecting = asyncio.create_task(client.connect())  # type: ignore[no-untyped-call]
        try:
            seen, connected = loop.time(), False
            while loop.time() - seen < PATIENCE_S:
                is_there = await client.is_connected()
                if is_there != connected:
                    log.info("connected to Slack by Socket Mode" if is_there else "the connection to Slack is lost")
                    connected = is_there
                if is_there:
                    seen = loop.time()
                    await self._alive()
                await asyncio.sleep(LOOK_S)
        finally:
            connecting.cancel()
            await asyncio.gather(connecting, return_exceptions=True)


async def _closed(client: SocketModeClient) -> None:
    with contextlib.suppress(Exception):  # whatever it is, nothing of it is used any more
        async with asyncio.timeout(CLOSE_S):
            await client.close()  # type: ignore[no-untyped-call]
    left = [client.message_processor, client.current_session_monitor, client.message_receiver]
    await asyncio.gather(*(task for task in left if task), return_exceptions=True)
