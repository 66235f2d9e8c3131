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
# What our buttons send: at most 64 bytes. "not-" is on the chosen one, which takes the choice back; older messages
# have "none" there, which does not say what was chosen.
DATA = re.compile(r"(up|down|not-up|not-down|none):([0-9a-f]{1,40})")
WITHDRAWN: dict[str, tuple[Verdict, ...]] = {"not-up": ("up",), "not-down": ("down",), "none": ("up", "down")}


@dataclass(frozen=True)
class Pressed:
    """Somebody pressed one of our buttons, and with it gave a verdict or withdrew some.

    ``query`` must be answered, else their client shows a clock.
    """

    query: str
    user: str
    reply_id: str
    verdict: Verdict | None
    withdrawn: tuple[Verdict, ...]
    space: str
    message_id: str
    direct: bool


@dataclass(frozen=True)
class Reacted:
    """Somebody changed their reactions to a message, and with it withdrew verdicts and perhaps gave one."""

    user: str
    verdict: Verdict | None
    withdrawn: tuple[Verdict, ...]
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
        withdrawn=WITHDRAWN.get(found[1], ()),
        space=str(chat["id"]),
        message_id=str(query["message"]["message_id"]),
        direct=chat["type"] == "private",
    )


def reacted(update: Mapping[str, Any]) -> Reacted | None:
    """Return the change of a reaction; None if it says nothing. Raises KeyError or TypeError for a bad update."""
    change = update.get("message_reaction", {})
    if "user" not in change:
        return None  # anonymous ones cannot be told apart
    old, new = (_verdicts(change[key]) for key in ("old_reaction", "new_reaction"))
    withdrawn = tuple(verdict for verdict in old if verdict not in new)
    # Who has several reactions is taken at the one that they added last.
    verdict = next((one for one in new if one not in old), new[0] if new and withdrawn else None)
    if verdict is None and not withdrawn:
        return None
    return Reacted(str(change["user"]["id"]), verdict, withdrawn, str(change["chat"]["id"]), str(change["message_id"]))


def keyboard(reply_id: str, chosen: Verdict | None = None) -> list[list[tuple[str, str]]]:
    """Return rows of (text, data)."""
    row = []
    for verdict, sign in BUTTONS.items():
        mine = verdict == chosen
        row.append((f"{sign} {CHOSEN}" if mine else sign, f"{'not-' if mine else ''}{verdict}:{reply_id}"))
    return [row]


def _verdict(word: str) -> Verdict | None:
    return "up" if word == "up" else "down" if word == "down" else None


def _verdicts(reactions: list[Mapping[str, Any]]) -> list[Verdict]:
    """Return what these reactions say, each thing once."""
    return list(dict.fromkeys(REACTIONS[one["emoji"]] for one in reactions if one.get("emoji") in REACTIONS))
