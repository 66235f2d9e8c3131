"""What comes in from Slack, by socket or by signed request alike: stored first, acknowledged then.

Slack wants its acknowledgement within three seconds and sends events again that it does not get one for; slash
commands and pressed buttons come once. An exception here means "not acknowledged".
"""

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Coroutine, Mapping
from typing import Any
from weakref import WeakValueDictionary

from slack_bolt.async_app import AsyncAck, AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.response import BoltResponse

from channels.base import Accept
from channels.slack import render
from channels.slack.answers import Answers
from channels.slack.attendance import Attendance, Behind
from channels.slack.catchup import OVERLAP_S
from channels.slack.kept import Kept
from channels.slack.parse import CHANNEL, WHAT_CAN_YOU_DO, parse, parse_slash, people_in, thread_in_doubt
from channels.slack.ratings import Ratings
from channels.slack.settings import Slack
from channels.slack.teams import Team, Teams
from channels.slack.trouble import asked
from core import logs, settings
from core.errors import DeliveryError, InputError, StoreUnavailable
from core.events import MessageEvent
from core.store import Store

log = logging.getLogger(__name__)
sdk_log = logging.getLogger("channels.slack.sdk")
sdk_log.setLevel(logging.WARNING)

BROKEN = (KeyError, ValueError, TypeError, AttributeError)
THREAD_TTL_S = 30 * 86400  # after that long a silence the bot must be mentioned again
TWIN_S = 1.0
TITLE_CHARS = 60
PROMPTS_TTL_S = 86400
AWAY = "I cannot take that just now. Please try again in a moment."
PROMPTS_TITLE = "How are you?"
PROMPTS = [
    {"title": "Something good happened", "message": "Something good happened today."},
    {"title": "I had a rough day", "message": "I had a rough day."},
    {"title": WHAT_CAN_YOU_DO, "message": WHAT_CAN_YOU_DO},
]


class NotYet(Exception):
    """It is not known yet which workspaces the tokens are for; Slack shall send it again."""


class Handlers:
    """Turns payloads into events, ratings and words to people. ``accept`` stores events."""

    def __init__(self, teams: Teams, store: Store, answers: Answers, attendance: Attendance, settings: Slack) -> None:
        self._teams = teams
        self._store = store
        self._notes = store.notes(CHANNEL)
        self._answers = answers
        self._attendance = attendance
        self._settings = settings
        self._ratings = Ratings(store)
        self._tasks: set[asyncio.Task[None]] = set()
        self._strangers: dict[str, float] = {}
        self._twins: dict[str, asyncio.Event] = {}
        self._kept: Kept | None = None
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def app(self, accept: Accept, signing_secret: str) -> AsyncApp:
        """Return the application of the SDK, which checks signatures where requests have some."""

        async def authorize(team_id: str | None) -> AuthorizeResult:  # the SDK cannot call a method
            return self._authorized(team_id)

        sdk_log.setLevel(logging.ERROR)  # it warns that it does not use SLACK_BOT_TOKEN, which is meant so
        app = AsyncApp(
            logger=sdk_log,
            name="rapport",
            client=self._teams.client(),
            signing_secret=signing_secret,
            authorize=authorize,
            process_before_response=True,  # the acknowledgement is the answer, and it comes last
        )
        sdk_log.setLevel(logging.WARNING)

        async def on_message(body: dict[str, Any], ack: AsyncAck) -> None:
            await self._hear(body, accept)
            await ack()

        async def on_slash(body: dict[str, Any], ack: AsyncAck) -> None:
            await ack(**await self._slash(body, accept))

        async def on_reaction(body: dict[str, Any], ack: AsyncAck) -> None:
            if team := self._team(body):
                await self._ratings.reacted(team, body["event"])
            await ack()

        async def on_press(body: dict[str, Any], ack: AsyncAck) -> None:
            if (team := self._team(body)) and (thanks := await self._ratings.pressed(team, body)):
                self._begin(_quietly(thanks, "a rating was not thanked for"))
            await ack()

        for event in ("message", "app_mention"):
            app.event(event)(on_message)
        app.event(re.compile("^reaction_(added|removed)$"))(on_reaction)
        app.event("assistant_thread_started")(self._on_assistant_thread)
        app.event("app_home_opened")(self._on_home)
        app.event(re.compile("."))(_ignored)
        app.command(re.compile("."))(on_slash)
        app.action(render.ACTION)(on_press)
        app.action(re.compile("."))(_ignored)
        app.error(_failed)
        return app

    def _authorized(self, team_id: str | None) -> AuthorizeResult:
        # None: not known, or not yet. Which of both, and what is to be done then, each handler says by itself.
        team = self._teams.known(team_id or "")
        me = team.me if team else None
        return AuthorizeResult(
            enterprise_id=None,
            team_id=team_id,
            bot_user_id=me.user if me else None,
            bot_id=me.bot if me else None,
            bot_token=team.api.token if team else "-",
        )

    async def _hear(self, body: Mapping[str, Any], accept: Accept) -> None:
        """Take what Slack says now; what it did not say during a downtime comes before it."""
        team, said = self._team(body), body["event"]
        if team is None:
            return
        await self._attendance.sign(team)
        direct = said.get("channel") if said.get("channel_type") == "im" else None
        if not isinstance(direct, str):
            await self._take_or_keep(body, accept)
            return
        try:
            await self._attendance.first(team, direct)
            await self.take(body, accept)
        except (StoreUnavailable, Behind):
            self._attendance.refused(team, direct)
            raise

    async def _take_or_keep(self, body: Mapping[str, Any], accept: Accept) -> None:
        """Take a message of a shared place, or keep it while Redis is away; Slack is not told that it arrived then."""
        self._kept = self._kept or Kept(lambda kept: self._take_both(kept, accept))
        if self._kept.holds(body):
            self._kept.keep(body)
            raise StoreUnavailable("what was said there before waits for Redis")
        try:
            await self._take_both(body, accept)
        except StoreUnavailable:
            self._kept.keep(body)
            raise

    async def _take_both(self, body: Mapping[str, Any], accept: Accept) -> None:
        """Take a message of a shared place, of which Slack tells twice if it mentions the bot."""
        said = body["event"]
        twin = f"{said.get('channel')}:{said.get('ts')}"
        if said.get("type") == "app_mention":
            await self._await_twin(twin)
        await self.take(body, accept)
        if said.get("type") == "message" and twin in self._twins:
            self._twins[twin].set()

    async def _await_twin(self, name: str) -> None:
        """Let the message itself go before its app_mention, which may lack its files and has the same id.

        Where the bot is told of mentions only, nothing comes.
        """
        there = self._twins.setdefault(name, asyncio.Event())
        try:
            async with asyncio.timeout(TWIN_S):
                await there.wait()
        except TimeoutError:
            pass
        finally:
            self._twins.pop(name, None)

    async def take(self, body: Mapping[str, Any], accept: Accept) -> bool:
        """Accept a message if it is for the bot; raises StoreUnavailable. Returns whether it is new."""
        team = self._team(body)
        if team is None:
            return False
        async with self._turn(body):
            return await self._take(team, body, accept)

    def _turn(self, body: Mapping[str, Any]) -> asyncio.Lock:
        """Return the lock that keeps what one person says in one place in order, whatever must be looked up for it."""
        said = body.get("event")
        place = f"{said.get('channel')}:{said.get('user')}" if isinstance(said, Mapping) else ""
        return self._turns.setdefault(place, asyncio.Lock())

    async def _take(self, team: Team, body: Mapping[str, Any], accept: Accept) -> bool:
        try:
            event = await self._event(body, team)
        except BROKEN:
            log.exception("a payload of Slack could not be read; it is dropped")
            return False
        if event is None or (await asyncio.to_thread(self._notes.get, f"refused:{event.id}")) is not None:
            return False
        if event.address.thread and not event.address.direct:
            # Before it is accepted: who goes on at once in that thread is heard then.
            await asyncio.to_thread(
                self._notes.put, _thread(event.address.space, event.address.thread), "1", THREAD_TTL_S
            )
        try:
            fresh = await accept(event)
        except InputError as error:
            # A downtime has it read again; who was asked to send it once more is not to be answered twice.
            ttl_s = self._attendance.limit_s + OVERLAP_S
            await asyncio.to_thread(self._notes.put, f"refused:{event.id}", "1", ttl_s)
            if not error.told:
                with logs.about(event.id):
                    await self._tell(team, event, str(error))
            return False
        if fresh and event.address.direct and event.address.thread:
            self._begin(self._title(team, event))
        return fresh

    def _team(self, body: Mapping[str, Any]) -> Team | None:
        """Return the workspace that a payload is for, by the installation that Slack names."""
        installed = (body.get("authorizations") or [{}])[0].get("team_id")
        name = installed or body.get("team_id") or (body.get("team") or {}).get("id") or ""
        team = self._teams.known(name)
        if team is None and not self._teams.complete:
            raise NotYet
        if team is None and self._strangers.get(name, 0) < time.monotonic():
            self._strangers[name] = time.monotonic() + 600
            log.warning("events of the workspace %s are dropped: SLACK_BOT_TOKEN has no token for it", name)
        return team

    async def _event(self, body: Mapping[str, Any], team: Team) -> MessageEvent | None:
        said = body["event"]
        doubt = thread_in_doubt(said, team.me)
        takes_part = bool(
            doubt and await asyncio.to_thread(self._notes.get, _thread(f"{team.me.team}/{said['channel']}", doubt))
        )
        other_bots = self._settings.other_bots
        event = parse(body, team.me, takes_part=takes_part, other_bots=other_bots)
        # Who is kept out must not make us note or look up anything, nor take part in a thread.
        if event is None or not self._store.admits(event.person):
            return None
        names = await self._teams.names(team, people_in(said, team.me))
        return parse(body, team.me, names=names, takes_part=takes_part, other_bots=other_bots)

    async def _slash(self, form: Mapping[str, Any], accept: Accept) -> dict[str, Any]:
        """Accept a slash command; return what to acknowledge it with."""
        try:
            team = self._team(form)
            if team is None:
                return {"text": "This workspace is not set up yet."}
            admin = settings.load().access.is_admin(f"{CHANNEL}:{team.me.team}:{form['user_id']}")
            event = parse_slash(form, team.me, await self._teams.names(team, people_in(form, team.me)), admin=admin)
            if self._store.admits(event.person):
                await asyncio.to_thread(self._answers.remember, event, form["response_url"])
            await accept(event)
        except InputError as error:
            return {"text": render.escaped(str(error))}
        except (StoreUnavailable, NotYet) as error:
            log.warning("a slash command could not be taken: %s", error or "not signed in to Slack yet")
            return {"text": AWAY}
        # "in_channel" has Slack show the words to all, as they are said to the bot in front of all.
        return {} if event.discreet else {"response_type": "in_channel"}

    async def _tell(self, team: Team, event: MessageEvent, text: str) -> None:
        """Tell a person why a message cannot be taken; once, though it may come in more than once."""
        first = await asyncio.to_thread(self._notes.add, f"told:{event.id}", "1", 3600)
        if not first:
            return
        channel, thread = event.address.space.partition("/")[2], event.address.thread
        if event.id.endswith(f":{thread}"):
            thread = None  # only an answer would begin it; the word is read where the message stands
        text = render.escaped(text)
        if event.address.direct:
            call: Awaitable[Any] = team.api.chat_postMessage(
                channel=channel, text=text, thread_ts=thread, metadata=render.metadata("told")
            )
        else:
            call = team.api.chat_postEphemeral(channel=channel, user=event.user, text=text, thread_ts=thread)
        self._begin(_quietly(call, "a person was not told why a message cannot be taken"))

    async def _title(self, team: Team, event: MessageEvent) -> None:
        """Name a direct thread after its first message, as Slack lists such threads."""
        channel, thread = event.address.space.partition("/")[2], str(event.address.thread)
        first = await asyncio.to_thread(self._notes.add, f"title:{channel}:{thread}", "1", THREAD_TTL_S)
        if first and event.text:
            title = event.text.splitlines()[0][:TITLE_CHARS]
            call = team.api.assistant_threads_setTitle(channel_id=channel, thread_ts=thread, title=title)
            await _quietly(call, "a thread has no title")

    async def _on_assistant_thread(self, body: dict[str, Any], ack: AsyncAck) -> None:
        team = self._team(body)
        started = body["event"].get("assistant_thread") or {}
        if team and started:
            self._begin(self._prompt(team, started["channel_id"], started["thread_ts"]))
        await ack()

    async def _on_home(self, body: dict[str, Any], ack: AsyncAck) -> None:
        """Somebody opened the conversation with the bot; in a new kind of app there is no other sign of that."""
        team, event = self._team(body), body["event"]
        if team and event.get("tab") == "messages":
            name = f"prompts:{team.me.team}:{event['user']}"
            if await asyncio.to_thread(self._notes.add, name, "1", PROMPTS_TTL_S):
                self._begin(self._prompt(team, event["channel"], None))
        await ack()

    async def _prompt(self, team: Team, channel: str, thread: str | None) -> None:
        call = team.api.assistant_threads_setSuggestedPrompts(
            channel_id=channel, thread_ts=thread, title=PROMPTS_TITLE, prompts=PROMPTS
        )
        await _quietly(call, "no prompts could be suggested")

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Finish what is under way."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1)
        for task in self._tasks:
            task.cancel()
        if self._kept:
            await self._kept.close()


def _thread(space: str, thread: str) -> str:
    return f"thread:{space}:{thread}"


async def _quietly(call: Awaitable[Any], otherwise: str) -> None:
    try:
        await asked(call)
    except DeliveryError as error:
        log.info("%s: %s", otherwise, error)


async def _ignored(ack: AsyncAck) -> None:
    """Acknowledge what the app was subscribed to and has no use for."""
    await ack()


async def _failed(error: Exception) -> BoltResponse:
    """Do not acknowledge: Slack sends events again."""
    if isinstance(error, StoreUnavailable | NotYet | Behind):
        log.warning("an event was not acknowledged: %s", error or "not signed in to Slack yet")
        return BoltResponse(status=503, body="")
    log.error("an event could not be handled", exc_info=error)
    return BoltResponse(status=500, body="")
