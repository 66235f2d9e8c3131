"""The contract of channels.base for Slack: what comes in (Intake) and what goes out (SlackAdapter).

Facts in which the installed SDK (slack_sdk 3.47, slack_bolt 1.30) or Slack differ from what one may read: new apps
have ``agent_view`` instead of ``assistant_view``, so a conversation is opened by ``app_home_opened`` and suggested
prompts need no thread; a chat stream takes either text or chunks for all of its life; ``chat.update`` on a message
that is being streamed is refused (``streaming_state_conflict``), and keeps the blocks that it does not name; its
text, unlike that of ``chat.postMessage``, has room for 4,000 bytes.

A direct message outside of a thread is answered outside of a thread: a thread for each would scatter a conversation
into hundreds. The price is that Slack has a status, a title and streams in threads only; there the sign of life is a
reaction, and the message is edited while it is written.
"""

import asyncio
import logging
from typing import Any

from channels.base import SIGNS, Accept
from channels.delivery import Delivery
from channels.slack import render
from channels.slack.answers import Answers, is_slash
from channels.slack.attendance import Attendance
from channels.slack.handlers import Handlers
from channels.slack.limits import Limits
from channels.slack.messages import Messages
from channels.slack.parse import CHANNEL
from channels.slack.settings import Credentials, Slack
from channels.slack.signs import Signs
from channels.slack.sockets import Socket
from channels.slack.teams import Teams
from core.errors import DeliveryRefused
from core.events import Draft, Heard, Reply
from core.settings import Settings
from core.store import Store

log = logging.getLogger(__name__)

HOUR_S = 3600.0
SIGN_IN_S = 2.0  # then the workspaces that are known need not wait for the others


class Intake:
    """What the socket and the hook share: workspaces, handlers, and the catching up after a downtime."""

    def __init__(self, credentials: Credentials, slack: Slack, settings: Settings, redis_url: str) -> None:
        self.store = Store(redis_url, settings, _never_woken)
        self.limits = Limits(self.store.pace(CHANNEL))
        self.teams = Teams(credentials, settings.bot.name, self.limits)
        self.notes = self.store.notes(CHANNEL)
        self.answers = Answers(self.notes)
        limit_s = min(settings.inbox.stale_hours, 24 * settings.inbox.seen_days) * HOUR_S
        self._attendance = Attendance(self.notes, self.limits, limit_s, by_socket=credentials.by_socket)
        self.handlers = Handlers(self.teams, self.store, self.answers, self._attendance, slack)

    async def start(self, accept: Accept) -> None:
        """Sign in, and accept the direct messages that came while nobody listened. Raises SettingsError."""

        async def take(body: dict[str, Any]) -> bool:
            return await self.handlers.take(body, accept)

        await self.teams.sign_in(lambda team: self._attendance.begin(team, take))

    async def sign(self) -> None:
        """There is a connection, and with it all workspaces reach us."""
        for team in self.teams:
            await self._attendance.sign(team)

    async def close(self) -> None:
        """Close all connections."""
        await self._attendance.close()
        await self.handlers.close()
        await self.teams.close()
        self.store.close()


class SlackAdapter:
    """Slack. Events come by Socket Mode here, or by the hook in the web channel's process; replies go out here."""

    name = CHANNEL
    via: str | None = None
    text_limit = render.LIMIT
    sign_s = 60.0  # Slack takes a status away after two minutes
    sign_budget = SIGNS

    def __init__(self, credentials: Credentials, slack: Slack, settings: Settings, redis_url: str) -> None:
        self._credentials = credentials
        self._intake = Intake(credentials, slack, settings, redis_url)
        notes = self._intake.notes
        self._messages = Messages(self._intake.teams, notes, self._intake.answers)
        self._delivery = Delivery(self._messages, self._intake.store, CHANNEL)
        self._signs = Signs(self._intake.teams, notes)

    async def run(self, accept: Accept) -> None:
        """Stay connected until cancelled; raises SettingsError if the tokens contradict each other."""
        self._signs.resume()
        if not self._credentials.by_socket:
            log.info("Slack calls the web channel (at /hooks/slack); this process sends the replies")
            await self._intake.teams.sign_in()
            await asyncio.Event().wait()
        app = self._intake.handlers.app(accept, "")
        socket = Socket(app, self._intake.teams, self._credentials.app_token, self._intake.sign)
        tasks = [asyncio.create_task(self._intake.start(accept))]
        try:
            # Before it is signed in it must refuse messages, and one that is refused is overtaken by the next.
            await asyncio.wait(tasks, timeout=SIGN_IN_S)
            tasks.append(asyncio.create_task(socket.run()))
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                if not task.cancelling():  # a second time would break off what it does to end
                    task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def working(self, heard: Heard) -> None:
        """Show that the bot is at it."""
        await self._signs.show(heard)

    async def draft(self, draft: Draft) -> bool:
        """Show partial text, but of no answer to a slash command: that one stands where it cannot be changed."""
        if any(map(is_slash, draft.in_reply_to)):
            return False
        self._messages.read_by(draft.reply_id, draft.person)
        return await self._delivery.draft(draft)

    async def send(self, reply: Reply) -> None:
        """Send a reply; see channels.base.Adapter."""
        try:
            await self._delivery.send(reply)
        except DeliveryRefused:
            await self._signs.clear(reply)  # a dead letter is an end as well
            raise
        await self._signs.clear(reply)

    async def close(self) -> None:
        """Close all connections."""
        await self._signs.close()
        await self._intake.close()


def _never_woken(person: str) -> str:
    raise RuntimeError(f"this store only reads and notes; the runner accepts (asked to wake {person})")
