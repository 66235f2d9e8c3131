"""Answers to slash commands: by the address that Slack gives with the command, for its sender alone or for all.

That address serves five times within half an hour. After that an answer for its sender goes into the direct
conversation. Whether such an answer arrived cannot be looked up: one that may have is marked when it is repeated.
"""

import asyncio
import itertools
import json
import logging
import time
from collections.abc import Sequence
from typing import Any

from slack_sdk.webhook.async_client import AsyncWebhookClient

from channels.delivery import Message
from channels.slack import render
from channels.slack.posting import posted
from channels.slack.teams import Team
from channels.slack.trouble import Refused, asked
from core.errors import DeliveryLater, DeliveryRefused, DeliveryUnsure
from core.events import MessageEvent
from core.store.notes import Notes

log = logging.getLogger(__name__)

URL_TTL_S = 29 * 60  # Slack: thirty minutes
NOTE_TTL_S = 2 * 86400
WORN_OUT = ("expired_url", "used_url")
ANSWERED = "answer:"
REPEATED = "You may have this answer already."
# The bot is not there: it was called in a place where only slash commands reach it.
ABSENT = ("channel_not_found", "not_in_channel")


def is_slash(event_id: str) -> bool:
    """Say whether an event is a slash command."""
    return event_id.split(":")[2:3] == ["slash"]


class Answers:
    """Posts answers to slash commands. Answer addresses are kept in the store: any process may have to answer."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._numbers = itertools.count(1)

    def remember(self, event: MessageEvent, url: str) -> None:
        """Note where the answer to a slash command goes. Blocking."""
        note = {"url": url, "user": event.user, "discreet": event.discreet, "at": time.time()}
        self._notes.put(f"slash:{event.id}", json.dumps(note), NOTE_TTL_S)

    async def post(self, team: Team, message: Message, body: dict[str, Any], plain: dict[str, Any]) -> str:
        """Post one part of an answer; return its id, or one of our own if Slack gives none.

        ``plain`` goes out where Slack does not take the blocks of ``body``.
        """
        note = await asyncio.to_thread(self._recall, message.in_reply_to)
        if note is None:
            raise DeliveryRefused("the slash command is too old to be answered")
        channel = message.address.space.partition("/")[2]
        if not note["discreet"]:
            try:
                return str((await posted(team, channel, body, plain))["ts"])
            except Refused as error:
                if error.code not in ABSENT:
                    raise
        if message.repeated:
            body = body | {"blocks": [render.note(REPEATED), *body["blocks"]]}
            plain = plain | {"text": f"{REPEATED}\n{plain['text']}"}
        if time.time() - note["at"] < URL_TTL_S and await self._by_url(team, note, body, plain["text"]):
            return f"{ANSWERED}{next(self._numbers)}"
        if not note["discreet"]:
            raise DeliveryRefused("the bot is no member of the conversation, and the command is too old")
        answer = await posted(team, note["user"], body, plain)
        # It stands elsewhere than where it was asked for; a reaction to it is recognised there.
        place = f"reply:{team.me.team}/{answer['channel']}:{answer['ts']}"
        await asyncio.to_thread(self._notes.put, place, message.reply_id, NOTE_TTL_S)
        return str(answer["ts"])

    async def secret(self, event_ids: Sequence[str]) -> bool:
        """Say whether the answer to slash commands is for their sender alone, so that it cannot be found again."""
        note = await asyncio.to_thread(self._recall, event_ids)
        return note is None or bool(note["discreet"])

    def _recall(self, event_ids: Sequence[str]) -> dict[str, Any] | None:
        """Return the newest note; if any of the commands was discreet, the answer is."""
        raws = [self._notes.get(f"slash:{event_id}") for event_id in event_ids]
        notes: list[dict[str, Any]] = [json.loads(raw) for raw in raws if raw]
        if not notes:
            return None
        return notes[-1] | {"discreet": any(note["discreet"] for note in notes)}

    async def _by_url(self, team: Team, note: dict[str, Any], body: dict[str, Any], plain: str) -> bool:
        """Post by the address of the command; return False if it does not serve any more."""
        webhook = AsyncWebhookClient(note["url"], session=team.api.session, retry_handlers=[])
        kind = "ephemeral" if note["discreet"] else "in_channel"
        answer = await asked(webhook.send(text=body["text"], blocks=body["blocks"], response_type=kind))
        if answer.status_code == 400 and answer.body not in WORN_OUT:
            log.warning("Slack does not take the blocks of an answer (%s); it goes out as plain text", answer.body[:80])
            answer = await asked(webhook.send(text=plain, response_type=kind))
        if answer.status_code == 429:
            wait_s = float({k.lower(): v for k, v in answer.headers.items()}.get("retry-after", "1"))
            raise DeliveryLater("Slack asks to wait", wait_s, flood=True)
        if answer.status_code >= 500:
            raise DeliveryUnsure(f"Slack is in trouble (status {answer.status_code})")
        if answer.status_code in (404, 410) or answer.body in WORN_OUT:
            return False
        if answer.status_code != 200:
            raise DeliveryRefused(f"Slack refuses the answer (status {answer.status_code})")
        return True
