"""Signs of life: "is thinking..." in the thread, or an :eyes: reaction where Slack shows no status."""

import asyncio
import logging

from channels.base import LONG_LINE
from channels.slack.answers import is_slash
from channels.slack.streams import UNAVAILABLE
from channels.slack.teams import Team, Teams
from channels.slack.trouble import Latch, LockedOut, Refused, asked
from core.errors import DeliveryError, StoreUnavailable
from core.events import Heard, Reply
from core.store.notes import Notes

log = logging.getLogger(__name__)

STATUS = "is thinking..."
BUSY = "is busy, you are number {place}..."
REACTION = "eyes"
NOTE_TTL_S = 86400


class Signs:
    """Shows that a message was heard, and takes the reaction away when its answer is there."""

    def __init__(self, teams: Teams, notes: Notes) -> None:
        self._teams = teams
        self._notes = notes
        self._status = Latch()
        self._reactions = Latch()

    async def show(self, heard: Heard) -> None:
        """Show it. A slash command needs no sign: Slack shows that it was taken."""
        if is_slash(heard.event_id):
            return
        _, team_id, channel, ts = heard.event_id.split(":")
        team = self._teams.of(team_id)
        space, thread = heard.address.space, heard.address.thread
        if thread and self._status.open(space):
            status = BUSY.format(place=heard.place) if heard.place > LONG_LINE else STATUS
            try:
                await asked(team.api.assistant_threads_setStatus(channel_id=channel, thread_ts=thread, status=status))
                return
            except LockedOut as error:
                _forbid(self._status, space, error)
            except Refused as error:
                if error.code in UNAVAILABLE:
                    _forbid(self._status, space, error)
        if self._reactions.open(space):
            await self._react(team, channel, ts)

    async def _react(self, team: Team, channel: str, ts: str) -> None:
        # First the note: who answers takes away what it knows of, and nothing else.
        await asyncio.to_thread(self._notes.put, _note(team, channel, ts), REACTION, NOTE_TTL_S)
        try:
            await asked(team.api.reactions_add(channel=channel, timestamp=ts, name=REACTION))
        except LockedOut as error:
            _forbid(self._reactions, f"{team.me.team}/{channel}", error)
        except Refused as error:
            if error.code != "already_reacted":
                log.info("no reaction could be added: %s", error)

    async def clear(self, reply: Reply) -> None:
        """Take the reactions away from what this reply answers. Errors do no harm."""
        try:
            for event_id in reply.in_reply_to:
                if not is_slash(event_id):
                    await self._clear(event_id)
        except (DeliveryError, StoreUnavailable) as error:
            log.info("a reaction was left behind: %s", error)

    async def _clear(self, event_id: str) -> None:
        _, team_id, channel, ts = event_id.split(":")
        team = self._teams.of(team_id)
        note = _note(team, channel, ts)
        if await asyncio.to_thread(self._notes.get, note):
            try:
                await asked(team.api.reactions_remove(channel=channel, timestamp=ts, name=REACTION))
            except Refused as error:
                log.debug("nothing to take away: %s", error)
            await asyncio.to_thread(self._notes.drop, note)


def _note(team: Team, channel: str, ts: str) -> str:
    return f"eyes:{team.me.team}/{channel}:{ts}"


def _forbid(latch: Latch, space: str, error: LockedOut | Refused) -> None:
    """Do not ask again for a while: it fails the same way for every message of the place."""
    log.warning("a sign of life cannot be given in %s: %s", latch.shut(space, error.code), error)
