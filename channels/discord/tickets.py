"""The right to answer a slash command: Discord's token of the interaction, kept where every process finds it.

The token is good for 15 minutes. Afterwards the ticket still says who asked, and whether others may read the answer.
"""

import asyncio
import json
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from core.store import Notes

TOKEN_S = 14.5 * 60  # Discord's 15 minutes, less a margin for the call itself
KEPT_S = 86400.0  # a reply that takes longer than a day is of no use any more
PREFIX = "discord:interaction:"
ACKNOWLEDGED_S = 3.0
REMEMBERED = 1000


@dataclass(frozen=True)
class Ticket:
    """How one command is answered. ``made_at`` is seconds since 1970."""

    application: str
    token: str = field(repr=False)
    user: str
    discreet: bool
    made_at: float

    @property
    def age_s(self) -> float:
        return time.time() - self.made_at

    @property
    def is_open(self) -> bool:
        """Say whether Discord still takes answers by the token."""
        return self.age_s < TOKEN_S


class Tickets:
    """The tickets of this channel, by event id."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._acknowledged: OrderedDict[str, asyncio.Event] = OrderedDict()

    async def keep(self, event_id: str, interaction: dict[str, Any], user: str, *, discreet: bool) -> None:
        """Keep the ticket of a command, before anybody can answer it."""
        ticket = Ticket(interaction["application_id"], interaction["token"], user, discreet, time.time())
        self._acknowledged[event_id] = asyncio.Event()
        while len(self._acknowledged) > REMEMBERED:
            self._acknowledged.popitem(last=False)
        await asyncio.to_thread(self._notes.put, f"ticket:{event_id}", json.dumps(asdict(ticket)), KEPT_S)

    def acknowledged(self, event_id: str) -> None:
        """Let answers pass: Discord knows that one comes."""
        if event := self._acknowledged.get(event_id):
            event.set()

    async def of(self, event_ids: Sequence[str]) -> Ticket | None:
        """Return the ticket of the newest command among these events; None if there is none among them.

        Waits until the command has been acknowledged, if that is being done in this process.
        """
        asked = next((one for one in reversed(event_ids) if is_command(one)), None)
        if asked is None:
            return None
        if event := self._acknowledged.get(asked):
            try:
                await asyncio.wait_for(event.wait(), ACKNOWLEDGED_S)
            except TimeoutError:
                self._acknowledged.pop(asked, None)
        # Who asked may not be known any more: then nothing may be said in public, and there is nobody to say it to.
        return await self._load(asked) or Ticket("", "", "", discreet=True, made_at=0)

    async def others(self, event_ids: Sequence[str]) -> list[Ticket]:
        """Return the open tickets of the commands but the newest."""
        asked = [one for one in event_ids if is_command(one)]
        found = [await self._load(one) for one in asked[:-1]]
        return [ticket for ticket in found if ticket and ticket.is_open]

    async def _load(self, event_id: str) -> Ticket | None:
        raw = await asyncio.to_thread(self._notes.get, f"ticket:{event_id}")
        return Ticket(**json.loads(raw)) if raw else None


def is_command(event_id: str) -> bool:
    """Say whether an event is a slash command."""
    return event_id.startswith(PREFIX)
