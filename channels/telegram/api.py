"""The SDK (python-telegram-bot), and its errors in our words. Texts of the SDK can hold the token: few are passed on.

What the SDK does otherwise than the facts in our notes say: its TimedOut also covers connections that were never made
and a full pool, where nothing was sent; only ``__cause__`` tells. Its Updater is not used, as it confirms updates that
are in memory only. Its parsed Update is not used either: an update of a newer Bot API that it could not read would
stop all that come after it.
"""

import asyncio
import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from typing import Any
from urllib.parse import urlencode

# The SDK's flood error warns of a coming change each time it is made, unless this asks for the new form.
os.environ.setdefault("PTB_TIMEDELTA", "true")

import httpx
from telegram import Bot, InlineKeyboardButton, InlineKeyboardMarkup
from telegram.error import (
    BadRequest,
    ChatMigrated,
    Forbidden,
    InvalidToken,
    RetryAfter,
    TelegramError,
)
from telegram.request import HTTPXRequest

from channels.telegram.parse import Me
from channels.telegram.settings import Credentials
from core.errors import DeliveryError, DeliveryLater, DeliveryRefused, DeliveryUnsure

POLL_S = 30
ANSWER_S = 15.0  # within which the Bot API answers anything else
CONNECT_S = 10.0
CONNECTIONS = 32
TOKEN_RETRY_S = 30.0
# Named, as reactions come only to who asks for them.
ALLOWED_UPDATES = ("message", "callback_query", "message_reaction")
NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
Keyboard = Sequence[Sequence[tuple[str, str]]]


class _Calling(HTTPXRequest):
    """Calls that may be cancelled: one that is not sent yet is not sent any more, others go on to their end, unheard.

    httpx itself loses the connection of a cancelled call for good. Signs of life are cancelled all the time, so after a
    while the pool was empty and nothing could be sent any more.
    """

    def __init__(self) -> None:
        super().__init__(
            connection_pool_size=CONNECTIONS,
            read_timeout=ANSWER_S,
            write_timeout=ANSWER_S,
            connect_timeout=CONNECT_S,
            pool_timeout=CONNECT_S,
            httpx_kwargs={"event_hooks": {"request": [_watch]}},
        )

    async def do_request(self, *args: Any, **kwargs: Any) -> tuple[int, bytes]:
        """See the SDK."""
        given_up = asyncio.Event()
        before = _given_up.set(given_up)
        call = asyncio.ensure_future(super().do_request(*args, **kwargs))  # it has a copy of the context
        call.add_done_callback(lambda one: one.cancelled() or one.exception())  # perhaps nobody else asks for it
        _given_up.reset(before)
        try:
            return await asyncio.shield(call)
        except asyncio.CancelledError:
            given_up.set()
            raise


_given_up: ContextVar[asyncio.Event] = ContextVar("given_up")


async def _watch(request: httpx.Request) -> None:
    """Have a call end with an error, which httpx can bear, if it is given up before it is sent."""
    given_up = _given_up.get()

    async def trace(event: str, info: object) -> None:
        if event.endswith("send_request_headers.started") and given_up.is_set():
            raise httpx.WriteError("nobody waits for it any more")

    request.extensions["trace"] = trace


class Api:
    """One bot at one Bot API server. ``bot`` is the SDK's; polling has a connection of its own."""

    def __init__(self, credentials: Credentials) -> None:
        self._polling = HTTPXRequest(connection_pool_size=1, connect_timeout=CONNECT_S, pool_timeout=CONNECT_S)
        self._calling = _Calling()
        self.bot = Bot(
            credentials.token,
            base_url=f"{credentials.api_url}/bot",
            request=self._calling,
            get_updates_request=self._polling,
        )

    async def me(self) -> Me:
        """Ask who the bot is; raises TelegramError."""
        user = await self.bot.get_me()
        return Me(user.id, user.username or "")

    async def updates(self, offset: int | None) -> list[dict[str, Any]]:
        """Wait for updates, confirming all before ``offset``; raises TelegramError."""
        asked = {"timeout": POLL_S, "allowed_updates": json.dumps(ALLOWED_UPDATES)}
        if offset is not None:
            asked["offset"] = offset
        url = f"{self.bot.base_url}/getUpdates?{urlencode(asked)}"
        found = await self._polling.post(url, read_timeout=POLL_S + ANSWER_S)
        assert isinstance(found, list)
        return found

    async def renew(self) -> None:
        """Throw away the connection that polls: it may be dead without knowing."""
        await self._polling.shutdown()
        await self._polling.initialize()

    async def close(self) -> None:
        """Close all connections."""
        await self._polling.shutdown()
        await self._calling.shutdown()


def markup(keyboard: Keyboard | None) -> InlineKeyboardMarkup | None:
    """Return rows of (text, data) as the SDK has them."""
    if keyboard is None:
        return None
    return InlineKeyboardMarkup(
        [[InlineKeyboardButton(text, callback_data=data) for text, data in row] for row in keyboard]
    )


@contextlib.contextmanager
def translated(*, harmless: bool = False) -> Iterator[None]:
    """Translate errors of the SDK. ``harmless``: what may have been done can be done again (an edit)."""
    try:
        yield
    except TelegramError as error:
        raise delivery_error(error, harmless=harmless) from None


def delivery_error(error: TelegramError, *, harmless: bool = False) -> DeliveryError:
    """Return what an error of the SDK means for a reply."""
    if isinstance(error, RetryAfter):
        seconds = wait_s(error)
        return DeliveryLater(f"Telegram asks to wait {seconds:.0f} s", seconds, flood=True)
    if isinstance(error, ChatMigrated):
        return DeliveryLater("the group is becoming a supergroup")
    if isinstance(error, InvalidToken):
        return DeliveryLater("Telegram refuses TELEGRAM_BOT_TOKEN; set the bot's present token", TOKEN_RETRY_S)
    if isinstance(error, (Forbidden, BadRequest)):
        return DeliveryRefused(f"Telegram: {error.message}")
    if never_sent(error):
        return DeliveryLater(f"Telegram cannot be reached ({reason(error)})")
    if harmless:
        return DeliveryLater(f"Telegram gave no answer ({reason(error)})")
    return DeliveryUnsure(f"Telegram gave no answer ({reason(error)})")


def never_sent(error: TelegramError) -> bool:
    """Say whether the request certainly did not reach Telegram."""
    return isinstance(error.__cause__, NEVER_SENT)


def wait_s(error: RetryAfter) -> float:
    """Return how long Telegram says to wait."""
    told = error.retry_after
    return float(told) if isinstance(told, (int, float)) else told.total_seconds()


def reason(error: TelegramError) -> str:
    """Return what happened, without addresses: they hold the token."""
    cause = error.__cause__
    if cause is not None and not isinstance(cause, TelegramError):
        return type(cause).__name__
    return error.message.partition(". Parsing")[0]  # what Telegram says, or the HTTP status


def says(error: BadRequest, *words: str) -> bool:
    """Say whether Telegram's description has one of these words, whatever their case."""
    return any(word in error.message.lower() for word in words)
