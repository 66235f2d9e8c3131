"""How much a person, and a workspace, may write: token buckets, taken from by the script that accepts a message.

What comes in is limited here; what goes out, in pace.py. The script is lua/accept.lua: a message that is known
already, or is refused for another reason, takes nothing out of a bucket.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from core import commands, safety
from core.events import MessageEvent
from core.sections import Inbox as InboxSettings
from core.sections import Safety as SafetySettings
from core.store import keys

FREE = ("stop", "help", "forget")  # never limited: they make the bot do less, and cost no model
SPARE = 10  # messages for which there is room beyond [inbox] max_waiting: these commands, and words of a crisis
CROWDED_MS = 60_000  # who is one too many is asked to come again after so long; when it is better nobody knows
TOLD_MS = 60_000  # who was told that it is too much is not told again for so long, at least
OWN_MACHINE = "terminal"  # who sits there owns all this; a file that is piped in may be long


@dataclass(frozen=True)
class Limit:
    """One bucket: up to ``burst`` messages at once, and one more every ``interval_ms``."""

    whose: Literal["person", "workspace"]
    key: str
    interval_ms: float
    burst: float


@dataclass(frozen=True)
class Refusal:
    """A message that was not taken, and nothing was changed.

    ``why``: "denied" when [access] does not admit the person, "full" when too many of this person's messages wait,
    "crowded" when too many people do, else "slow", and ``whose`` limit it was. After ``wait_s`` seconds it would be
    taken; if "crowded", it may be. ``first``: the person was not told lately.
    """

    why: Literal["denied", "full", "slow", "crowded"]
    whose: Literal["person", "workspace"] = "person"
    wait_s: float = 0
    first: bool = True


class Limits:
    """The limits of the settings."""

    def __init__(self, inbox: InboxSettings, safe: SafetySettings) -> None:
        self._inbox = inbox
        self._safe = safe

    def of(self, event: MessageEvent) -> Sequence[Limit]:
        """Return the buckets that this message is taken from; none for what is not limited."""
        if event.address.channel == OWN_MACHINE or is_free(event):
            return ()
        channel = event.address.channel
        both: list[tuple[Literal["person", "workspace"], str, float, float]] = [
            ("person", event.person, self._inbox.person_per_minute, self._inbox.person_burst),
            (
                "workspace",
                f"{channel}:{event.workspace}",
                self._inbox.workspace_per_minute,
                self._inbox.workspace_burst,
            ),
        ]
        return [
            Limit(whose, keys.limit(f"{whose} {name}"), 60_000 / per_minute, burst)
            for whose, name, per_minute, burst in both
            if per_minute
        ]

    def is_urgent(self, event: MessageEvent) -> bool:
        """Tell whether this must be heard whatever the limits say: it seems to be about a life."""
        return self._safe.answer_crisis and bool(safety.crisis(event.text, self._safe.weak_hints))


def is_free(event: MessageEvent) -> bool:
    """Tell whether this is a command that is never limited."""
    command = commands.parse(event.text)
    return command is not None and command.name in FREE
