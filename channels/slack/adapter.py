"""The contract of channels.base for Slack: what comes in (Intake) and what goes out (SlackAdapter).

Facts in which the installed SDK (slack_sdk 3.47, slack_bolt 1.30) or Slack differ from what one may read: new apps
have ``agent_view`` instead of ``assistant_view``, so a conversation is opened by ``app_home_opened`` and suggested
prompts need no thread; a chat stream takes either text or chunks for all of its life; ``chat.update`` on a message
that is being streamed is refused (``streaming_state_conflict``), and keeps the blocks that it does not name.
"""

import asyncio
import logging
import time

from channels.base import Accept
from channels.delivery import Delivery
from channels.slack import render
from channels.slack.answers import Answers, is_slash
from channels.slack.catchup import catch_up
from channels.slack.handlers import ALIVE, ALIVE_EVERY_S, Handlers
from channels.slack.messages import Messages
from channels.slack.parse import CHANNEL
from channels.slack.settings import Credentials, Slack
from channels.slack.signs import Signs
from channels.slack.sockets import Socket
from channels.slack.teams import Teams
from core.errors import DeliveryError, StoreUnavailable
from core.events import Draft, Heard, Reply
from core.settings import Settings
from core.store import Store

log = logging.getLogger(__name__)

HOUR_S = 3600.0
CATCH_UP_RETRY_S = 60.0
GAP_S = 120.0  # without a connection; shorter ones are Slack's own repeats


class Intake:
    """What the socket and the hook share: workspaces, handlers, and the catching up after a downtime."""

    def __init__(self, credentials: Credentials, slack: Slack, settings: Settings, redis_url: str) -> None:
        self.store = Store(redis_url, settings, _never_woken)
        self.teams = Teams(credentials, settings.bot.name)
        self.notes = self.store.notes(CHANNEL)
        self.answers = Answers(self.notes)
        self.handlers = Handlers(self.teams, self.store, self.answers, slack)
        self._limit_s = min(settings.inbox.stale_hours, 24 * settings.inbox.seen_days) * HOUR_S

    async def start(self, accept: Accept) -> None:
        """Sign in, and accept the direct messages that came while nobody listened. Raises SettingsError."""
        since = await self._last_alive()  # before anything new moves the mark
        await self.teams.sign_in()
        if since is not None:
            await self.catch_up(max(since, time.time() - self._limit_s), accept)

    async def catch_up(self, since: float, accept: Accept) -> None:
        """See catchup.py; what fails is tried again until it is done or cancelled."""
        for team in self.teams:
            wait_s = CATCH_UP_RETRY_S
            while True:
                try:
                    await catch_up(team, since, lambda body: self.handlers.take(body, accept))
                    break
                except (DeliveryError, StoreUnavailable) as error:
                    log.warning("catching up with direct messages waits %.0f s: %s", wait_s, error)
                    await asyncio.sleep(wait_s)
                    wait_s = min(2 * wait_s, HOUR_S)

    async def _last_alive(self) -> float | None:
        """Return when events last came in, by what any process noted; None if this is the first time."""
        while True:
            try:
                marks = await asyncio.to_thread(self.notes.marks)
                return float(marks[ALIVE]) if ALIVE in marks else None
            except StoreUnavailable as error:
                log.warning("starting waits: %s", error)
                await asyncio.sleep(1)

    async def close(self) -> None:
        """Close all connections."""
        await self.handlers.close()
        await self.teams.close()
        self.store.close()


class SlackAdapter:
    """Slack. Events come by Socket Mode here, or by the hook in the web channel's process; replies go out here."""

    name = CHANNEL
    via: str | None = None
    text_limit = render.LIMIT
    sign_s = 60.0  # Slack takes a status away after two minutes

    def __init__(self, credentials: Credentials, slack: Slack, settings: Settings, redis_url: str) -> None:
        self._credentials = credentials
        self._intake = Intake(credentials, slack, settings, redis_url)
        notes = self._intake.notes
        self._messages = Messages(self._intake.teams, notes, self._intake.answers)
        self._delivery = Delivery(self._messages, self._intake.store, CHANNEL)
        self._signs = Signs(self._intake.teams, notes)
        self._alive_at = 0.0
        self._seen_at = 0.0
        self._catching_up: set[asyncio.Task[None]] = set()

    async def run(self, accept: Accept) -> None:
        """Stay connected until cancelled; raises SettingsError if the tokens contradict each other."""
        if not self._credentials.by_socket:
            log.info("Slack calls the web channel (at /hooks/slack); this process sends the replies")
            await self._intake.teams.sign_in()
            await asyncio.Event().wait()
        app = self._intake.handlers.app(accept, "")
        socket = Socket(app, self._intake.teams, self._credentials.app_token, lambda: self._connected(accept))
        self._seen_at = time.time()
        tasks = [asyncio.create_task(self._intake.start(accept)), asyncio.create_task(socket.run())]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in [*tasks, *self._catching_up]:
                task.cancel()
            await asyncio.gather(*tasks, *self._catching_up, return_exceptions=True)

    async def _connected(self, accept: Accept) -> None:
        """Called twice a second while there is a connection. A long gap means that events may have been missed."""
        now, seen = time.time(), self._seen_at
        self._seen_at = now
        if not self._intake.teams.complete:
            return
        if now - seen > GAP_S:
            log.info("there was no connection for %.0f s", now - seen)
            task = asyncio.create_task(self._intake.catch_up(seen, accept))
            self._catching_up.add(task)
            task.add_done_callback(self._catching_up.discard)
        if now - self._alive_at > ALIVE_EVERY_S:
            self._alive_at = now
            try:
                await asyncio.to_thread(self._intake.notes.mark, ALIVE, f"{now:.0f}")
            except StoreUnavailable as error:
                log.debug("no mark could be set: %s", error)

    async def working(self, heard: Heard) -> None:
        """Show that the bot is at it."""
        await self._signs.show(heard)

    async def draft(self, draft: Draft) -> None:
        """Show partial text, but of no answer to a slash command: that one stands where it cannot be changed."""
        if any(map(is_slash, draft.in_reply_to)):
            return
        self._messages.read_by(draft.reply_id, draft.person)
        await self._delivery.draft(draft)

    async def send(self, reply: Reply) -> None:
        """Send a reply; see channels.base.Adapter."""
        await self._delivery.send(reply)
        await self._signs.clear(reply)

    async def close(self) -> None:
        """Close all connections."""
        await self._intake.close()


def _never_woken(person: str) -> str:
    raise RuntimeError(f"this store only reads and notes; the runner accepts (asked to wake {person})")
