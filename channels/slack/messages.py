"""One message of a reply at Slack: posting, editing, deleting it, and finding it again after a crash.

Every message carries the key of its part in its metadata. Slack has no key for sends, so after a crash the thread or
conversation is read and the key looked for. A message in the middle of being streamed has none yet: that one is
recognised by being the only one of ours without.
"""

import asyncio
import logging
from collections import OrderedDict
from datetime import datetime
from functools import partial
from typing import Any

from channels.delivery import Message, MessageGone
from channels.slack import limits, render
from channels.slack.answers import ABSENT, ANSWERED, Answers, is_slash
from channels.slack.posting import UNSHOWABLE, posted
from channels.slack.streams import Streams
from channels.slack.teams import Team, Teams
from channels.slack.trouble import REASONS, LockedOut, Refused, asked
from channels.text import Part
from core.errors import DeliveryLater, DeliveryUnsure
from core.store import Bucket
from core.store.notes import Notes

log = logging.getLogger(__name__)

GONE = {"message_not_found", "cant_update_message", "edit_window_closed", "message_not_owned_by_app"}
UNREADABLE = {"missing_scope", "no_permission"}
CLOCKS_S = 30  # by so much Slack's clock and ours may differ
PAGE = 200
PAGES = 5
STREAMED_TTL_S = 86400
READERS = 1000
# Slack's limits: posts a second in a channel and in a workspace. Bursts are our own choice.
POSTS_PER_S, POST_BURST = 1.0, 4.0
TEAM_POSTS_PER_S, TEAM_POST_BURST = 5.0, 20.0
EDITS_PER_S = 0.8  # of one message: more often nobody can read
ADDITIONS_PER_S = 2.0


class Messages:
    """Slack as a channels.delivery.Network."""

    can_tell = True  # by the metadata of what was posted

    def __init__(self, teams: Teams, notes: Notes, answers: Answers) -> None:
        self._teams = teams
        self._notes = notes
        self._answers = answers
        self._streams = Streams()
        self._readers: OrderedDict[str, str] = OrderedDict()

    def read_by(self, reply_id: str, person: str) -> None:
        """Remember whom a reply is for; Slack wants to know when a stream begins."""
        self._readers[reply_id] = person.rpartition(":")[2]
        while len(self._readers) > READERS:
            self._readers.popitem(last=False)

    def split(self, text: str) -> list[Part]:
        """See channels.delivery.Network."""
        return render.parts(text)

    def budget(self, message: Message, *, editing: bool) -> list[Bucket]:
        """See channels.delivery.Network."""
        team = message.address.space.partition("/")[0]
        channel = Bucket(f"post:{message.address.space}", POSTS_PER_S, POST_BURST)
        if editing:
            return self._budget_of_edit(message, team)
        if not message.final and self._streams.possible(message, self._readers.get(message.reply_id)):
            return [limits.bucket("start", team, limits.TIER_2, 10), channel]
        posts = Bucket(f"posts:{team}", TEAM_POSTS_PER_S, TEAM_POST_BURST)
        if message.final:
            return [channel, posts]
        # Its final text will be an edit: no more may begin than can be ended.
        return [channel, _updates(team), posts]

    def _budget_of_edit(self, message: Message, team: str) -> list[Bucket]:
        streamed = self._streams.running(message.key)
        if streamed and message.final:
            return [limits.bucket("stop", team, limits.TIER_2, 10)]
        if streamed:
            append = limits.bucket("append", team, limits.TIER_4, 20)
            return [append, Bucket(f"add:{message.reply_id}", ADDITIONS_PER_S, 1)]
        update = _updates(team)
        return [update] if message.final else [update, Bucket(f"edit:{message.reply_id}", EDITS_PER_S, 1)]

    async def post(self, message: Message) -> str:
        """See channels.delivery.Network."""
        team = self._team(message)
        if any(map(is_slash, message.in_reply_to)):
            return await self._answers.post(team, message, self._body(message), _plain(message))
        reader = self._readers.get(message.reply_id)
        if not message.final and reader and self._streams.possible(message, reader):
            ts = await self._streams.begin(team, message, reader)
            if ts:
                await asyncio.to_thread(self._notes.put, _note(message, ts), message.key, STREAMED_TTL_S)
                return ts
        body, plain = self._body(message), _plain(message)
        answer = await posted(team, _channel(message), body, plain, message.address.thread)
        return str(answer["ts"])

    async def edit(self, message_id: str, message: Message) -> None:
        """See channels.delivery.Network."""
        if message_id.startswith(ANSWERED):
            return
        team = self._team(message)
        if self._streams.of(message.address.space, message_id):
            if not message.final:
                await self._streams.add(team, message_id, message)
                return
            last: dict[str, Any] = {"metadata": render.metadata(message.key)}
            if _asks(message):
                last["blocks"] = render.feedback(message.reply_id)
            if await self._streams.finish(team, message_id, message, **last):
                return
        await self._update(team, message_id, message)

    async def _update(self, team: Team, ts: str, message: Message) -> None:
        """Change a message; what cannot be changed into its final text is taken away and posted anew."""
        plain = _plain(message)
        try:
            try:
                await self._change(team, ts, message, self._body(message))
            except Refused as error:
                if error.code == "streaming_state_conflict":
                    await self._streams.end(team, ts, message)
                    await self._change(team, ts, message, self._body(message))
                elif error.code in UNSHOWABLE and render.updatable(plain["text"]):
                    await self._change(team, ts, message, plain | {"blocks": []})
                else:
                    raise
        except Refused as error:
            if error.code in REASONS or not message.final:
                raise
            log.warning("Slack does not take a change of a message (%s); it is posted anew", error.code)
            await self.delete(ts, message)
            raise MessageGone(str(error)) from None

    async def _change(self, team: Team, ts: str, message: Message, body: dict[str, Any]) -> None:
        try:
            await asked(team.api.chat_update(channel=_channel(message), ts=ts, **body))
        except Refused as error:
            if error.code in GONE:
                raise MessageGone(str(error)) from None
            raise

    async def delete(self, message_id: str, message: Message) -> None:
        """See channels.delivery.Network."""
        if message_id.startswith(ANSWERED):
            return
        team = self._team(message)
        if self._streams.of(message.address.space, message_id):
            await self._streams.end(team, message_id, message)
        try:
            await asked(team.api.chat_delete(channel=_channel(message), ts=message_id))
        except Refused as error:
            if error.code not in ("message_not_found", "cant_delete_message"):
                raise

    async def find(self, message: Message, since: datetime) -> str | None:
        """See channels.delivery.Network."""
        if any(map(is_slash, message.in_reply_to)) and await self._answers.secret(message.in_reply_to):
            return None
        team = self._team(message)
        oldest = since.timestamp() - CLOCKS_S
        unnamed: list[str] = []
        for found in await self._read(team, message, oldest):
            if found.get("user") != team.me.user or float(found["ts"]) < oldest or found.get("subtype"):
                continue
            key = render.key_of(found)
            if key == message.key:
                return str(found["ts"])
            if key is None and message.address.thread not in (None, found["ts"]):
                unnamed.append(str(found["ts"]))
        return await asyncio.to_thread(self._begun, message, unnamed)

    def _begun(self, message: Message, candidates: list[str]) -> str | None:
        """Return the stream that this message began, and make it known as such."""
        owners = {ts: self._notes.get(_note(message, ts)) for ts in candidates}
        mine = next((ts for ts, key in owners.items() if key == message.key), None)
        mine = mine or next((ts for ts, key in owners.items() if key is None), None)
        if mine:
            self._notes.put(_note(message, mine), message.key, STREAMED_TTL_S)
        return mine

    async def _read(self, team: Team, message: Message, oldest: float) -> list[dict[str, Any]]:
        """Return what was written at the place of this message since then. Nothing is sent by it."""
        channel, thread = _channel(message), message.address.thread
        found: list[dict[str, Any]] = []
        cursor: str | None = None
        try:
            for _ in range(PAGES):
                page: dict[str, Any] = {"oldest": f"{oldest:.6f}", "limit": PAGE, "include_all_metadata": True}
                if cursor:
                    page["cursor"] = cursor
                if thread:
                    limit, read = limits.replies, partial(team.api.conversations_replies, ts=thread)
                else:
                    limit, read = limits.history, partial(team.api.conversations_history)
                answer = await self._teams.limits.asked(limit(team.me.team), partial(read, channel=channel, **page))
                found += answer["messages"]
                cursor = (answer.get("response_metadata") or {}).get("next_cursor")
                if not cursor:
                    break
        except DeliveryUnsure as error:
            raise DeliveryLater(f"what was sent cannot be read back yet: {error}") from None
        except (LockedOut, Refused) as error:
            if error.code in UNREADABLE:
                log.warning("a message that may have been sent cannot be looked for and is sent again: %s", error)
            elif not (error.code in ABSENT and any(map(is_slash, message.in_reply_to))):
                raise
        return found

    def _team(self, message: Message) -> Team:
        return self._teams.of(message.address.space.partition("/")[0])

    def _body(self, message: Message) -> dict[str, Any]:
        return {
            "text": render.fallback(message.shown),
            "blocks": render.blocks(message.shown, message.reply_id if _asks(message) else None),
            "metadata": render.metadata(message.key),
        }


def _updates(team: str) -> Bucket:
    return limits.bucket("update", team, limits.TIER_3, 10)


def _asks(message: Message) -> bool:
    return message.final and message.last and message.rateable


def _plain(message: Message) -> dict[str, Any]:
    return {"text": render.escaped(message.shown), "metadata": render.metadata(message.key)}


def _note(message: Message, ts: str) -> str:
    return f"streamed:{message.address.space}:{ts}"


def _channel(message: Message) -> str:
    return message.address.space.partition("/")[2]
