"""The :eyes: reaction on a message that is being answered: given, and for certain taken away again.

Slack lets few reactions be taken away in a minute, so that is done in the background, for as long as it takes; which
ones are to go is kept in the store, for who goes on after an end in between.
"""

import asyncio
import logging
import time

from channels.slack import limits
from channels.slack.teams import Team, Teams
from channels.slack.trouble import Refused
from core.errors import DeliveryLater, DeliveryRefused, DeliveryUnsure, StoreUnavailable
from core.store.notes import Notes

log = logging.getLogger(__name__)

REACTION = "eyes"
PREFIX = "eyes:"
NOTE_TTL_S = 86400
RETRY_S = 5.0
CLOSE_S = 1.0


class Eyes:
    """Reactions in all workspaces. What is noted was or may have been given; what is marked is to be taken away."""

    def __init__(self, teams: Teams, notes: Notes) -> None:
        self._teams = teams
        self._notes = notes
        self._giving: dict[str, asyncio.Task[None]] = {}
        self._lines: dict[str, dict[str, None]] = {}  # workspace -> what is to be taken away there
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def give(self, team: Team, channel: str, ts: str) -> None:
        """React to a message, if Slack allows one more now; raises DeliveryError."""
        place = f"{PREFIX}{team.me.team}/{channel}:{ts}"
        # First the note: who answers takes away what it knows of, and nothing else.
        if place in self._giving or not await asyncio.to_thread(self._notes.add, place, REACTION, NOTE_TTL_S):
            return
        giving = asyncio.create_task(self._give(team, channel, ts, place))
        self._giving[place] = giving
        giving.add_done_callback(lambda _: self._giving.pop(place, None))
        try:
            await asyncio.shield(giving)  # an answer in between ends the sign, but not a call on its way to Slack
        except asyncio.CancelledError:
            giving.add_done_callback(lambda done: done.cancelled() or done.exception())
            raise

    async def _give(self, team: Team, channel: str, ts: str, place: str) -> None:
        try:
            await self._teams.limits.asked(
                limits.react(team.me.team),
                lambda: team.api.reactions_add(channel=channel, timestamp=ts, name=REACTION),
            )
        except (DeliveryLater, DeliveryRefused) as error:
            if isinstance(error, Refused) and error.code == "already_reacted":
                return
            await asyncio.to_thread(self._notes.drop, place)  # it is not there for sure
            raise

    async def take_away(self, event_ids: tuple[str, ...]) -> None:
        """Have the reactions to these messages taken away, now or later; raises StoreUnavailable."""
        for event_id in event_ids:
            _, team, channel, ts = event_id.split(":")
            place = f"{PREFIX}{team}/{channel}:{ts}"
            if await asyncio.to_thread(self._marked, place):
                self._line_up(place)

    def resume(self) -> None:
        """Take away what an earlier process has left."""
        self._tasks[""] = asyncio.create_task(self._resume())

    async def close(self) -> None:
        """Leave off; the marks tell where to go on."""
        tasks = [*self._tasks.values(), *self._giving.values()]
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSE_S)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _marked(self, place: str) -> bool:
        """Mark a message that has a reaction; return whether it has one."""
        if self._notes.get(place) is None:
            return False
        self._notes.mark(place, f"{time.time():.0f}")
        return True

    async def _resume(self) -> None:
        while True:
            try:
                marks = await asyncio.to_thread(self._notes.marks)
                break
            except StoreUnavailable:
                await asyncio.sleep(RETRY_S)
        for place in marks:
            if place.startswith(PREFIX):
                self._line_up(place)

    def _line_up(self, place: str) -> None:
        team = place.removeprefix(PREFIX).partition("/")[0]
        self._lines.setdefault(team, {})[place] = None
        if team not in self._tasks:
            self._tasks[team] = asyncio.create_task(self._work(team))

    async def _work(self, team: str) -> None:
        """Take away what is in the line of a workspace, in order."""
        line = self._lines[team]
        try:
            while line:
                place = next(iter(line))
                try:
                    await self._take_away(team, place)
                except (DeliveryLater, DeliveryUnsure, StoreUnavailable) as error:
                    wait_s = error.retry_after_s if isinstance(error, DeliveryLater) else RETRY_S
                    log.info("taking a reaction away waits %.1f s: %s", wait_s, error)
                    await asyncio.sleep(wait_s)
                    continue
                del line[place]
        finally:
            del self._tasks[team]

    async def _take_away(self, team_id: str, place: str) -> None:
        channel, _, ts = place.partition("/")[2].partition(":")
        if giving := self._giving.get(place):
            await asyncio.wait({giving})
        try:
            team = self._teams.of(team_id)
            await self._teams.limits.asked(
                limits.unreact(team_id),
                lambda: team.api.reactions_remove(channel=channel, timestamp=ts, name=REACTION),
            )
        except DeliveryRefused as error:
            log.debug("nothing to take away: %s", error)
        await asyncio.to_thread(self._notes.drop, place)
        await asyncio.to_thread(self._notes.unmark, place)
