"""What the doubles of the platforms share: a server in a thread of its own, faults, points, and a record.

A double speaks its platform's protocol to the real SDK on loopback. A test drives it with ordinary calls from its
own thread; it is strict where the platform is strict, and writes into ``violations`` whatever the bot must never do.
"""

import asyncio
import contextlib
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from aiohttp import web

T = TypeVar("T")
Place = Literal["direct", "group", "thread"]
Kind = Literal["flood", "error", "drop", "late", "refuse", "slow"]


@dataclass
class Fault:
    """What happens to the next ``times`` calls of a method.

    flood: 429, wait ``wait_s``; error: 500 and nothing done; drop: connection closed and nothing done; late: done,
    and the connection closed without an answer; refuse: the platform's permanent error (blocked, kicked, deleted);
    slow: answered after ``wait_s``, or as soon as the double is told to ``hurry``.
    """

    kind: Kind
    times: int = 1
    wait_s: float = 0.0


@dataclass
class Post:
    """One message of the bot as people see it. ``texts`` are all its versions, the newest last."""

    id: str
    space: str
    thread: str | None
    texts: list[str]
    at: float = field(default_factory=time.monotonic)
    reply_to: str | None = None
    deleted: bool = False
    ephemeral_for: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """What it says now, as a person reads it: mark-up of the platform is rendered away."""
        return self.texts[-1]


@dataclass
class Call:
    """One call of the bot. ``status`` is None while it is not answered."""

    method: str
    arguments: dict[str, Any]
    at: float = field(default_factory=time.monotonic)
    status: int | None = None


class Dropped(Exception):
    """The connection of this request is to be closed without an answer."""


class Server(ABC):
    """A server on loopback, in a thread of its own."""

    def __init__(self) -> None:
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"double-{type(self).__name__}")

    def start(self) -> None:
        """Begin to serve, on a free port."""
        self._thread.start()
        self.run(self._serve())

    def stop(self) -> None:
        """End the server and its connections."""
        self.run(self._runner.cleanup())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run something on the server's loop, from a test's thread; return its result."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    async def _serve(self) -> None:
        self._runner = web.AppRunner(self.application(), shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    @abstractmethod
    def application(self) -> web.Application:
        """Return the routes."""


class Double(Server):
    """A platform on loopback. Subclasses add the routes and what people can do."""

    name: str
    text_limit: int

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Call] = []
        self.posts: list[Post] = []
        self.violations: list[str] = []
        self.acknowledged: list[tuple[str, float]] = []  # event, seconds from its delivery to its acknowledgement
        self.signs: list[tuple[str, float]] = []  # place, when: status, reaction or typing shown by the bot
        self.feedback_buttons = 0
        self._faults: dict[str, list[Fault]] = {}
        self._points: dict[str, list[Callable[[], None]]] = {}
        self._hurry = asyncio.Event()

    @property
    @abstractmethod
    def environment(self) -> dict[str, str]:
        """Tokens and base addresses: with these in its environment the channel's process talks to this double."""

    @abstractmethod
    def connected(self) -> bool:
        """Tell whether the bot is there: polls, or holds a connection, and has been let in."""

    @abstractmethod
    def say(self, text: str, *, user: str = "ada", place: Place = "direct", **how: Any) -> str:
        """A person writes; return the message's identity, as the platform has it.

        place "direct": a direct message. "group": in a shared place, with a mention of the bot unless
        ``mention=False``. "thread": in a thread (Slack, Discord), topic or reply (Telegram) that the bot takes
        part in. Users: "ada", "bob", ... any name; made on first use.
        """

    @abstractmethod
    def redeliver(self, message: str) -> None:
        """The platform delivers a message again, as it does after a lost acknowledgement."""

    def seen_by(self, user: str = "ada", place: Place = "direct") -> list[Post]:
        """Return the bot's posts at the place where ``say`` with the same arguments writes, oldest first."""
        raise NotImplementedError

    def fault(self, method: str, kind: Kind, times: int = 1, wait_s: float = 0.0) -> None:
        """Have the next calls of a method fail."""
        self._faults.setdefault(method, []).append(Fault(kind, times, wait_s))

    def hurry(self) -> None:
        """Answer what is slow at once, from now on."""
        self._loop.call_soon_threadsafe(self._hurry.set)

    def at(self, point: str, action: Callable[[], None]) -> None:
        """Run an action once, when a point is next reached: ``received:METHOD``, ``done:METHOD``, ``answered:METHOD``.

        received: the request is here and nothing is done; done: it is done and not answered. The action may kill
        the bot's process. Doubles have further points of their own.
        """
        self._points.setdefault(point, []).append(action)

    def reach(self, point: str) -> None:
        """Run what waits at this point."""
        if waiting := self._points.get(point):
            waiting.pop(0)()

    async def answer(
        self,
        method: str,
        arguments: dict[str, Any],
        do: Callable[[], Awaitable[web.StreamResponse]],
        *,
        flood: Callable[[float], web.StreamResponse],
        error: Callable[[], web.StreamResponse],
        refuse: Callable[[], web.StreamResponse],
    ) -> web.StreamResponse:
        """Answer a call, with the faults that wait for it. Dropped: the handler must close the transport."""
        call = Call(method, arguments)
        self.calls.append(call)
        self.reach(f"received:{method}")
        fault = self._next_fault(method)
        kind = fault.kind if fault else None
        if kind == "drop":
            raise Dropped
        if fault and kind == "slow":
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), fault.wait_s)
        if fault and kind in ("flood", "error", "refuse"):
            response = flood(fault.wait_s) if kind == "flood" else error() if kind == "error" else refuse()
        else:
            response = await do()
            self.reach(f"done:{method}")
            if kind == "late":
                raise Dropped
        call.status = response.status
        self._loop.call_later(0.001, self.reach, f"answered:{method}")
        return response

    def _next_fault(self, method: str) -> Fault | None:
        waiting = self._faults.get(method, [])
        while waiting and waiting[0].times == 0:
            waiting.pop(0)
        if not waiting:
            return None
        waiting[0].times -= 1
        return waiting[0]
