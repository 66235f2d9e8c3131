"""The routes: chat, stream, history, commands, probes and pages. What they refuse beforehand is in guard.py.

What `GET /metrics` answers is in metrics.py.
"""

import asyncio
import math
import re
import secrets
import uuid
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from fastapi.security import HTTPBearer
from fastapi.staticfiles import StaticFiles

from channels.base import Accept
from channels.web.metrics import Metrics
from channels.web.models import (
    About,
    Alive,
    ChatReply,
    ChatRequest,
    CommandEntry,
    Error,
    HistoryEntry,
    Ready,
    User,
)
from channels.web.problems import Problem, handle_all
from channels.web.stream import ReplyStream
from channels.web.waiting import Stopping, Waiter, WaitingRoom
from core import commands
from core.dialogue import Address, Turn
from core.errors import StoreUnavailable
from core.events import MessageEvent
from core.settings import Settings
from core.store import Store

STATIC = Path(__file__).parent / "static"
COOKIE = "rapport_person"
OWN = "__Host-"  # a browser lets no neighbour under the same domain set such a cookie, and none without https
COOKIE_S = 400 * 86400
BEARER = HTTPBearer(auto_error=False, description="WEB_API_KEY, or a key of `rapport keys add`")
READY_S = 1.0  # so long counts what a look for workers has found: anybody may ask
# A caller's users and the page's visitors are different people, whatever they are called.
CALLERS = "api"
VISITORS = "page"
# As JSON, each of a message's characters may take twelve bytes; the rest is room for the other fields.
BYTES_PER_CHAR = 12
BYTES_BESIDE = 16 * 1024

DESCRIPTION = """
A bot that reads the mood of what people write and answers in a tone that fits.

`POST /chat` waits for the reply; `POST /chat/stream` tells of it while it is written, as server-sent events:

- `busy` `{"place"}`: many people wait, and you are this number in line; comes again as it changes, with 0 once
  the line is short, or not at all
- `mood` `{"id", "sentiment", "tone"}`: how the message was read, before the first word of the reply
- `draft` `{"id", "text"}`: all of the text so far
- `reply`: the same as `/chat` answers; ends the stream
- `error` `{"error": {"code", "message"}}`: instead of a reply; ends the stream

Lines that begin with a colon keep the connection open. Every error has the form `{"error": {"code", "message"}}`.
"""

ERRORS = {
    400: "No JSON, not UTF-8, or not HTTP.",
    401: "The key is missing or wrong (when one is needed).",
    403: "This user is not allowed to talk with the bot ([access] of its settings); or no key is needed here, and the "
    "call comes from another site's page or through a proxy.",
    408: "The request came too slowly.",
    409: "A message with this id was answered before; the answer is in the history, unless it was a command.",
    413: "The message or the request is too long.",
    415: "Not application/json.",
    422: "A field is missing or wrong, or the message is empty.",
    429: "Too many messages of this person wait for an answer, they write too fast, or too many wrong keys came from "
    "this address: Retry-After says when to go on.",
    431: "The head of the request is too long.",
    503: "Too many people wait for an answer (Retry-After says when to come again), the store is away, so that nothing "
    "can be taken or read, or the bot is being restarted.",
    504: "The reply takes longer. It will be in the history, unless it is that to a command: send that again.",
}

# What a call may be told before it is looked at closely (guard.py, connections.py).
GUARDED = (400, 401, 403, 408, 429, 431, 503)

EVENT = {
    "type": "object",
    "required": ["event", "data"],
    "properties": {
        "event": {"type": "string", "enum": ["busy", "mood", "draft", "reply", "error"]},
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
}

Responses = dict[int | str, dict[str, Any]]


def _cookie_name(request: Request) -> str:
    return OWN + COOKIE if request.url.scheme == "https" else COOKIE


def _visitor(request: Request) -> str | None:
    """Return the visitor's id if it is one that this page gave out."""
    given = request.cookies.get(_cookie_name(request), "")
    return given if re.fullmatch(r"[0-9a-f]{32}", given) else None


Visitor = Annotated[str | None, Depends(_visitor)]


def max_body(settings: Settings) -> int:
    """Return how many bytes a request may have."""
    return BYTES_PER_CHAR * settings.inbox.max_chars + BYTES_BESIDE


class Routes:
    """What the routes share: the way in (``accept``), the room of those who wait, and the store to look things up."""

    def __init__(
        self, accept: Accept, room: WaitingRoom, store: Store, settings: Settings, reply_timeout_s: float
    ) -> None:
        self._accept = accept
        self._room = room
        self._store = store
        self._settings = settings
        self._timeout_s = reply_timeout_s
        self._metrics = Metrics(store, settings)
        self._looking = asyncio.Lock()
        self._looked: tuple[float, Ready] = (-math.inf, Ready(status="not ready", redis="away", workers=0))

    def app(self, *, with_key: bool) -> FastAPI:
        """Return the application."""
        app = FastAPI(
            title=f"{self._settings.bot.name}: the HTTP API",
            version="1",
            description=DESCRIPTION,
            docs_url=None,  # FastAPI's own pages load their scripts from elsewhere; static/docs.html does not
            redoc_url=None,
        )
        handle_all(app)
        key = [Depends(BEARER)] if with_key else []
        app.include_router(self._chat_router(), dependencies=key)
        app.include_router(self._about_router(), dependencies=key)
        app.include_router(self._open_router())
        app.mount("/static", StaticFiles(directory=STATIC))
        return app

    def _chat_router(self) -> APIRouter:
        router = APIRouter(tags=["chat"])
        errors = _errors(*ERRORS)
        router.post("/chat", response_model=ChatReply, responses=errors)(self.chat)
        events = {"text/event-stream": {"itemSchema": EVENT}}
        stream: dict[str, Any] = {"description": "The events described above.", "content": events}
        del errors[504]  # an event of the stream by then
        router.post("/chat/stream", response_class=StreamingResponse, responses=errors | {200: stream})(
            self.chat_stream
        )
        router.get("/history", response_model=list[HistoryEntry], responses=_errors(422, *GUARDED))(self.history)
        return router

    def _about_router(self) -> APIRouter:
        router = APIRouter(tags=["about"])
        router.get("/commands", response_model=About, responses=_errors(*GUARDED))(self.about)
        text = {"text/plain": {"schema": {"type": "string"}}}
        told: Responses = {200: {"description": "Prometheus' text format, version 0.0.4.", "content": text}}
        metrics = self._metrics.metrics
        router.get("/metrics", response_class=Response, responses=_errors(*GUARDED) | told)(metrics)
        return router

    def _open_router(self) -> APIRouter:
        """Return what needs no key: guard.OPEN."""
        router = APIRouter(tags=["about"])
        not_ready: Responses = {503: {"model": Ready, "description": "No: what is missing stands in the answer."}}
        router.get("/healthz", response_model=Alive)(self.alive)
        router.get("/readyz", response_model=Ready, responses=not_ready)(self.ready)
        router.get("/", include_in_schema=False)(self.page)
        router.get("/docs", include_in_schema=False)(self.docs)
        return router

    async def chat(self, said: ChatRequest, visitor: Visitor = None) -> ChatReply:
        """Say something and wait for the reply."""
        event = _event(said, visitor)
        waiter = self._room.enter(event.id)
        try:
            await self._take(event, waiter)
            async with asyncio.timeout(self._timeout_s):
                return ChatReply.of(await waiter.result())
        except TimeoutError:
            raise self._late(said.user) from None
        except Stopping:
            raise _stopping(said.user) from None
        finally:
            self._room.leave(waiter)

    async def chat_stream(self, said: ChatRequest, visitor: Visitor = None) -> Response:
        """Say something and see the reply being written."""
        event = _event(said, visitor)
        waiter = self._room.enter(event.id)
        try:
            await self._take(event, waiter)
        except BaseException:
            self._room.leave(waiter)
            raise
        return ReplyStream(
            waiter,
            self._room,
            timeout_s=self._timeout_s,
            late=self._late(said.user),
            stopping=_stopping(said.user),
        )

    async def history(
        self,
        request: Request,
        response: Response,
        user: Annotated[User | None, Query()] = None,
        visitor: Visitor = None,
    ) -> list[HistoryEntry]:
        """Read a conversation, oldest first.

        A key is for all of it: whoever has it can read the conversation of every `user` of this API, whichever key was
        used to write it. Give it only to programs that may see them all. What visitors of the chat page said needs
        their cookie.
        """
        if user is None and visitor is None:
            # Here and not with the page: a visit by a link from elsewhere brings no cookie even if there is one, and
            # would have it replaced. Calls from the page itself always bring it.
            visitor = secrets.token_hex(16)
        asking = _event(ChatRequest(message="", user=user), visitor)
        if user is None:
            _remember(response, request, asking.user)
        turns = await asyncio.to_thread(self._store.people.history, asking.person)
        return [_entry(turn) for turn in turns]

    async def about(self) -> About:
        """Read what the bot is called and which commands it knows."""
        return About(
            bot=self._settings.bot.name,
            max_chars=self._settings.inbox.max_chars,
            commands=[CommandEntry(name=command.name, summary=command.summary) for command in commands.TABLE.values()],
        )

    async def alive(self) -> Alive:
        """Ask whether this process answers."""
        return Alive()

    async def ready(self) -> Response:
        """Ask whether Redis can be reached and a worker lives with the model that answers here."""
        async with self._looking:
            now = asyncio.get_running_loop().time()
            if now >= self._looked[0] + READY_S:
                self._looked = now, await self._readiness()
            state = self._looked[1]
        return JSONResponse(state.model_dump(), 200 if state.status == "ready" else 503)

    async def _readiness(self) -> Ready:
        try:
            signs = await asyncio.to_thread(self._store.workers.alive)
        except StoreUnavailable:
            return Ready(status="not ready", redis="away", workers=0)
        served = [sign.serves for sign in signs if sign.ready]
        needed = {self._settings.model_for(f"web:{workspace}:") for workspace in (CALLERS, VISITORS)}
        ready = needed.issubset(served)
        return Ready(status="ready" if ready else "not ready", redis="reachable", workers=len(served))

    async def page(self) -> Response:
        """Return the chat page."""
        return FileResponse(STATIC / "index.html")

    async def docs(self) -> Response:
        """Return the page that shows /openapi.json."""
        return FileResponse(STATIC / "docs.html")

    async def _take(self, event: MessageEvent, waiter: Waiter) -> None:
        """Have the event accepted; a repeated one is waited for again, unless its reply has already gone out."""
        if await self._accept(event):
            return
        gone = self._room.was_answered(event.id) or not await asyncio.to_thread(self._is_open, event)
        if gone and waiter.reply is None:
            where = _where(None if event.workspace == VISITORS else event.user)
            raise Problem(409, "answered", f"This message was answered before. {where}")

    def _is_open(self, event: MessageEvent) -> bool:
        """Tell whether a reply to this event is still to come: a process before us may have sent it to nobody."""
        return self._store.inbox.holds(event) or self._store.outbox(event.address.outbox).holds(event.id)

    def _late(self, user: str | None) -> Problem:
        text = f"The answer takes longer than {self._timeout_s:g} s. {_where(user)}"
        return Problem(504, "timeout", text)


def _errors(*statuses: int) -> Responses:
    return {status: {"model": Error, "description": ERRORS[status]} for status in statuses}


def _stopping(user: str | None) -> Problem:
    text = f"I am being restarted. Your message is safe. {_where(user)}"
    return Problem(503, "stopping", text, {"Retry-After": "2"})


def _where(user: str | None) -> str:
    """Return where to find an answer that nobody waited for."""
    address = "GET /history" if user is None else f"GET /history?user={quote(user, safe='')}"
    return f"Its answer goes to the history: {address}. Only a command's does not: send a command again, with a new id."


def _who(user: str | None, visitor: str | None) -> tuple[str, str]:
    """Return user and workspace."""
    if user is not None:
        return user, CALLERS
    if visitor is None:
        raise Problem(422, "no_user", '"user" is missing. Send a name for the person who writes, such as "anna".')
    return visitor, VISITORS


def _event(said: ChatRequest, visitor: str | None) -> MessageEvent:
    user, workspace = _who(said.user, visitor)
    # The person is part of the id: no caller can ask for the reply to someone else's message by guessing its id.
    # Neither workspace nor key can hold a colon, so two persons never have an id in common.
    event_id = f"web:{workspace}:{said.id or uuid.uuid4().hex}:{user}"
    address = Address(channel="web", space=user, direct=True)
    return MessageEvent(id=event_id, address=address, user=user, workspace=workspace, text=said.message)


def _remember(response: Response, request: Request, visitor: str) -> None:
    secure = request.url.scheme == "https"
    name = _cookie_name(request)
    response.set_cookie(name, visitor, max_age=COOKIE_S, httponly=True, samesite="strict", secure=secure)


def _entry(turn: Turn) -> HistoryEntry:
    return HistoryEntry(
        role=turn.role,
        text=turn.text,
        at=turn.at,
        sentiment=turn.sentiment.label if turn.sentiment else None,
        tone=turn.tone,
    )
