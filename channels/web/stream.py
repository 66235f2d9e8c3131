"""A reply as server-sent events: mood, drafts, then the reply or an error."""

import asyncio
from collections.abc import AsyncIterator

from pydantic import BaseModel
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from channels.web.models import BusyEvent, ChatReply, DraftEvent, MoodEvent
from channels.web.problems import Problem
from channels.web.waiting import Stopping, Waiter, WaitingRoom

PING_S = 15.0
PING = ": still here\n\n"
HEADERS = {"Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no"}


class ReplyStream(StreamingResponse):
    """Sends what a waiter gets; the waiter leaves the room however the response ends, and if nobody listens any more.

    ``late`` is told after ``timeout_s`` without a reply, ``stopping`` when the channel ends.
    """

    media_type = "text/event-stream"

    def __init__(
        self, waiter: Waiter, room: WaitingRoom, *, timeout_s: float, late: Problem, stopping: Problem
    ) -> None:
        super().__init__(_events(waiter, timeout_s, late, stopping), headers=HEADERS)
        self._waiter = waiter
        self._room = room

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._room.leave(self._waiter)


async def _events(waiter: Waiter, timeout_s: float, late: Problem, stopping: Problem) -> AsyncIterator[str]:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    mood: MoodEvent | None = None
    text = ""
    place = 0
    yield PING  # the message is safe, and proxies pass the headers on
    while True:
        left = deadline - loop.time()
        try:
            async with asyncio.timeout(min(PING_S, left)):
                await waiter.change()
        except TimeoutError:
            if left <= PING_S:
                yield _event("error", late.body)
                return
            yield PING
            continue
        except Stopping:
            yield _event("error", stopping.body)
            return
        if waiter.reply:
            yield _event("reply", ChatReply.of(waiter.reply))
            return
        if waiter.place != place and not waiter.draft:
            place = waiter.place
            yield _event("busy", BusyEvent(place=place))
        if waiter.draft:
            seen = MoodEvent.of(waiter.draft)
            if seen != mood and seen.sentiment:
                mood = seen
                yield _event("mood", seen)
            if waiter.draft.text != text:
                text = waiter.draft.text
                yield _event("draft", DraftEvent(id=waiter.draft.reply_id, text=text))


def _event(name: str, data: BaseModel) -> str:
    return f"event: {name}\ndata: {data.model_dump_json()}\n\n"
