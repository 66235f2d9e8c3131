"""Telegram's limits on how fast a bot may write: 1 message a second to a chat, 20 a minute to a group, 30 a second.

Edits count too. The platform lets short bursts pass without saying how short; BURST is what this double allows.
"""

import math
import time
from collections import deque
from collections.abc import Callable

BURST = 3
GROUP_PER_MINUTE = 20
ALL_PER_SECOND = 30


class Rates:
    """Watches the speed. ``enforce``: answer 429 instead of writing a violation down."""

    def __init__(self, violations: list[str], now: Callable[[], float] = time.monotonic) -> None:
        self.enforce = False
        self._violations = violations
        self._now = now
        self._tokens: dict[int, tuple[float, float]] = {}
        self._minute: dict[int, deque[float]] = {}
        self._second: deque[float] = deque()
        self._held: dict[int, float] = {}

    def flood(self, chat: int, wait_s: float) -> int:
        """Answer a call with 429; return what ``retry_after`` says: whole seconds."""
        whole = max(1, math.ceil(wait_s))
        self._held[chat] = self._now() + whole
        return whole

    def look(self, chat: int) -> None:
        """Note a call that came too early, of whatever kind."""
        held = self._held.get(chat, 0.0) - self._now()
        if held > 0.05:  # the wait is told in whole seconds and measured from the answer
            self._violations.append(f"called for chat {chat} {held:.2f} s before the end of the wait it was told")

    def check(self, chat: int) -> int | None:
        """Count a message to a chat; return the seconds to wait if it is to be refused."""
        now = self._now()
        self.look(chat)
        waits = {
            "a chat": self._wait_chat(chat, now),
            "a group": self._wait_group(chat, now),
            "all": self._wait_all(now),
        }
        limit, wait = max(waits.items(), key=lambda item: item[1])
        if wait <= 0:
            self._count(chat, now)
            return None
        if self.enforce:
            return self.flood(chat, wait)
        self._violations.append(f"wrote too fast for {limit} ({chat}): {wait:.2f} s too early")
        self._count(chat, now)
        return None

    def _wait_chat(self, chat: int, now: float) -> float:
        tokens, since = self._tokens.get(chat, (float(BURST), now))
        return 1 - min(BURST, tokens + now - since)

    def _wait_group(self, chat: int, now: float) -> float:
        sent = self._minute.setdefault(chat, deque())
        while sent and sent[0] <= now - 60:
            sent.popleft()
        return 60 - (now - sent[0]) if chat < 0 and len(sent) >= GROUP_PER_MINUTE else 0

    def _wait_all(self, now: float) -> float:
        while self._second and self._second[0] <= now - 1:
            self._second.popleft()
        return 1 - (now - self._second[0]) if len(self._second) >= ALL_PER_SECOND else 0

    def _count(self, chat: int, now: float) -> None:
        tokens, since = self._tokens.get(chat, (float(BURST), now))
        self._tokens[chat] = (min(BURST, tokens + now - since) - 1, now)
        self._minute.setdefault(chat, deque()).append(now)
        self._second.append(now)
