"""A double of an OpenAI-compatible server: streamed chat completions, with the manners and the faults of real ones.

It speaks to the real client on loopback. Its model says what ``reply`` makes of the messages, a word at a time.
``python -m tests.platforms.openai TEXT PAUSE_S PORT`` runs one that always says this text, in a process of its own
that can be killed. It prints its port, which is free to choose if PORT is 0.
"""

import asyncio
import json
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web

from tests.platforms.base import Server

MODEL = "double/chat"
# busy: 429. broken: 500. loading: 503. invalid: 422, as FastAPI words it. drop: the connection is closed unanswered.
# hang: nothing is said until ``release``. For those below ``words`` are said first. cut: the connection breaks. fade:
# the stream ends as if nothing were wrong. garbage: what follows is no JSON. error: an error in the stream. stall: as
# hang. ping: as hang, with signs of life in between.
Kind = Literal[
    "busy", "broken", "loading", "invalid", "drop", "hang", "html", "cut", "fade", "garbage", "error", "stall", "ping"
]


@dataclass
class Fault:
    """What happens to one request; ``words`` as many as the reply has: after it. ``wait`` is what Retry-After says."""

    kind: Kind
    words: int = 0
    wait: str | None = None


@dataclass
class Manners:
    """What kind of server it is. Refusals are in the words of real ones.

    ``takes`` are the parameters it knows beside model and messages; ``context`` is in words; ``reason`` ends replies.
    """

    key: str = ""
    takes: frozenset[str] = frozenset({"stream", "stream_options", "max_tokens", "temperature", "top_p"})
    system: bool = True
    any_name: bool = False
    context: int | None = None
    told_context: int | None = None
    reason: str | None = "stop"
    lists_models: bool = True
    tells_usage: bool = True


@dataclass
class Seen:
    """One chat completion that was asked for, and whether whoever asked went away before its end."""

    body: dict[str, Any]
    authorization: str
    left: bool = False
    done: bool = field(default=False)


class OpenAIDouble(Server):
    """The server. Each request meets the first of ``faults``, if there is one."""

    def __init__(self) -> None:
        super().__init__()
        self.manners = Manners()
        self.faults: list[Fault] = []
        self.seen: list[Seen] = []
        self.reply: Callable[[list[dict[str, str]]], str] = lambda messages: f"you said {len(messages)} things"
        self.open = threading.Event()  # while it is not set, replies stop after ``hold_after`` words
        self.open.set()
        self.hold_after = 1
        self.drip_s = 0.0  # between words

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def name(self) -> str:
        """The name of its model in the settings."""
        return f"{self.url}#{MODEL}"

    def release(self) -> None:
        """Let go on whatever hangs, stalls or is held."""
        self.open.set()

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._complete)
        app.router.add_get("/v1/models", self._models)
        return app

    async def _models(self, request: web.Request) -> web.Response:
        if refused := self._refuse_key(request):
            return refused
        if not self.manners.lists_models:
            raise web.HTTPNotFound
        told = {"max_model_len": self.manners.told_context} if self.manners.told_context else {}
        return web.json_response({"object": "list", "data": [{"id": MODEL, "object": "model", **told}]})

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        seen = Seen(body, request.headers.get("authorization", ""))
        self.seen.append(seen)
        if refused := self._refuse_key(request) or self._refuse(body):
            return refused
        fault = self.faults.pop(0) if self.faults else None
        if fault and (early := await self._meet(fault, request, seen)):
            return early
        return await self._stream(request, seen, fault)

    def _refuse_key(self, request: web.Request) -> web.Response | None:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self.manners.key and given != self.manners.key:
            return _error(401, f"Incorrect API key provided: {given}.", "invalid_api_key")  # as some do: in full
        return None

    def _refuse(self, body: dict[str, Any]) -> web.Response | None:
        manners, messages = self.manners, body["messages"]
        if body["model"] != MODEL and not manners.any_name:
            return _error(404, f"The model `{body['model']}` does not exist.", "model_not_found")
        for name in body.keys() - {"model", "messages"} - manners.takes:
            instead = " Use 'max_completion_tokens' instead." if name == "max_tokens" else ""
            text = f"Unsupported parameter: '{name}' is not supported with this model.{instead}"
            return _error(400, text, "unsupported_parameter", param=name)
        if not manners.system and messages[0]["role"] == "system":
            return _error(400, "System role not supported", None)
        words = sum(len(message["content"].split()) for message in messages)
        if manners.context and words > manners.context:
            text = f"This model's maximum context length is {manners.context} tokens. However, you requested {words}."
            return _error(400, text, 400)
        return None

    async def _meet(self, fault: Fault, request: web.Request, seen: Seen) -> web.StreamResponse | None:
        if fault.kind == "drop":
            assert request.transport
            request.transport.abort()
        if fault.kind == "hang":
            await self._wait(request, seen)
        if fault.kind == "html":
            return web.Response(text="<html>Sign in to the network</html>", content_type="text/html")
        if fault.kind == "invalid":
            detail = [{"loc": ["body", "messages"], "msg": "Input should be shorter", "input": seen.body["messages"]}]
            return web.json_response({"detail": detail}, status=422)
        status = {"busy": 429, "broken": 500, "loading": 503}.get(fault.kind)
        if status is None:
            return None
        return _error(status, f"I am {fault.kind}", None, headers={"retry-after": fault.wait} if fault.wait else {})

    async def _stream(self, request: web.Request, seen: Seen, fault: Fault | None) -> web.StreamResponse:
        words = self.reply(seen.body["messages"]).split(" ")
        limit = seen.body.get("max_tokens") or seen.body.get("max_completion_tokens") or len(words)
        reason = self.manners.reason if len(words) <= limit else "length"
        words = words[:limit]
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        try:
            await response.prepare(request)
            await _send(response, _chunk({"role": "assistant", "content": ""}))
            for at, word in enumerate(words):
                if fault and at == fault.words:
                    await self._break(fault, request, response, seen)
                    if fault.kind != "stall":
                        return response
                if at == self.hold_after:
                    await self._wait(request, seen)
                await _send(response, _chunk({"content": word if at == 0 else f" {word}"}))
                await asyncio.sleep(self.drip_s)
            await _send(response, _chunk({}, reason))
            if fault and fault.words == len(words):
                await self._break(fault, request, response, seen)
                return response
            if self.manners.tells_usage and "stream_options" in seen.body:
                await _send(response, {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": len(words)}})
            await response.write(b"data: [DONE]\n\n")
            seen.done = True
        except (ConnectionError, asyncio.CancelledError):
            seen.left = True
        return response

    async def _break(self, fault: Fault, request: web.Request, response: web.StreamResponse, seen: Seen) -> None:
        if fault.kind == "stall":
            await self._wait(request, seen)
        elif fault.kind == "ping":
            while not self.open.is_set():
                await response.write(b": PROCESSING\n\n")
                await asyncio.sleep(0.02)
        elif fault.kind == "cut":
            assert request.transport
            request.transport.abort()
        elif fault.kind == "garbage":
            await response.write(b"data: {not json\n\n")
        elif fault.kind == "error":
            await _send(response, {"error": {"message": "the engine died", "type": "internal"}})

    async def _wait(self, request: web.Request, seen: Seen) -> None:
        """Wait to be opened, and notice when nobody waits for us any more."""
        while not self.open.is_set():
            if request.transport is None or request.transport.is_closing():
                seen.left = True
                raise ConnectionError
            await asyncio.sleep(0.005)


def _error(
    status: int, text: str, code: str | int | None, param: str | None = None, headers: dict[str, str] | None = None
) -> web.Response:
    error = {"message": text, "type": "error", "code": code, "param": param}
    return web.json_response({"error": error}, status=status, headers=headers)


def _chunk(delta: dict[str, str], reason: str | None = None) -> dict[str, Any]:
    return {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}


async def _send(response: web.StreamResponse, body: dict[str, Any]) -> None:
    await response.write(f"data: {json.dumps(body)}\n\n".encode())


if __name__ == "__main__":
    text, pause_s, wanted_port = sys.argv[1:]
    double = OpenAIDouble()
    double.reply = lambda messages: text
    double.drip_s = float(pause_s)
    double.port = int(wanted_port)
    double.start()
    print(double.port, flush=True)
    threading.Event().wait()
