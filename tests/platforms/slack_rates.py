"""Slack's limits of how often its methods may be called in a workspace, and the waits that it asks for.

A tier is so many calls a minute; Slack lets "occasional bursts" beyond that pass without saying how many: this double
lets half as many again.
"""

import math
import time
from collections import deque
from typing import Any

BURST = 1.5
ON_ITS_WAY_S = 0.25  # what was called before the answer was there did not know of it
ROUNDING_S = 0.05
PER_MINUTE = {
    "chat.postMessage": 300,
    "chat.postEphemeral": 100,
    "chat.update": 50,
    "chat.delete": 50,
    "chat.startStream": 20,
    "chat.appendStream": 100,
    "chat.stopStream": 20,
    "assistant.threads.setStatus": 600,
    "reactions.add": 50,
    "reactions.remove": 20,
    "conversations.list": 20,
    "conversations.history": 50,
    "conversations.replies": 50,
    "users.info": 100,
}
Key = tuple[str, ...]


class Rates:
    """Counts calls and remembers waits. ``minute_s``: how long a minute is; tests have shorter ones."""

    def __init__(self, violations: list[str]) -> None:
        self.minute_s = 60.0
        self._violations = violations
        self._calls: dict[Key, deque[float]] = {}
        self._waits: dict[Key, tuple[float, float]] = {}  # since when, until when

    def look(self, method: str, token: str, arguments: dict[str, Any]) -> None:
        """Write down a call that comes before the end of a wait."""
        key, now = _key(method, token, arguments), time.monotonic()
        since, until = self._waits.get(key, (now, now))
        if now - since > ON_ITS_WAY_S and until - now > ROUNDING_S:
            self._violations.append(f"{method} was called {until - now:.2f} s before the end of the wait")

    def check(self, method: str, token: str) -> float | None:
        """Count a call; return the seconds to wait if it is one too many."""
        if method not in PER_MINUTE:
            return None
        now = time.monotonic()
        calls = self._calls.setdefault((method, token), deque())
        while calls and calls[0] <= now - self.minute_s:
            calls.popleft()
        if len(calls) >= PER_MINUTE[method] * BURST:
            return calls[0] + self.minute_s - now
        calls.append(now)
        return None

    def wait(self, method: str, token: str, arguments: dict[str, Any], wait_s: float) -> int:
        """Ask for a wait; return what ``Retry-After`` says: whole seconds."""
        whole, now = math.ceil(wait_s), time.monotonic()
        if method in PER_MINUTE:
            self._waits[_key(method, token, arguments)] = (now, now + whole)
        return whole


def _key(method: str, token: str, arguments: dict[str, Any]) -> Key:
    """Return what a wait holds for: a method in a workspace, but of a new message its channel alone."""
    where = (str(arguments.get("channel")),) if method == "chat.postMessage" else ()
    return (method, token, *where)
