"""Partial text on its way out: the newest draft of each reply, sent up to twenty times a second by one thread.

A draft is made, and checked, only when it is sent: the engine's thread must not pay for those that are not.

The engine's thread hands a draft over for every token and must never wait for Redis. The sending thread looks by
itself and is not woken: a wake-up would take the interpreter away from the reply itself.
"""

import logging
import threading
import time
from collections.abc import Callable

from core.errors import StoreUnavailable
from core.events import Draft
from core.store import Outbox, Store

INTERVAL_S = 0.05
PAUSES, LONGEST_S = 15, 0.25  # times as long as it has sent, the thread waits, but no longer than people like to

log = logging.getLogger(__name__)
MakeDraft = Callable[[], Draft | None]


class DraftSender:
    """Sends drafts; thread-safe. A draft may be lost without harm."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._outboxes: dict[str, Outbox] = {}
        self._newest: dict[str, MakeDraft] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="drafts", daemon=True)
        self._thread.start()

    def send(self, reply_id: str, make: MakeDraft) -> None:
        """Send what this makes soon, unless a newer one of the same reply comes first."""
        with self._lock:
            self._newest[reply_id] = make

    def forget(self, reply_id: str) -> None:
        """The reply itself is about to go out: its drafts are of no use any more."""
        with self._lock:
            self._newest.pop(reply_id, None)

    def close(self) -> None:
        """End the thread."""
        self._closing.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        pause_s = INTERVAL_S
        while not self._closing.wait(pause_s):
            began = time.monotonic()
            try:
                self._send_newest()
            except StoreUnavailable as error:
                log.debug("drafts are lost: %s", error)
            # The more replies are written, the more rarely each is shown: this thread takes time from the engine's.
            pause_s = max(INTERVAL_S, min(LONGEST_S, PAUSES * (time.monotonic() - began)))

    def _send_newest(self) -> None:
        with self._lock:
            makers, self._newest = list(self._newest.values()), {}
        drafts: dict[str, list[Draft]] = {}
        for make in makers:
            if draft := make():
                drafts.setdefault(draft.address.outbox, []).append(draft)
        for name, found in drafts.items():
            self._outbox(name).publish(*found)

    def _outbox(self, name: str) -> Outbox:
        if name not in self._outboxes:
            self._outboxes[name] = self._store.outbox(name)
        return self._outboxes[name]
