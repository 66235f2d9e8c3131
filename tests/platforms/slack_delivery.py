"""How the double of Slack hands events to the bot: Socket Mode, or signed HTTP requests; both again until acknowledged.

Slack tries four times: at once, and after the three pauses of ``retry_after_s``. While nobody is there at all (no
connection, nothing listens), the double waits instead of counting, as Slack's real pauses are minutes long.
"""

import asyncio
import contextlib
import hashlib
import hmac
import itertools
import json
import time
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol
from urllib.parse import urlencode

import aiohttp
from aiohttp import WSMsgType, web

MOST_CONNECTIONS = 10
Kind = Literal["events_api", "slash_commands", "interactive"]


class Host(Protocol):
    """What the deliverer needs of the double."""

    acknowledged: list[tuple[str, float]]
    given_up: list[str]
    signing_secret: str
    request_url: str | None
    ack_s: float
    retry_after_s: tuple[float, ...]
    patience_s: float

    def reach(self, point: str) -> None: ...


@dataclass
class Parcel:
    """One thing to be delivered; ``identity`` is how the record calls it."""

    kind: Kind
    identity: str
    payload: dict[str, Any]
    first_attempt: int = 0


@dataclass
class Connection:
    """One socket and what it has not acknowledged."""

    socket: web.WebSocketResponse
    request: web.Request
    waiting: dict[str, "asyncio.Future[dict[str, Any]]"] = field(default_factory=dict)


class NotThere(Exception):
    """Nobody took the parcel."""


class Failed(Exception):
    """It was handed over and not acknowledged; the text is Slack's reason."""


class Deliverer:
    """Delivers each parcel in a task of its own."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._tickets: set[str] = set()
        self._numbers = itertools.count(1)
        self._turn = itertools.count()
        self._tasks: set[asyncio.Task[Any]] = set()
        self.connections: list[Connection] = []
        self.opened = 0  # connections ever
        self.refuse_sockets = 0  # so many of the next ones are not let in; their tickets are used up

    def ticket(self) -> str:
        """Return a ticket for one connection."""
        ticket = f"ticket-{next(self._numbers)}"
        self._tickets.add(ticket)
        return ticket

    async def socket(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection of Socket Mode."""
        if request.query.get("ticket") not in self._tickets:
            return web.Response(status=408, text="the ticket was used or never given")
        self._tickets.discard(request.query["ticket"])
        if self.refuse_sockets:
            self.refuse_sockets -= 1
            return web.Response(status=503, text="come again with a new ticket")
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        if len(self.connections) >= MOST_CONNECTIONS:
            await socket.send_json({"type": "disconnect", "reason": "too_many_websockets"})
            await socket.close()
            return socket
        connection = Connection(socket, request)
        await socket.send_json({"type": "hello", "num_connections": len(self.connections) + 1})
        self.connections.append(connection)
        self.opened += 1
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    answer = json.loads(message.data)
                    waiting = connection.waiting.pop(answer["envelope_id"], None)
                    if waiting and not waiting.done():
                        waiting.set_result(answer.get("payload") or {})
        finally:
            self._forget(connection)
        return socket

    def _forget(self, connection: Connection) -> None:
        if connection in self.connections:
            self.connections.remove(connection)
        for waiting in connection.waiting.values():
            if not waiting.done():
                waiting.set_exception(Failed("connection_failed"))

    async def disconnect(self, reason: str) -> None:
        """Ask every connection to go and come again, as Slack does every few hours."""
        for connection in list(self.connections):
            self.connections.remove(connection)  # nothing new is sent through it
            with contextlib.suppress(ConnectionError):
                await connection.socket.send_json({"type": "disconnect", "reason": reason})

    async def cut(self) -> None:
        """Break all connections without a word."""
        for connection in list(self.connections):
            self._forget(connection)
            if connection.request.transport:
                connection.request.transport.abort()

    def send(self, parcel: Parcel) -> "asyncio.Task[dict[str, Any] | None]":
        """Deliver in the background; the task's result is what came with the acknowledgement, None if none came."""
        task = asyncio.create_task(self._deliver(parcel))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def stop(self) -> None:
        """Deliver nothing any more."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for connection in list(self.connections):
            await connection.socket.close()

    async def _deliver(self, parcel: Parcel) -> dict[str, Any] | None:
        events = parcel.kind == "events_api"
        pauses = (0.0, *self._host.retry_after_s) if events else (0.0,)
        reason = "http_timeout"
        for attempt, pause in enumerate(pauses, parcel.first_attempt):
            await asyncio.sleep(pause)
            give_up = time.monotonic() + self._host.patience_s
            while True:
                try:
                    began = time.monotonic()
                    answer = await self._attempt(parcel, attempt, reason)
                    self._host.acknowledged.append((parcel.identity, time.monotonic() - began))
                    self._host.reach("acknowledged")
                    return answer
                except NotThere:
                    if time.monotonic() > give_up or not events:
                        break
                    await asyncio.sleep(0.05)
                except Failed as error:
                    reason = str(error)
                    break
            if reason == "no_retry":
                break
        self._host.given_up.append(parcel.identity)
        return None

    async def _attempt(self, parcel: Parcel, attempt: int, reason: str) -> dict[str, Any]:
        try:
            async with asyncio.timeout(self._host.ack_s):
                if self._host.request_url:
                    return await self._by_http(parcel, attempt, reason, self._host.request_url)
                return await self._by_socket(parcel, attempt, reason)
        except TimeoutError:
            raise Failed("http_timeout") from None

    async def _by_socket(self, parcel: Parcel, attempt: int, reason: str) -> dict[str, Any]:
        if not self.connections:
            raise NotThere
        connection = self.connections[next(self._turn) % len(self.connections)]
        envelope = f"envelope-{next(self._numbers)}"
        retry = {"retry_attempt": attempt, "retry_reason": reason if attempt else ""}
        message = {
            "envelope_id": envelope,
            "type": parcel.kind,
            "accepts_response_payload": parcel.kind != "events_api",
            "payload": parcel.payload,
            **(retry if parcel.kind == "events_api" else {}),
        }
        waiting: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        connection.waiting[envelope] = waiting
        self._host.reach("delivering")
        try:
            await connection.socket.send_json(message)
        except ConnectionError:
            connection.waiting.pop(envelope, None)
            raise NotThere from None
        self._host.reach("delivered")
        return await waiting

    async def _by_http(self, parcel: Parcel, attempt: int, reason: str, url: str) -> dict[str, Any]:
        headers = {"x-slack-retry-num": str(attempt), "x-slack-retry-reason": reason} if attempt else {}
        self._host.reach("delivering")
        status, headers, body = await self.request(url, parcel.kind, parcel.payload, headers)
        self._host.reach("delivered")
        if 200 <= status < 300:
            return json.loads(body) if body.startswith("{") else {"text": body} if body else {}
        raise Failed("no_retry" if headers.get("X-Slack-No-Retry") == "1" else "http_error")

    async def request(
        self, url: str, kind: Kind, payload: dict[str, Any], headers: dict[str, str], age_s: float = 0
    ) -> tuple[int, dict[str, str], str]:
        """Send one signed request; return status, headers and body of the answer."""
        body, content = encode(kind, payload)
        sent = {**sign(self._host.signing_secret, body, age_s), "Content-Type": content, **headers}
        try:
            async with aiohttp.ClientSession() as session, session.post(url, data=body, headers=sent) as response:
                return response.status, dict(response.headers), await response.text()
        except aiohttp.ClientConnectorError:
            raise NotThere from None
        except aiohttp.ClientError:
            raise Failed("connection_failed") from None


def encode(kind: Kind, payload: dict[str, Any]) -> tuple[bytes, str]:
    """Return a body and its content type: events are JSON, the others are forms."""
    if kind == "events_api":
        return json.dumps(payload).encode(), "application/json"
    fields = {"payload": json.dumps(payload)} if kind == "interactive" else payload
    return urlencode(fields).encode(), "application/x-www-form-urlencoded"


def sign(secret: str, body: bytes, age_s: float = 0) -> dict[str, str]:
    """Return the headers by which Slack proves that a request is its own."""
    moment = str(int(time.time() - age_s))
    digest = hmac.new(secret.encode(), b"v0:" + moment.encode() + b":" + body, hashlib.sha256).hexdigest()
    return {"X-Slack-Request-Timestamp": moment, "X-Slack-Signature": f"v0={digest}"}
