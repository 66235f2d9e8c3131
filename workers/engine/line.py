"""The line of requests that wait for the model: bounded, and fair between people. Thread-safe."""

import threading
from collections import deque

from core.errors import EngineFull
from workers.engine.request import Generation


class Line:
    """Holds what waits. People are served in turn, each person's own requests in order.

    ``places`` is how many may wait at all. One person may hold half of them at most, so that whoever floods the line
    never closes it to others; requests of nobody in particular (person "") may fill it.
    """

    def __init__(self, places: int) -> None:
        self._places = places
        self._waiting: dict[str, deque[Generation]] = {}  # in the order in which people have their turn
        self._changed = threading.Condition()
        self._closed = False

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    @property
    def closed(self) -> bool:
        """Has ``close`` been called?"""
        return self._closed

    def put(self, one: Generation) -> None:
        """Let a request wait; raises EngineFull."""
        with self._changed:
            if len(self) >= self._places:
                raise EngineFull(f"{self._places} requests wait for the chat model already.")
            own = self._waiting.setdefault(one.person, deque())
            if one.person and len(own) >= max(1, self._places // 2):
                raise EngineFull(f"{len(own)} requests of one person wait for the chat model already.")
            own.append(one)
            self._changed.notify()

    def take(self) -> Generation | None:
        """Return the next request, or None; whoever it belongs to goes to the end of the line."""
        with self._changed:
            if not self._waiting:
                return None
            person, own = next(iter(self._waiting.items()))
            one = own.popleft()
            del self._waiting[person]
            if own:
                self._waiting[person] = own
            return one

    def wait(self) -> None:
        """Return once something waits or the line is closed."""
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()

    def drop_ended(self) -> None:
        """Answer those who wait but are cancelled or late."""
        with self._changed:
            ended = [(one, reason) for own in self._waiting.values() for one in own if (reason := one.ended)]
            for one, _ in ended:
                self._remove(one)
        for one, reason in ended:
            one.answer_unsaid(reason)

    def fail_all(self, error: Exception) -> None:
        """Answer everyone who waits with an error."""
        with self._changed:
            left = [one for own in self._waiting.values() for one in own]
            self._waiting.clear()
        for one in left:
            one.fail(error)

    def close(self) -> None:
        """Wake who waits for requests; what still waits is left to ``fail_all``."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _remove(self, one: Generation) -> None:
        own = self._waiting[one.person]
        own.remove(one)
        if not own:
            del self._waiting[one.person]
