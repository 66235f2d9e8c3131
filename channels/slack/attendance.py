"""Until when everything was heard, for each workspace, and catching up with what was not.

The mark of a workspace is durable and stands still from a gap on until what fell into the gap was read: who starts
after a crash in between begins at the same place. The same holds from a message on that could not be taken, as Redis
was away: Slack repeats it for some minutes only, so its conversation is read. What is read and how: catchup.py.
"""

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import Any

from channels.slack.catchup import Reading, Take
from channels.slack.limits import Limits
from channels.slack.teams import Team
from core.errors import DeliveryError, StoreUnavailable
from core.store.notes import Notes

log = logging.getLogger(__name__)

MARK_EVERY_S = 30.0
GAP_S = 120.0  # without a sign of Slack; shorter ones are Slack's own repeats
RETRY_S = 60.0
STORE_RETRY_S = 5.0
HOUR_S = 3600.0
# By HTTP nothing tells a quiet hour from a broken proxy, so looking after each of them must not cost too much.
QUIET_S = 600.0
PATIENCE_S = 2.0  # of the three seconds in which Slack wants its acknowledgement
BEHIND = "what was said before is being read first"


class Behind(Exception):
    """What was said before in this conversation must be read first; Slack shall send it again."""


@dataclass
class _State:
    """``seen``: the last sign of Slack. ``missed``: since when something may have been missed and is not being read."""

    take: Take
    seen: float
    missed: float | None
    marked: float = 0.0
    not_before: float = 0.0
    reading: Reading | None = None


class Attendance:
    """What was heard in all workspaces; nothing older than ``limit_s`` is read."""

    def __init__(self, notes: Notes, limits: Limits, limit_s: float, *, by_socket: bool) -> None:
        self._notes = notes
        self._limits = limits
        self.limit_s = limit_s
        self._pause_s = 0.0 if by_socket else QUIET_S
        self._states: dict[str, _State] = {}
        self._refused_before: dict[str, float] = {}  # workspace -> when something came before ``begin`` had a mark
        self._tasks: set[asyncio.Task[None]] = set()

    async def begin(self, team: Team, take: Take) -> None:
        """Begin with a workspace: what came since its mark is read in the background and passed to ``take``."""
        while True:
            try:
                mark = (await asyncio.to_thread(self._notes.marks)).get(_place(team))
                break
            except StoreUnavailable as error:
                log.warning("starting waits: %s", error)
                await asyncio.sleep(1)
        since = float(mark) if mark else self._refused_before.get(team.me.team)
        state = _State(take, seen=time.time(), missed=since)
        self._states[team.me.team] = state
        if state.missed is None:
            await self._mark(team, state)
        else:
            self._read(team, state)

    async def sign(self, team: Team) -> None:
        """Slack has just shown that it reaches us. After a gap, what may have been missed is read."""
        state = self._states.get(team.me.team)
        if state is None:
            return
        now, before = time.time(), state.seen
        state.seen = now
        if now - before > GAP_S:
            log.info("nothing was heard of the workspace %s for %.0f s", team.me.team, now - before)
            state.missed = before if state.missed is None else state.missed
        if state.reading:
            return
        if state.missed is not None:
            if now >= state.not_before:
                self._read(team, state)
        elif now - state.marked > MARK_EVERY_S:
            await self._mark(team, state)

    async def first(self, team: Team, channel: str) -> None:
        """Read what was missed in this conversation, if something was; who writes now is answered after that.

        Raises Behind if it takes too long.
        """
        state = self._states.get(team.me.team)
        if state is None:
            raise Behind(BEHIND)
        if state.reading is None or not state.reading.lacks(channel):
            return
        await asyncio.to_thread(self._notes.marks)  # nothing is asked of Slack that could not be stored
        reading = asyncio.create_task(state.reading.conversation(channel, hurried=True))
        self._keep(reading)
        done, _ = await asyncio.wait({reading}, timeout=PATIENCE_S)
        if not done:
            raise Behind(BEHIND)
        error = reading.exception()
        if isinstance(error, DeliveryError):
            log.info("a message is taken before older ones that cannot be read: %s", error)
        elif error:
            raise error

    def refused(self, team: Team, channel: str) -> None:
        """A message of a direct conversation was not taken; it is read there as soon as that can be."""
        state = self._states.get(team.me.team)
        if state is None:
            self._refused_before.setdefault(team.me.team, time.time())
        elif state.reading:
            state.reading.again(channel)
        else:
            state.reading = Reading(team, self._limits, time.time(), state.take, channel)
            self._keep(asyncio.create_task(self._finish(team, state, state.reading)))

    def _read(self, team: Team, state: _State) -> None:
        assert state.missed is not None
        since, state.missed = max(state.missed, time.time() - self.limit_s), None
        state.not_before = time.time() + self._pause_s
        state.reading = Reading(team, self._limits, since, state.take)
        self._keep(asyncio.create_task(self._finish(team, state, state.reading)))

    async def _finish(self, team: Team, state: _State, reading: Reading) -> None:
        """Read all, however often it must be tried; only then the mark goes on."""
        wait_s = RETRY_S
        while True:
            try:
                await asyncio.to_thread(self._notes.marks)
                await reading.all()
                break
            except StoreUnavailable as error:
                log.warning("catching up with direct messages waits for Redis: %s", error)
                await asyncio.sleep(STORE_RETRY_S)
                continue
            except DeliveryError as error:
                log.warning("catching up with direct messages waits %.0f s: %s", wait_s, error)
            except Exception:  # whatever it is, it must not end the catching up of this workspace for good
                log.exception("catching up with direct messages waits %.0f s", wait_s)
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, HOUR_S)
        state.reading = None
        if state.missed is None:
            await self._mark(team, state)

    async def _mark(self, team: Team, state: _State) -> None:
        state.marked = time.time()
        try:
            await asyncio.to_thread(self._notes.mark, _place(team), f"{state.seen:.0f}")
        except StoreUnavailable as error:
            log.debug("no mark could be set: %s", error)

    def _keep(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Leave off; the marks tell where to go on."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _place(team: Team) -> str:
    return f"heard until:{team.me.team}"
