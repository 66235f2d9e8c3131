"""Messages of channels that could not be stored, kept in memory until they can be.

Slack repeats an event for some six minutes only, and reading all channels again would need far more permissions and
calls than reading direct conversations does (attendance.py). What is kept here does not outlive the process.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from core.errors import StoreUnavailable

log = logging.getLogger(__name__)

MOST = 1000
AGAIN_S = 2.0

Body = Mapping[str, Any]


class Kept:
    """Tries again what ``take`` could not store, in order. That Slack repeats some of it as well does no harm."""

    def __init__(self, take: Callable[[Body], Awaitable[object]]) -> None:
        self._take = take
        self._bodies: dict[tuple[str, ...], Body] = {}
        self._trying: asyncio.Task[None] | None = None

    def holds(self, body: Body) -> bool:
        """Tell whether something that was said earlier in this place is kept, so that this must come after it."""
        return any(one["event"].get("channel") == body["event"].get("channel") for one in self._bodies.values())

    def keep(self, body: Body) -> None:
        """Keep a message that could not be stored."""
        said = body["event"]
        name = (str(said.get("channel")), str(said.get("ts")), str(said.get("type")))
        if name not in self._bodies and len(self._bodies) == MOST:
            log.error("more than %d messages of Slack's channels wait for Redis; the rest is left to Slack", MOST)
            return
        self._bodies.setdefault(name, body)
        if self._trying is None or self._trying.done():
            self._trying = asyncio.create_task(self._try())

    async def _try(self) -> None:
        while self._bodies:
            name, body = next(iter(self._bodies.items()))
            try:
                await self._take(body)
            except StoreUnavailable:
                await asyncio.sleep(AGAIN_S)
                continue
            except Exception:
                log.exception("a message of Slack that was kept could not be handled")
            del self._bodies[name]

    async def close(self) -> None:
        """Leave off; Slack may still repeat what is kept."""
        if self._trying:
            self._trying.cancel()
            await asyncio.gather(self._trying, return_exceptions=True)
        if self._bodies:
            log.warning("%d messages of Slack's channels could not be stored", len(self._bodies))
