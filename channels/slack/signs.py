"""Signs of life: "is thinking..." in the thread, or an :eyes: reaction (eyes.py) where Slack shows no status."""

import logging

from channels.base import LONG_LINE
from channels.slack import limits
from channels.slack.answers import is_slash
from channels.slack.eyes import Eyes
from channels.slack.streams import UNAVAILABLE
from channels.slack.teams import Team, Teams
from channels.slack.trouble import Latch, LockedOut, Refused
from core.events import Heard, Reply
from core.store.notes import Notes

log = logging.getLogger(__name__)

STATUS = "is thinking..."
BUSY = "is busy, you are number {place}..."


class Signs:
    """Shows that a message was heard, and takes the reaction away when its answer is there."""

    def __init__(self, teams: Teams, notes: Notes) -> None:
        self._teams = teams
        self._eyes = Eyes(teams, notes)
        self._status = Latch()
        self._reactions = Latch()

    async def show(self, heard: Heard) -> None:
        """Show it. A slash command needs no sign: Slack shows that it was taken.

        Raises DeliveryLater where Slack takes no more signs now: then the text that grows is the sign.
        """
        if is_slash(heard.event_id):
            return
        _, team_id, channel, ts = heard.event_id.split(":")
        team = self._teams.of(team_id)
        space, thread = heard.address.space, heard.address.thread
        if thread and self._status.open(space):
            status = BUSY.format(place=heard.place) if heard.place > LONG_LINE else STATUS
            try:
                await self._teams.limits.asked(
                    limits.status(team_id),
                    lambda: team.api.assistant_threads_setStatus(channel_id=channel, thread_ts=thread, status=status),
                )
                return
            except LockedOut as error:
                _forbid(self._status, space, error)
            except Refused as error:
                if error.code in UNAVAILABLE:
                    _forbid(self._status, space, error)
        if self._reactions.open(space):
            await self._react(team, channel, ts)

    async def _react(self, team: Team, channel: str, ts: str) -> None:
        try:
            await self._eyes.give(team, channel, ts)
        except LockedOut as error:
            _forbid(self._reactions, f"{team.me.team}/{channel}", error)
        except Refused as error:
            log.info("no reaction could be added: %s", error)

    async def clear(self, reply: Reply) -> None:
        """Take the reactions away from what this reply answers, now or later; raises StoreUnavailable."""
        await self._eyes.take_away(tuple(event_id for event_id in reply.in_reply_to if not is_slash(event_id)))

    def resume(self) -> None:
        """Take away what an earlier process has left."""
        self._eyes.resume()

    async def close(self) -> None:
        """Give no more signs."""
        await self._eyes.close()


def _forbid(latch: Latch, space: str, error: LockedOut | Refused) -> None:
    """Do not ask again for a while: it fails the same way for every message of the place."""
    log.warning("a sign of life cannot be given in %s: %s", latch.shut(space, error.code), error)
