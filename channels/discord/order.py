"""In which order what was heard goes into the store: what one person did one after the other, old before new.

Nothing here knows what it is that waits.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

T = TypeVar("T")

CATCH_UP_S = 10.0  # so long what is new waits for what is old, to keep the order


class Turn:
    """One thing that a person did. What they do next waits until this one is ended."""

    def __init__(self, before: "asyncio.Future[None] | None") -> None:
        self._before = before
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def waits(self) -> bool:
        """Say whether what the person did before is not done with yet."""
        return self._before is not None and not self._before.done()

    async def comes(self, timeout_s: float) -> bool:
        """Wait for what the person did before, at most so long; return whether it is done with."""
        if self._before is not None and self.waits:
            await asyncio.wait({self._before}, timeout=timeout_s)
        return not self.waits

    def end(self) -> None:
        """Let go on what the person did afterwards."""
        if not self.ended.done():
            self.ended.set_result(None)


class Turns:
    """The turns of all people. They are taken in the order in which the network told of them, and all are ended."""

    def __init__(self) -> None:
        self._last: dict[str, Turn] = {}

    def take(self, person: str) -> Turn:
        """Return the turn of what this person did just now."""
        last = self._last.get(person)
        turn = self._last[person] = Turn(last.ended if last else None)
        turn.ended.add_done_callback(lambda _: self._forget(person, turn))
        return turn

    def _forget(self, person: str, turn: Turn) -> None:
        if self._last.get(person) is turn:
            del self._last[person]


class Holds(Generic[T]):
    """What is new, waiting until what is older at its place was read; not for ever.

    When a session begins, it is not known yet where something was missed: all that its shard tells waits.
    """

    def __init__(self, go_on: Callable[[T], None]) -> None:
        self._go_on = go_on
        self._unknown: set[int] = set()  # shards
        self._unread: dict[int, set[str]] = {}
        self._held: dict[int, list[tuple[str, T]]] = {}
        self._ends: dict[int, asyncio.TimerHandle] = {}

    def __bool__(self) -> bool:
        return bool(self._ends)

    def begin(self, shard: int) -> None:
        """Have all of a shard wait."""
        self._unknown.add(shard)
        if shard not in self._ends:
            self._ends[shard] = asyncio.get_running_loop().call_later(CATCH_UP_S, self.end, shard)

    def only(self, shard: int, places: Iterable[str]) -> None:
        """Have no more than these places of the shard wait."""
        if shard in self._unknown:
            self._unknown.discard(shard)
            self._unread.setdefault(shard, set()).update(places)
            self._let_go(shard)

    def read(self, shard: int, place: str) -> None:
        """Take in that what is old at this place was read."""
        self._unread.get(shard, set()).discard(place)
        self._let_go(shard)

    def end(self, shard: int) -> None:
        """Have nothing of the shard wait any more."""
        if timer := self._ends.pop(shard, None):
            timer.cancel()
        self._unknown.discard(shard)
        self._unread.pop(shard, None)
        self._let_go(shard)

    def covers(self, shard: int, place: str) -> bool:
        """Say whether what is new at this place waits."""
        return shard in self._unknown or place in self._unread.get(shard, ())

    def add(self, shard: int, place: str, item: T) -> None:
        """Have this wait."""
        self._held.setdefault(shard, []).append((place, item))

    def waiting(self, shard: int) -> int:
        """Return how much waits."""
        return len(self._held.get(shard, ()))

    def _let_go(self, shard: int) -> None:
        held = self._held.pop(shard, [])
        if kept := [one for one in held if self.covers(shard, one[0])]:
            self._held[shard] = kept
        for place, item in held:
            if not self.covers(shard, place):
                self._go_on(item)
