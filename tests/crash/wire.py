"""A wire between the processes and Redis on which every command can be stopped: how points are reached from outside.

What passes is not changed. A point is a command of the product, or one of the marks that scripted models publish
(scripted_worker.py), just before it reaches Redis or just after Redis has obeyed it.
"""

import asyncio
import hashlib
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from core.store.connection import LUA

SCRIPTS = {hashlib.sha1(file.read_bytes()).hexdigest(): file.stem for file in LUA.glob("*.lua")}
MARK = "crash:point"
CREDENTIALS = struct.Struct("3i")
NOTHING = (b"-", b"*-1", b"_", b"$-1", b"*0", b"%0")  # an error, or an answer that holds nothing


@dataclass(frozen=True)
class Point:
    """A moment on the wire. ``command``: a script's name, "read" (XREADGROUP for what is new), or a model's mark."""

    name: str
    command: str
    when: Literal["before", "after"]


@dataclass
class Hold:
    """Waits for its point. ``pid`` is the process that reached it."""

    point: Point
    reached: threading.Event = field(default_factory=threading.Event)
    pid: int = 0
    gone: asyncio.Event = field(default_factory=asyncio.Event)


class Wire:
    """Listens on a socket of its own and passes everything on to that of Redis."""

    def __init__(self, path: Path, redis: Path) -> None:
        self._path = path
        self._redis = redis
        self._hold: Hold | None = None
        self._dead: set[asyncio.Task[None]] = set()
        self._swallowing = False
        self._all: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="wire")
        self._thread.start()
        self._server = self._do(asyncio.start_unix_server(self._serve, path))

    @property
    def url(self) -> str:
        return f"unix://{self._path}"

    def stop_at(self, point: Point) -> Hold:
        """Stop the next one who comes to this point, until ``let_go``."""
        hold = Hold(point)
        self._loop.call_soon_threadsafe(setattr, self, "_hold", hold)
        return hold

    def let_go(self, hold: Hold) -> None:
        self._loop.call_soon_threadsafe(self._let_go, hold)

    def drop_without_a_word(self) -> None:
        """Pass nothing on any more on the connections that stand, and close none: a cable is pulled. New ones pass."""
        self._do(self._drop())

    @contextmanager
    def swallowing(self) -> Iterator[None]:
        """The same for new ones while the block runs: they are let in and hear nothing, for good."""
        self.drop_without_a_word()
        self._swallowing = True
        try:
            yield
        finally:
            self._swallowing = False

    def close(self) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, coroutine):  # type: ignore[no-untyped-def]
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    def _let_go(self, hold: Hold) -> None:
        if self._hold is hold:
            self._hold = None
        hold.gone.set()

    async def _drop(self) -> None:
        self._dead |= self._all

    async def _close(self) -> None:
        self._server.close()
        for task in self._all:
            task.cancel()
        await asyncio.gather(*self._all, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        own = asyncio.current_task()
        assert own
        self._all.add(own)
        if self._swallowing:
            self._dead.add(own)
        try:
            with suppress(OSError, asyncio.CancelledError, asyncio.IncompleteReadError):
                far_reader, far_writer = await asyncio.open_unix_connection(self._redis)
                try:
                    await self._pass_both_ways(own, reader, writer, far_reader, far_writer)
                finally:
                    far_writer.close()
        finally:
            writer.close()
            self._all.discard(own)
            self._dead.discard(own)

    async def _pass_both_ways(
        self,
        own: "asyncio.Task[None]",
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        far_reader: asyncio.StreamReader,
        far_writer: asyncio.StreamWriter,
    ) -> None:
        pid = _peer(writer)
        asked: list[str] = [""]

        async def there() -> None:
            rest = b""
            while data := await reader.read(65536):
                rest += data
                for raw, words in (commands := list(_commands(rest))):
                    asked[0] = _name(words)
                    await self._pause(asked[0], "before", pid)
                    if own not in self._dead:
                        far_writer.write(raw)
                rest = rest[sum(len(raw) for raw, _ in commands) :]
                await far_writer.drain()

        async def back() -> None:
            while data := await far_reader.read(65536):
                if not data.startswith(NOTHING):
                    await self._pause(asked[0], "after", pid)
                if own not in self._dead:
                    writer.write(data)
                    await writer.drain()

        ways = {asyncio.ensure_future(there()), asyncio.ensure_future(back())}
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _pause(self, name: str, when: str, pid: int) -> None:
        hold = self._hold
        if hold and (hold.point.command, hold.point.when) == (name, when) and not hold.reached.is_set():
            hold.pid = pid
            hold.reached.set()
            await hold.gone.wait()


def _peer(writer: asyncio.StreamWriter) -> int:
    """Return the process at the other end."""
    made = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
    return int(CREDENTIALS.unpack(made)[0])


def _name(words: list[bytes]) -> str:
    command = words[0].upper()
    if command == b"EVALSHA":
        return SCRIPTS.get(words[1].decode(), "")
    if command == b"XREADGROUP":
        return "read" if words[-1] == b">" else ""
    if command == b"PUBLISH" and words[1] == MARK.encode():
        return words[2].decode()
    return ""


def _commands(data: bytes) -> Iterator[tuple[bytes, list[bytes]]]:
    """Yield each whole command in the data: as it stands there, and its words."""
    at = 0
    while at < len(data):
        begin, words = at, []
        try:
            end = data.index(b"\r\n", at)
            count, at = int(data[at + 1 : end]), end + 2
            for _ in range(count):
                end = data.index(b"\r\n", at)
                length, at = int(data[at + 1 : end]), end + 2
                if len(data) < at + length + 2:
                    return
                words.append(data[at : at + length])
                at += length + 2
        except ValueError:  # the rest of it has not come yet
            return
        yield data[begin:at], words
