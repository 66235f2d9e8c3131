"""Connections below HTTP: how many there may be, and how long one may keep us waiting. What they ask for is not here.

The server closes a connection that is idle between two requests, but waits for ever for one that sends its request
byte by byte, or reads its answer so. A few hundred such connections would keep everybody else out.
"""

import asyncio
import http
import resource
from typing import cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from channels.web.problems import Problem

MOST = 2000
SPARE_FILES = 124  # for the store, logs and the page's own files
REQUEST_S = 20.0  # for a whole request, from the end of the one before it
STALL_S = 30.0  # without the other side reading what we send
MAX_HEAD = 16 * 1024

TOO_MANY = Problem(503, "crowded", "Too many people are here just now. Please try again in a moment.")
TOO_SLOW = Problem(408, "too_slow", f"The request did not arrive within {REQUEST_S:g} s. Please send it again.")
NO_HTTP = Problem(400, "bad_request", f"This is not HTTP, or its head has more than {MAX_HEAD // 1024} KiB.")


class Connection(H11Protocol):
    """One connection. Where there are too many, the one goes that has kept us waiting longest."""

    _since = 0.0
    _late: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None

    @property
    def keeps_us_waiting(self) -> bool:
        """Say whether it is the other side's turn: no request, or not all of it, has come."""
        return self.cycle is None or self.cycle.response_complete or self.cycle.more_body

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, and close another or this one if there are too many."""
        super().connection_made(transport)
        self._await_request()
        if len(self.connections) > most():
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the clocks."""
        for timer in (self._late, self._stalled):
            if timer:
                timer.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Begin to wait for the next request."""
        super().on_response_complete()
        self._await_request()

    def pause_writing(self) -> None:
        """Give the other side some time to read."""
        super().pause_writing()
        self._stalled = self.loop.call_later(STALL_S, self.transport.abort)

    def resume_writing(self) -> None:
        """The other side has read."""
        if self._stalled:
            self._stalled.cancel()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Say that this cannot be read, in the shape of every other error."""
        self._refuse(NO_HTTP)

    def _await_request(self) -> None:
        if self._late:
            self._late.cancel()
        self._since = self.loop.time()
        self._late = self.loop.call_later(REQUEST_S, self._is_late)

    def _is_late(self) -> None:
        if self.transport.is_closing():
            self.transport.abort()  # the other side does not read the rest
        elif self.keeps_us_waiting:
            if self._has_half_a_request():
                self._refuse(TOO_SLOW)
            else:
                self.transport.close()

    def _has_half_a_request(self) -> bool:
        if self.conn.their_state is h11.SEND_BODY:
            return not self.cycle.response_started  # some requests are refused before their body is read
        return bool(self.conn.trailing_data[0])

    def _make_room(self) -> None:
        others = [cast(Connection, one) for one in self.connections if one is not self]
        waited_for = [one for one in others if one.keeps_us_waiting]
        if waited_for:
            oldest = min(waited_for, key=lambda one: one._since)
            oldest.transport.abort()
            self.connections.discard(oldest)  # its end is told to it later, and others may come before
        else:
            self._refuse(TOO_MANY)
            self.connections.discard(self)

    def _refuse(self, problem: Problem) -> None:
        """Answer without an application, and close."""
        response = problem.response()
        lines = [f"HTTP/1.1 {problem.status_code} {http.HTTPStatus(problem.status_code).phrase}"]
        lines += [f"{name.decode('latin-1')}: {value.decode('latin-1')}" for name, value in response.raw_headers]
        lines += ["connection: close", "cache-control: no-store", "x-content-type-options: nosniff", "", ""]
        self.transport.write("\r\n".join(lines).encode("latin-1") + bytes(response.body))
        self.transport.close()


def allow_files() -> None:
    """Let this process have the files that it needs; many systems begin with 1,024 or fewer, and allow more."""
    now, allowed = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = MOST + SPARE_FILES
    if now != resource.RLIM_INFINITY and now < needed:
        wanted = needed if allowed == resource.RLIM_INFINITY else min(needed, allowed)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, allowed))


def most() -> int:
    """Return how many connections there may be: a process has only so many files."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST if files == resource.RLIM_INFINITY else max(min(MOST, files - SPARE_FILES), 1)
