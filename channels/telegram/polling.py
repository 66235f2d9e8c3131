"""Long polling: updates are stored first, and the next call's offset confirms them. It goes on by itself after errors.

Telegram keeps unconfirmed updates for 24 hours, so nothing is lost while we or the store are away.
"""

import asyncio
import logging
import time
from typing import Any
from urllib.parse import urlsplit

from telegram.error import Conflict, InvalidToken, RetryAfter, TelegramError

from channels.base import Accept
from channels.telegram.api import Api, reason, wait_s
from channels.telegram.intake import Intake
from channels.telegram.parse import Me
from channels.telegram.seat import Seat
from core.errors import StoreUnavailable
from core.store import Notes

log = logging.getLogger(__name__)

WATCHDOG_S = 120.0  # without a call that completes
RENEW_AFTER = 3  # failures in a row, then with a new connection
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
STORE_PAUSE_S = 2.0
TOKEN_PAUSE_S = 10.0
AGAIN_S = 300.0  # a message about the same trouble is logged again only after this long
WEBHOOK_NOTE = "webhook"

NO_TOKEN = (
    "Telegram refuses TELEGRAM_BOT_TOKEN: it was revoked or mistyped. Copy the present one from @BotFather (/mybots, "
    "your bot, API Token) into .env and restart this channel"
)
TWO_POLLERS = (
    "another process polls with this bot's token, so Telegram gives messages to it instead of us. End it (an older "
    "copy of this bot, another program, a developer's machine), or revoke the token with @BotFather if you do not "
    "know it. We go on by ourselves as soon as it is gone"
)
WEBHOOK_SET = (
    "a webhook at %s is set for this bot, so Telegram gives messages to it instead of us. If nobody needs it any more: "
    "rapport telegram check --take-over. We go on by ourselves as soon as it is gone"
)


class Trouble:
    """Pauses that grow up to ``longest_s``, and one log line for the same trouble instead of many."""

    def __init__(self, longest_s: float = LONGEST_PAUSE_S) -> None:
        self.count = 0
        self._longest_s = longest_s
        self._text = ""
        self._logged = 0.0

    async def pause(
        self, text: str, *args: object, least_s: float = FIRST_PAUSE_S, exactly_s: float | None = None
    ) -> None:
        """Say what is wrong, unless it was said a short time ago, and wait longer each time."""
        self.count += 1
        now = time.monotonic()
        if text != self._text or now - self._logged > AGAIN_S:
            log.error(text, *args)
            self._text, self._logged = text, now
        doubled = min(self._longest_s, FIRST_PAUSE_S * 2 ** min(self.count - 1, 10))
        await asyncio.sleep(max(least_s, doubled) if exactly_s is None else exactly_s)

    def over(self, what: str = "Telegram answers") -> None:
        """Note that it works."""
        if self.count:
            log.info("%s again after %d failed calls", what, self.count)
        self.count, self._text = 0, ""


async def introduced(api: Api, trouble: Trouble) -> Me:
    """Return who the bot is, however long it takes to reach Telegram."""
    while True:
        try:
            me = await api.me()
        except InvalidToken:
            await trouble.pause(NO_TOKEN, least_s=TOKEN_PAUSE_S)
        except RetryAfter as error:
            await trouble.pause("Telegram asks us to wait", exactly_s=wait_s(error))
        except TelegramError as error:
            await trouble.pause("Telegram cannot be reached (%s); we try again", reason(error))
        else:
            trouble.over()
            return me


class Polling:
    """Polls for one bot, while this process has the seat."""

    def __init__(self, api: Api, intake: Intake, notes: Notes) -> None:
        self._api = api
        self._intake = intake
        self._notes = notes
        self._seat = Seat(notes)
        self._trouble = Trouble()
        self._store_trouble = Trouble(STORE_PAUSE_S)

    async def run(self, me: Me, accept: Accept) -> None:
        """Poll until cancelled."""
        keeping = asyncio.create_task(self._seat.keep(), name="seat")
        try:
            offset: int | None = None
            while True:
                await self._seat.taken()
                updates = await self._fetch(offset)
                if updates is None:
                    continue
                for update in updates:
                    await self._stored(update, me, accept)
                # No offset where nothing is to be confirmed: after a quiet week Telegram counts from somewhere else.
                offset = max((update["update_id"] for update in updates), default=-1) + 1 or None
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)

    async def _fetch(self, offset: int | None) -> list[dict[str, Any]] | None:
        """Return new updates; None after trouble, which was told and waited for."""
        try:
            async with asyncio.timeout(WATCHDOG_S):
                updates = await self._api.updates(offset)
        except TimeoutError:
            await self._trouble.pause("no call to Telegram has completed for %.0f s; we connect anew", WATCHDOG_S)
            await self._api.renew()
        except Conflict as error:
            await self._conflict(error)
        except InvalidToken:
            await self._trouble.pause(NO_TOKEN, least_s=TOKEN_PAUSE_S)
        except RetryAfter as error:
            await self._trouble.pause("Telegram asks us to poll less", exactly_s=wait_s(error))
        except TelegramError as error:
            await self._trouble.pause("Telegram cannot be reached (%s); we try again", reason(error))
            if self._trouble.count % RENEW_AFTER == 0:
                await self._api.renew()
        else:
            self._trouble.over()
            return updates
        return None

    async def _conflict(self, error: Conflict) -> None:
        if not self._seat.mine:
            return  # another process of ours took over
        if "webhook" not in error.message.lower():
            await self._trouble.pause(TWO_POLLERS, least_s=1.0)
            return
        try:
            url = (await self._api.bot.get_webhook_info()).url
            if url and url == await asyncio.to_thread(self._notes.get, WEBHOOK_NOTE):
                log.info("the webhook that this bot used before is removed; what waits there comes in by polling")
                await self._api.bot.delete_webhook()
                return
        except (TelegramError, StoreUnavailable):
            url = ""
        await self._trouble.pause(WEBHOOK_SET, urlsplit(url).hostname or "an unknown address", least_s=1.0)

    async def _stored(self, update: dict[str, Any], me: Me, accept: Accept) -> None:
        """Have this update stored, however long the store is away: nothing after it may go before."""
        while True:
            try:
                await self._intake.take(update, me, accept)
            except StoreUnavailable as error:
                await self._store_trouble.pause("messages wait at Telegram: %s", error)
            else:
                self._store_trouble.over("the store answers")
                return
