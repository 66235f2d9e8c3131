"""Direct messages that Slack told nobody of, or that could not be stored, read from the conversations themselves.

Slack repeats events for a few minutes only. What was accepted already has the same id and is not answered again; what
is too old is not answered at all. Mentions in channels are left to Slack's repeats: reading all channels would need
far more permissions and calls. When this is done: attendance.py.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from channels.slack.limits import Limits, conversations, history, replies
from channels.slack.teams import Team
from channels.slack.trouble import Refused
from core.errors import DeliveryLater
from core.store import Bucket

log = logging.getLogger(__name__)

OVERLAP_S = 600.0  # Slack's own repeats may be under way
PAGE = 100
LEFT = 10  # calls at once that are left to conversations for which somebody waits

Take = Callable[[dict[str, Any]], Awaitable[bool]]


class Reading:
    """Passes on every direct message of one workspace since then (Unix time), at the pace that Slack allows.

    Of all conversations, or of one ``channel`` alone and those that ``again`` names.
    """

    def __init__(self, team: Team, limits: Limits, since: float, take: Take, channel: str | None = None) -> None:
        self._team = team
        self._limits = limits
        self._api = team.api
        self._oldest = since - OVERLAP_S
        self._take = take
        self._all_known = channel is not None
        self._left: dict[str, int] = {channel: 0} if channel else {}  # channel -> how often it was named again
        self._read: set[str] = set()
        self._turns: dict[str, asyncio.Lock] = {}

    async def all(self) -> None:
        """Read all conversations; what was read already is not read again, if this is called again."""
        if not self._all_known:
            for channel in filter(self.lacks, await self.conversations()):
                self._left.setdefault(channel, 0)
            self._all_known = True
        while self._left:
            channel = next(iter(self._left))
            try:
                await self.conversation(channel)
            except Refused as error:
                log.warning("%s/%s cannot be read, what was said stays unheard: %s", self._team.me.team, channel, error)
                self._done(channel)

    def lacks(self, channel: str) -> bool:
        """Say whether a conversation is still to be read."""
        return channel in self._left or not (self._all_known or channel in self._read)

    def again(self, channel: str) -> None:
        """Something that was written in a conversation just now could not be taken."""
        self._left[channel] = self._left.get(channel, 0) + 1

    async def conversation(self, channel: str, *, hurried: bool = False) -> None:
        """Pass on what was written in a conversation, oldest first. ``hurried``: somebody waits for it."""
        async with self._turns.setdefault(channel, asyncio.Lock()):
            if not self.lacks(channel):
                return
            named = self._left.get(channel)
            messages = await self.messages(channel, hurried=hurried)
            count = 0
            for message in sorted(messages, key=lambda one: float(one["ts"])):
                count += await self._take(_as_event(self._team, channel, message))
            if self._left.get(channel) == named:
                self._done(channel)
        if count:
            log.info("caught up with %d direct messages of the workspace %s", count, self._team.me.team)

    def _done(self, channel: str) -> None:
        self._left.pop(channel, None)
        self._read.add(channel)

    async def conversations(self) -> list[str]:
        """Return all direct conversations."""
        found: list[str] = []
        cursor: str | None = None
        while True:
            page = await self._ask(conversations, self._api.conversations_list, types="im", limit=200, cursor=cursor)
            found += [channel["id"] for channel in page["channels"]]
            cursor = (page.get("response_metadata") or {}).get("next_cursor") or None
            if cursor is None:
                return found

    async def messages(self, channel: str, *, hurried: bool) -> list[dict[str, Any]]:
        """Return what was written since then among the newest messages, and in their threads."""
        page = await self._ask(history, self._api.conversations_history, channel=channel, limit=PAGE, hurried=hurried)
        self._admit_more(page, channel)
        found: dict[str, dict[str, Any]] = {}
        roots = page["messages"]
        for root in roots:
            thread = []
            if float(root.get("latest_reply") or 0) > self._oldest:
                oldest = f"{self._oldest:.6f}"
                page = await self._ask(
                    replies,
                    self._api.conversations_replies,
                    channel=channel,
                    ts=root["ts"],
                    oldest=oldest,
                    limit=PAGE,
                    hurried=hurried,
                )
                thread = page["messages"]
                self._admit_more(page, channel)
            found |= {one["ts"]: one for one in (root, *thread) if float(one["ts"]) > self._oldest}
        return list(found.values())

    def _admit_more(self, page: Any, channel: str) -> None:
        if page.get("has_more") and all(float(one["ts"]) > self._oldest for one in page["messages"][1:]):
            log.warning("in %s/%s more was written than is read; the rest stays unheard", self._team.me.team, channel)

    async def _ask(
        self,
        bucket_of: Callable[[str], Bucket],
        method: Callable[..., Awaitable[Any]],
        /,
        *,
        hurried: bool = False,
        **arguments: Any,
    ) -> Any:
        """Ask; raises DeliveryError if it fails for another reason than too many calls."""
        bucket = bucket_of(self._team.me.team)
        while True:
            try:
                spare = 0 if hurried else LEFT
                return await self._limits.asked(bucket, lambda: method(**arguments), spare=spare)
            except DeliveryLater as error:
                if not error.flood:
                    raise
                await asyncio.sleep(error.retry_after_s)


def _as_event(team: Team, channel: str, message: dict[str, Any]) -> dict[str, Any]:
    # In a history the root of a thread names itself as its thread; as an event it does not.
    event = {key: value for key, value in message.items() if key != "thread_ts" or value != message["ts"]}
    event |= {"channel": channel, "channel_type": "im"}
    return {"type": "event_callback", "team_id": team.me.team, "event": event}
