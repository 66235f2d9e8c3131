"""How updates reach a bot: long polling that confirms by offset, or a webhook that is tried until it answers 2xx."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import Callable
from typing import Any

import aiohttp
from aiohttp import web

Json = dict[str, Any]
# What a bot gets that has never named the kinds of updates it wants.
NOT_BY_DEFAULT = {"message_reaction", "message_reaction_count", "chat_member"}
RETRY_S = 0.1  # the platform waits longer
WEBHOOK_TIMEOUT_S = 10


class Conflict(Exception):
    """Another one receives the updates."""


class Updates:
    """What waits for the bot, in order. Everything here runs on the double's loop."""

    def __init__(self, reach: Callable[[str], None], acknowledged: list[tuple[str, float]]) -> None:
        self.webhook: Json = {}
        self.allowed: list[str] | None = None
        self.last_error: str | None = None
        self.last_error_at = 0
        self.conflicts = 0
        self._reach = reach
        self._acknowledged = acknowledged
        self._ids = itertools.count(500_000_001)
        self._waiting: dict[int, Json] = {}
        self._again: list[int] = []  # delivered once more, whatever was confirmed
        self._all: dict[int, Json] = {}
        self._names: dict[int, str] = {}
        self._first_sent: dict[int, float] = {}
        self._changed = asyncio.Event()
        self._poll: asyncio.Future[None] | None = None
        self._pusher: asyncio.Task[None] | None = None

    @property
    def polled(self) -> bool:
        """Whether a poll waits right now."""
        return self._poll is not None

    @property
    def pending(self) -> int:
        """How many updates the bot has not confirmed."""
        return len(self._waiting)

    def add(self, kind: str, body: Json, name: str) -> None:
        """Put an update into the queue, if the bot wants its kind; ``name`` is what acknowledged calls it."""
        wanted = kind in self.allowed if self.allowed else kind not in NOT_BY_DEFAULT
        if not wanted:
            return
        number = next(self._ids)
        self._waiting[number] = self._all[number] = {"update_id": number, kind: body}
        self._names[number] = name
        self._changed.set()

    def add_again(self, name: str) -> None:
        """Deliver the update of this name once more, with its own number."""
        number = next(number for number in reversed(self._names) if self._names[number] == name)
        self._again.append(number)
        self._changed.set()

    def drop_all(self) -> None:
        """Forget what waits."""
        self._waiting.clear()

    async def poll(self, offset: int, limit: int, timeout_s: float, gone: Callable[[], bool]) -> list[Json]:
        """Answer getUpdates; raises Conflict if a webhook is set or another poll comes. ``gone``: nobody listens."""
        if self.webhook:
            self.conflicts += 1
            raise Conflict("can't use getUpdates method while webhook is active; use deleteWebhook to delete it first")
        if self._poll:
            self.conflicts += 1
            self._poll.cancel()
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._poll = mine
        try:
            self._confirm(offset)
            end = time.monotonic() + timeout_s
            while not (self._waiting or self._again) and time.monotonic() < end and not gone():
                self._changed.clear()
                changed = asyncio.ensure_future(self._changed.wait())
                await asyncio.wait(
                    {changed, mine}, timeout=min(0.2, end - time.monotonic()), return_when="FIRST_COMPLETED"
                )
                changed.cancel()
                if mine.cancelled():
                    raise Conflict(
                        "terminated by other getUpdates request; make sure that only one bot instance is running"
                    )
            return [] if gone() else self._take(limit)
        finally:
            if self._poll is mine:
                self._poll = None

    def _take(self, limit: int) -> list[Json]:
        numbers = [*self._again, *sorted(set(self._waiting) - set(self._again))][:limit]
        self._again = [number for number in self._again if number not in numbers]
        for number in numbers:
            self._first_sent.setdefault(number, time.monotonic())
        if numbers:
            self._reach("delivering")
        return [self._all[number] for number in numbers]

    def _confirm(self, offset: int) -> None:
        if offset < 0:
            offset = max(self._waiting, default=0) + 1 + offset
        done = [number for number in sorted(self._waiting) if number < offset]
        for number in done:
            del self._waiting[number]
            self._settled(number)

    def _settled(self, number: int) -> None:
        self._acknowledged.append(
            (self._names[number], time.monotonic() - self._first_sent.get(number, time.monotonic()))
        )
        self._reach("acknowledged")

    def set_webhook(self, webhook: Json) -> None:
        """Begin to push, or with an empty webhook end it."""
        if self._pusher:
            self._pusher.cancel()
            self._pusher = None
        self.webhook = webhook
        if webhook:
            if self._poll:
                self._poll.cancel()
            self._pusher = asyncio.ensure_future(self._push())

    async def _push(self) -> None:
        headers = {"X-Telegram-Bot-Api-Secret-Token": self.webhook.get("secret_token", "")}
        timeout = aiohttp.ClientTimeout(total=WEBHOOK_TIMEOUT_S)
        async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:
            while True:
                if not (self._waiting or self._again):
                    self._changed.clear()
                    await self._changed.wait()
                for update in self._take(1):
                    if await self._pushed(session, update):
                        self._waiting.pop(update["update_id"], None)
                        self._settled(update["update_id"])
                    else:
                        self._waiting[update["update_id"]] = update
                        await asyncio.sleep(RETRY_S)

    async def _pushed(self, session: aiohttp.ClientSession, update: Json) -> bool:
        try:
            async with session.post(self.webhook["url"], json=update, allow_redirects=False) as response:
                await response.read()
                self._reach("delivered")
                if response.ok:
                    return True
                self.fail(f"Wrong response from the webhook: {response.status} {response.reason}")
        except (aiohttp.ClientError, TimeoutError) as error:
            self.fail(f"Connection failed: {type(error).__name__}")
        return False

    def fail(self, why: str, at: int | None = None) -> None:
        """Note that the webhook could not be reached, now or at a time in s."""
        self.last_error, self.last_error_at = why, int(time.time()) if at is None else at

    async def end(self, _: web.Application) -> None:
        """Stop pushing."""
        if self._pusher:
            self._pusher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._pusher
