"""Who waits for which reply: requests enter by event id, drafts and replies find them. Lives in the event loop."""

import asyncio
from collections import OrderedDict

from core.events import Draft, Reply

REMEMBERED = 10_000


class Stopping(Exception):
    """The channel ends; who still waits finds the reply in the history."""


class Waiter:
    """One request that waits for the reply to one event. Drafts may be skipped: each holds the whole text so far."""

    def __init__(self, event_id: str) -> None:
        self.event_id = event_id
        self.draft: Draft | None = None
        self.place = 0
        self.reply: Reply | None = None
        self._stopping = False
        self._changed = asyncio.Event()

    async def change(self) -> None:
        """Wait until ``draft`` or ``reply`` is new; raises Stopping."""
        await self._changed.wait()
        self._changed.clear()
        if self._stopping and self.reply is None:
            raise Stopping

    async def result(self) -> Reply:
        """Wait for the reply; raises Stopping."""
        while self.reply is None:
            await self.change()
        return self.reply

    def show(self, draft: Draft) -> None:
        """A draft has come."""
        self.draft = draft
        self._changed.set()

    def tell_place(self, place: int) -> None:
        """The number in line has changed."""
        self.place = place
        self._changed.set()

    def resolve(self, reply: Reply) -> None:
        """The reply has come."""
        self.reply = reply
        self._changed.set()

    def stop(self) -> None:
        """No reply will come any more."""
        self._stopping = True
        self._changed.set()


class WaitingRoom:
    """All requests that wait, by event id. One event may have several (a repeated request), one reply many."""

    def __init__(self) -> None:
        self._waiters: dict[str, set[Waiter]] = {}
        self._answered: OrderedDict[str, None] = OrderedDict()
        self._stopping = False

    def enter(self, event_id: str) -> Waiter:
        """Return a new waiter; enter before the event is accepted, so that no reply is missed."""
        waiter = Waiter(event_id)
        self._waiters.setdefault(event_id, set()).add(waiter)
        if self._stopping:
            waiter.stop()
        return waiter

    def leave(self, waiter: Waiter) -> None:
        """The request has ended; a second call does nothing."""
        others = self._waiters.get(waiter.event_id, set())
        others.discard(waiter)
        if not others:
            self._waiters.pop(waiter.event_id, None)

    def was_answered(self, event_id: str) -> bool:
        """Say whether the reply to this event has passed through this process lately."""
        return event_id in self._answered

    def show(self, draft: Draft) -> None:
        """Give a draft to all who wait for it."""
        for event_id in draft.in_reply_to:
            for waiter in self._waiters.get(event_id, ()):
                waiter.show(draft)

    def tell_place(self, event_id: str, place: int) -> None:
        """Tell all who wait for the reply to this event which number they are in line."""
        for waiter in self._waiters.get(event_id, ()):
            waiter.tell_place(place)

    def deliver(self, reply: Reply) -> None:
        """Give a reply to all who wait for it; it may be nobody."""
        for event_id in reply.in_reply_to:
            self._answered[event_id] = None
            for waiter in self._waiters.get(event_id, ()):
                waiter.resolve(reply)
        while len(self._answered) > REMEMBERED:
            self._answered.popitem(last=False)

    def stop(self) -> None:
        """Send everybody home."""
        self._stopping = True
        for waiters in self._waiters.values():
            for waiter in waiters:
                waiter.stop()
