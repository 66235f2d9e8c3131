"""After a downtime: direct messages that Slack told nobody of, read from the conversations themselves.

Slack repeats events for a few minutes only. What was accepted already has the same id and is not answered again; what
is too old is not answered at all. Mentions in channels are left to Slack's repeats: reading all channels would need
far more permissions and calls.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from channels.slack.teams import Team
from channels.slack.trouble import asked
from core.errors import DeliveryLater

log = logging.getLogger(__name__)

OVERLAP_S = 600.0  # Slack's own repeats may be under way
PAGE = 100
AT_ONCE = 20  # calls without a pause
CALL_EVERY_S = 1.3  # tier 3: fifty a minute

Take = Callable[[dict[str, Any]], Awaitable[bool]]


async def catch_up(team: Team, since: float, take: Take) -> int:
    """Pass on every direct message since then (Unix time), oldest first; return how many were new."""
    reader = _Reader(team, since - OVERLAP_S)
    count = 0
    for channel in await reader.conversations():
        for message in sorted(await reader.messages(channel), key=lambda one: float(one["ts"])):
            count += await take(_as_event(team, channel, message))
    if count:
        log.info("caught up with %d direct messages of the workspace %s", count, team.me.team)
    return count


class _Reader:
    """Reads the direct conversations of one workspace, at the pace that Slack allows."""

    def __init__(self, team: Team, oldest: float) -> None:
        self._api = team.api
        self._oldest = oldest
        self._calls = 0

    async def conversations(self) -> list[str]:
        found: list[str] = []
        cursor: str | None = None
        while True:
            page = await self._ask(self._api.conversations_list, types="im", limit=200, cursor=cursor)
            found += [channel["id"] for channel in page["channels"]]
            cursor = (page.get("response_metadata") or {}).get("next_cursor") or None
            if cursor is None:
                return found

    async def messages(self, channel: str) -> list[dict[str, Any]]:
        """Return what was written since then among the newest messages, and in their threads."""
        page = await self._ask(self._api.conversations_history, channel=channel, limit=PAGE)
        found: dict[str, dict[str, Any]] = {}
        for root in page["messages"]:
            thread = []
            if float(root.get("latest_reply") or 0) > self._oldest:
                oldest = f"{self._oldest:.6f}"
                replies = await self._ask(
                    self._api.conversations_replies, channel=channel, ts=root["ts"], oldest=oldest, limit=PAGE
                )
                thread = replies["messages"]
            found |= {one["ts"]: one for one in (root, *thread) if float(one["ts"]) > self._oldest}
        return list(found.values())

    async def _ask(self, method: Callable[..., Awaitable[Any]], **arguments: Any) -> Any:
        """Ask; raises DeliveryError if it fails for another reason than too many calls."""
        self._calls += 1
        if self._calls > AT_ONCE:
            await asyncio.sleep(CALL_EVERY_S)
        while True:
            try:
                return await asked(method(**arguments))
            except DeliveryLater as error:
                if not error.flood:
                    raise
                await asyncio.sleep(error.retry_after_s)


def _as_event(team: Team, channel: str, message: dict[str, Any]) -> dict[str, Any]:
    # In a history the root of a thread names itself as its thread; as an event it does not.
    event = {key: value for key, value in message.items() if key != "thread_ts" or value != message["ts"]}
    event |= {"channel": channel, "channel_type": "im"}
    return {"type": "event_callback", "team_id": team.me.team, "event": event}
