"""How people rate a reply on Discord: two buttons below it, or a reaction to it (pure).

The buttons carry the reply's id, so whoever runs when one is pressed knows which reply is meant.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.store import Verdict

ACTION_ROW, BUTTON, SECONDARY = 1, 2, 2
COMPONENT = 3  # the type of the interaction of a button
PREFIX = "rate"
EMOJI: dict[Verdict, str] = {"up": "👍", "down": "👎"}
SKIN_TONES = dict.fromkeys(range(0x1F3FB, 0x1F400))
Payload = Mapping[str, Any]


@dataclass(frozen=True)
class Press:
    """A button below a reply was pressed."""

    user: str
    reply_id: str
    verdict: Verdict


@dataclass(frozen=True)
class Reaction:
    """A person reacted to a message, which may be a reply of ours, or took their reaction back (``withdrawn``)."""

    user: str
    channel_id: str
    message_id: str
    verdict: Verdict
    withdrawn: bool = False


def buttons(reply_id: str) -> list[dict[str, Any]]:
    """Return the components of a message: 👍 and 👎."""
    pair = [
        {
            "type": BUTTON,
            "style": SECONDARY,
            "emoji": {"name": emoji},
            "custom_id": f"{PREFIX}:{verdict}:{reply_id}",
        }
        for verdict, emoji in EMOJI.items()
    ]
    return [{"type": ACTION_ROW, "components": pair}]


def pressed(interaction: Payload) -> Press | None:
    """Return what a press (``d`` of INTERACTION_CREATE) says, or None if the button is not one of ours.

    Raises:
        KeyError, TypeError, AttributeError: the payload is not as Discord's API describes it.
    """
    if interaction["type"] != COMPONENT:
        return None
    prefix, _, rest = str(interaction["data"]["custom_id"]).partition(":")
    verdict, _, reply_id = rest.partition(":")
    if prefix != PREFIX or not reply_id:
        return None
    user = interaction["member"]["user"] if "member" in interaction else interaction["user"]
    known = next((one for one in EMOJI if one == verdict), None)
    return Press(user["id"], reply_id, known) if known else None


def reacted(event: str, reaction: Payload, own_id: str) -> Reaction | None:
    """Return what a reaction (``d`` of MESSAGE_REACTION_ADD or _REMOVE) says, or None if it rates nothing.

    Raises:
        KeyError, TypeError, AttributeError: the payload is not as Discord's API describes it.
    """
    name = str(reaction["emoji"]["name"]).translate(SKIN_TONES)
    verdict = next((verdict for verdict, emoji in EMOJI.items() if emoji == name), None)
    if verdict is None or reaction["user_id"] == own_id:
        return None
    withdrawn = event == "MESSAGE_REACTION_REMOVE"
    return Reaction(reaction["user_id"], reaction["channel_id"], reaction["message_id"], verdict, withdrawn)
