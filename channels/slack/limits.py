"""How often Slack may be asked: a bucket for each method and workspace, shared by all processes of the channel.

Slack allows so many calls of a method a minute in a workspace (its tiers) and lets short bursts beyond that pass; how
much we do at once is our own choice. What one message costs: messages.py.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from channels.slack.trouble import asked
from core.errors import DeliveryLater, StoreUnavailable
from core.store import Bucket
from core.store.pace import Pace

MINUTE_S = 60.0  # tests have shorter ones
TIER_2, TIER_3, TIER_4 = 20, 50, 100
STATUSES = 600  # (obs) Slack says only that it is a limit of its own
STORE_S = 1.0


def bucket(name: str, team: str, calls: float, burst: float) -> Bucket:
    """Return a limit of so many calls a minute in a workspace."""
    return Bucket(f"{name}:{team}", calls / MINUTE_S, burst)


def status(team: str) -> Bucket:
    """Return the limit of assistant.threads.setStatus."""
    return bucket("status", team, STATUSES, 30)


def react(team: str) -> Bucket:
    """Return the limit of reactions.add: in the long run no more than can be taken away again."""
    return bucket("react", team, TIER_2, 30)


def unreact(team: str) -> Bucket:
    """Return the limit of reactions.remove."""
    return bucket("unreact", team, TIER_2, 10)


def names(team: str) -> Bucket:
    """Return the limit of users.info."""
    return bucket("names", team, TIER_4, 20)


def conversations(team: str) -> Bucket:
    """Return the limit of conversations.list."""
    return bucket("conversations", team, TIER_2, 5)


def history(team: str) -> Bucket:
    """Return the limit of conversations.history."""
    return bucket("history", team, TIER_3, 20)


def replies(team: str) -> Bucket:
    """Return the limit of conversations.replies."""
    return bucket("replies", team, TIER_3, 20)


class Limits:
    """Asks Slack what its limits allow."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace

    async def asked(self, limit: Bucket, call: Callable[[], Awaitable[Any]], *, spare: int = 0) -> Any:
        """Return what Slack answers. Raises what ``trouble.asked`` does.

        That is DeliveryLater, and Slack is not asked, as long as the limit does not allow it or Slack has asked to
        wait, whichever process it told so. ``spare`` calls are left for who is in more of a hurry.
        """
        try:
            wait_s = await asyncio.to_thread(self._pace.take, [limit], spare=spare)
        except StoreUnavailable:
            raise DeliveryLater("whether Slack may be asked now is not known", STORE_S, flood=True) from None
        if wait_s:
            raise DeliveryLater(f"Slack may not be asked now ({limit.name})", wait_s, flood=True)
        try:
            return await asked(call())
        except DeliveryLater as error:
            if error.flood:
                with contextlib.suppress(StoreUnavailable):  # who asked next is told so by Slack itself
                    await asyncio.to_thread(self._pace.hold, limit, error.retry_after_s)
            raise
