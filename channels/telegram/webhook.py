"""Webhook: Telegram calls the web channel. Here the address is announced to Telegram, and the calls are answered.

Telegram tries again until it gets a 2xx answer, so that is given only for what the store has.
"""

import asyncio
import hmac
import json
import logging
import time
from collections.abc import MutableMapping
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send
from telegram import WebhookInfo
from telegram.error import InvalidToken, TelegramError

from channels.base import Accept, AsgiApp
from channels.telegram.api import ALLOWED_UPDATES, Api, reason
from channels.telegram.intake import Intake
from channels.telegram.parse import Me
from channels.telegram.polling import AGAIN_S, NO_TOKEN, TOKEN_PAUSE_S, WEBHOOK_NOTE, Trouble
from channels.telegram.settings import Credentials, Telegram
from core.errors import StoreUnavailable
from core.store import Notes, Store

log = logging.getLogger(__name__)

HEADER = "x-telegram-bot-api-secret-token"
MAX_BODY = 1_000_000  # an update is a few kilobytes
LOOK_S = 60.0
REMEMBERED_S = 365 * 86400.0


class TelegramHook:
    """Answers Telegram's calls in the web process."""

    name = "telegram"

    def __init__(self, section: Telegram, credentials: Credentials, store: Store) -> None:
        self._secret = credentials.secret
        self._api = Api(credentials)
        self._store = store
        self._intake = Intake(self._api, store, other_bots=section.other_bots)
        self._me: Me | None = None

    def app(self, accept: Accept) -> AsgiApp:
        """Return the application; it checks the secret in constant time before it reads anything."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            response = await self._answer(Request(scope, receive), accept)
            await response(scope, receive, send)

        return app

    async def close(self) -> None:
        """Close the connections to Telegram and to the store."""
        await self._intake.close()
        await self._api.close()
        self._store.close()

    async def _answer(self, request: Request, accept: Accept) -> Response:
        if request.method != "POST":
            return PlainTextResponse("only POST", 405, {"Allow": "POST"})
        given = request.headers.get(HEADER, "")
        if not hmac.compare_digest(given.encode(), self._secret.encode()):
            # Not 403: a proxy may say that too, and this one is surely ours.
            return PlainTextResponse("this is not the secret that we gave to Telegram", 401)
        update = await _update(request)
        if update is None:
            return PlainTextResponse("not an update", 400)
        try:
            if self._me is None:
                self._me = await self._api.me()
            await self._intake.take(update, self._me, accept)
        except StoreUnavailable as error:
            log.warning("messages wait at Telegram: %s", error)
            return PlainTextResponse("try again later", 503)
        except TelegramError as error:
            log.warning("messages wait at Telegram, as we cannot ask who we are: %s", reason(error))
            return PlainTextResponse("try again later", 503)
        return Response(status_code=200)


async def _update(request: Request) -> MutableMapping[str, Any] | None:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            return None
    try:
        update = json.loads(body)
    except ValueError:
        return None
    return update if isinstance(update, dict) else None


async def announced(api: Api, section: Telegram, secret: str, notes: Notes) -> None:
    """Tell Telegram our address, and look from time to time whether it still has it. Runs until cancelled."""
    trouble, failure = Trouble(), _Failure()
    have: str | None = None  # the address in Telegram's own words
    while True:
        try:
            if have is None:
                await api.bot.set_webhook(section.webhook_url, allowed_updates=ALLOWED_UPDATES, secret_token=secret)
                await asyncio.to_thread(notes.put, WEBHOOK_NOTE, section.webhook_url, REMEMBERED_S)
                log.info("Telegram brings messages to [telegram] webhook_url; the web channel must serve it")
            info = await api.bot.get_webhook_info()
        except InvalidToken:
            await trouble.pause(NO_TOKEN, least_s=TOKEN_PAUSE_S)
            continue
        except TelegramError as error:
            await trouble.pause("the webhook could not be set: %s", reason(error))
            continue
        except StoreUnavailable as error:
            await trouble.pause("the webhook is set and not yet noted: %s", error)
            continue
        trouble.over()
        if have is not None and info.url != have:
            log.warning("somebody changed the webhook of this bot; we set ours again")
            have = None
            continue
        have = info.url
        failure.tell(info)
        await asyncio.sleep(LOOK_S)


class _Failure:
    """Tells of Telegram's last failure to reach us: each new kind, and the same again from time to time."""

    def __init__(self) -> None:
        self._text: str | None = None
        self._at: datetime | None = None
        self._told = 0.0

    def tell(self, info: WebhookInfo) -> None:
        text, at, now = info.last_error_message, info.last_error_date, time.monotonic()
        if not text or (text, at) == (self._text, self._at):
            return  # Telegram tells of a failure long after it is over
        if text != self._text or now - self._told > AGAIN_S:
            self._text, self._at, self._told = text, at, now
            log.warning("Telegram could not bring messages to [telegram] webhook_url: %s", text)
