"""Which process of the channel polls: one, as Telegram lets only one. Another takes over when that one ends."""

import asyncio
import contextlib
import logging
import os
import secrets
import socket
from pathlib import Path

from core.errors import StoreUnavailable
from core.store import Notes

log = logging.getLogger(__name__)

NOTE = "poller"
BOOT = Path("/proc/sys/kernel/random/boot_id")
PID_SPACE = Path("/proc/self/ns/pid")
TTL_S = 8.0
RENEW_S = 2.0


class Seat:
    """The right to poll, as a note in Redis. Two may believe for a moment that they have it; Telegram's 409 ends that.

    A process that is killed leaves its note behind. On the same machine its end is seen at once, elsewhere the note
    runs out.
    """

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._name = f"{_machine()}:{os.getpid()}"
        self._mine = asyncio.Event()
        self._waiting = False

    @property
    def mine(self) -> bool:
        """Whether this process may poll."""
        return self._mine.is_set()

    async def taken(self) -> None:
        """Return when this process may poll."""
        await self._mine.wait()

    async def keep(self) -> None:
        """Take the seat as soon as it is free, and hold it, until cancelled."""
        try:
            while True:
                with contextlib.suppress(StoreUnavailable):  # nobody else can take it then either
                    self._note(await asyncio.to_thread(self._hold))
                await asyncio.sleep(RENEW_S)
        finally:
            if self._mine.is_set():
                self._mine.clear()
                with contextlib.suppress(StoreUnavailable):
                    await asyncio.shield(asyncio.to_thread(self._leave))

    def _hold(self) -> bool:
        holder = self._notes.get(NOTE)
        if holder == self._name:
            self._notes.put(NOTE, self._name, TTL_S)
            return True
        if holder is not None and not _ended(holder):
            return False
        if holder is not None:
            self._notes.drop(NOTE)
        return self._notes.add(NOTE, self._name, TTL_S)

    def _leave(self) -> None:
        if self._notes.get(NOTE) == self._name:
            self._notes.drop(NOTE)

    def _note(self, mine: bool) -> None:
        if mine:
            self._mine.set()
            self._waiting = False
            return
        self._mine.clear()
        if not self._waiting:
            self._waiting = True
            log.info("another process of this channel polls Telegram; this one waits to take over")


def _machine() -> str:
    """Return a name for where our process numbers count: this start of this kernel, and the container."""
    try:
        return f"{BOOT.read_text().strip()}:{PID_SPACE.stat().st_ino}"
    except OSError:  # no Linux: nobody's end is seen, and the note runs out
        return f"{socket.gethostname()}:{secrets.token_hex(8)}"


def _ended(holder: str) -> bool:
    """Say whether the holder was a process of this machine that is no more."""
    machine, _, pid = holder.rpartition(":")
    if machine != _machine() or not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
