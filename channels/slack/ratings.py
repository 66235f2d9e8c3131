"""What people think of a reply: thumbs as reactions, and the buttons under it. How these come in: handlers.py."""

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any

from channels.slack import render
from channels.slack.parse import CHANNEL
from channels.slack.teams import Team
from core.store import Store, Verdict

THANKS = {"up": "Thank you, I am glad that it helped.", "down": "Thank you for telling me. I have noted it."}
BUTTONS: dict[str, Verdict] = {render.UP: "up", render.DOWN: "down"}
THUMBS: dict[str, Verdict] = {"+1": "up", "thumbsup": "up", "-1": "down", "thumbsdown": "down"}


class Ratings:
    """Keeps ratings with the replies that they are of."""

    def __init__(self, store: Store) -> None:
        self._people = store.people
        self._notes = store.notes(CHANNEL)

    async def reacted(self, team: Team, event: Mapping[str, Any]) -> None:
        """Keep a thumb as a rating, or take back the one that a thumb gave. Other reactions mean nothing."""
        verdict = THUMBS.get(event["reaction"].partition("::")[0])
        item = event.get("item") or {}
        if not verdict or item.get("type") != "message" or event.get("item_user") != team.me.user:
            return
        note = f"reply:{team.me.team}/{item['channel']}:{item['ts']}"
        reply_id = await asyncio.to_thread(self._notes.get, note)
        if reply_id:
            keep = self._people.rate if event["type"] == "reaction_added" else self._people.unrate
            await asyncio.to_thread(keep, _person(team, event["user"]), reply_id, verdict)

    async def pressed(self, team: Team, body: Mapping[str, Any]) -> Awaitable[Any] | None:
        """Keep the rating of a pressed button; return the call that thanks for it."""
        value, _, reply_id = str(body["actions"][0].get("value")).partition(":")
        verdict = BUTTONS.get(value)
        if not verdict or not reply_id:
            return None
        user, message = body["user"]["id"], body.get("message") or {}
        await asyncio.to_thread(self._people.rate, _person(team, user), reply_id, verdict)
        return team.api.chat_postEphemeral(
            channel=body["channel"]["id"], user=user, thread_ts=message.get("thread_ts"), text=THANKS[verdict]
        )


def _person(team: Team, user: str) -> str:
    return f"{CHANNEL}:{team.me.team}:{user}"
