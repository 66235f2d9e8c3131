"""Callback queries and reactions -> what a person thinks of a reply; the keyboard that asks for it (pure)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Verdict = Literal["up", "down"]
BUTTONS: dict[Verdict, str] = {"up": "👍", "down": "👎"}
CHOSEN = "✓"
# Reactions of which it is plain what they say about a text. Any other says nothing.
REACTIONS: dict[str, Verdict] = {"👍": "up", "❤": "up", "🔥": "up", "👏": "up", "💯": "up", "👎": "down", "💩": "down"}
# What our buttons send: at most 64 bytes. "none" is on the chosen one, which takes the choice back.
DATA = re.compile(r"(up|down|none):([0-9a-f]{1,40})")


@dataclass(frozen=True)
class Pressed:
    """Somebody pressed one of our buttons. ``query`` must be answered, else their client shows a clock."""

    query: str
    user: str
    reply_id: str
    verdict: Verdict | None
    space: str
    message_id: str
    direct: bool


@dataclass(frozen=True)
class Reacted:
    """Somebody changed their reaction to a message."""

    user: str
    verdict: Verdict | None
    space: str
    message_id: str


def pressed(update: Mapping[str, Any]) -> Pressed | None:
    """Return which button was pressed; None if it is not ours. Raises KeyError or TypeError for a bad update."""
    query = update.get("callback_query", {})
    found = DATA.fullmatch(query.get("data") or "")
    if not found or "message" not in query:
        return None
    chat = query["message"]["chat"]
    return Pressed(
        query=query["id"],
        user=str(query["from"]["id"]),
        reply_id=found[2],
        verdict=_verdict(found[1]),
        space=str(chat["id"]),
        message_id=str(query["message"]["message_id"]),
        direct=chat["type"] == "private",
    )


def reacted(update: Mapping[str, Any]) -> Reacted | None:
    """Return the change of a reaction; None if it says nothing. Raises KeyError or TypeError for a bad update."""
    change = update.get("message_reaction", {})
    if "user" not in change:
        return None  # anonymous ones cannot be told apart
    new, old = (_first(change[key]) for key in ("new_reaction", "old_reaction"))
    if new is None and (old is None or change["new_reaction"]):
        return None
    return Reacted(str(change["user"]["id"]), new, str(change["chat"]["id"]), str(change["message_id"]))


def keyboard(reply_id: str, chosen: Verdict | None = None) -> list[list[tuple[str, str]]]:
    """Return rows of (text, data)."""
    row = []
    for verdict, sign in BUTTONS.items():
        mine = verdict == chosen
        row.append((f"{sign} {CHOSEN}" if mine else sign, f"{'none' if mine else verdict}:{reply_id}"))
    return [row]


def _verdict(word: str) -> Verdict | None:
    return "up" if word == "up" else "down" if word == "down" else None


def _first(reactions: list[Mapping[str, Any]]) -> Verdict | None:
    return next((REACTIONS[one["emoji"]] for one in reactions if one.get("emoji") in REACTIONS), None)
