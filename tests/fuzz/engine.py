"""Targets in the worker: how a prompt becomes ids, how ids become text, and what a remote server may answer."""

import contextlib
import itertools
import json
import re
import threading
from collections.abc import Iterator
from functools import cache, partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import openai
import regex
from hypothesis import strategies as st

from core.dialogue import PromptMessage
from core.errors import EngineError, GenerationFailed
from core.remote import parse
from core.sections import Generation
from tests.fuzz.table import GROWING, LEAVES, TEXT, assert_steady, target
from tests.workers.engine import tiny
from workers.engine import remote_faults
from workers.engine.prompting import NOTE_OPEN, PersonaRenderer, TemplateRenderer
from workers.engine.remote import RemoteEngine
from workers.engine.shaping import defused, shaped
from workers.engine.streaming import ReplyText

PERSONAS = tiny.tokenizer(["<s>", "<pad>", "</s>"], "</s>", "<pad>", "<s>", None)
STARTER = tiny.starter_tokenizer()
RENDERERS = {
    "starter": TemplateRenderer(STARTER),
    "chatml": TemplateRenderer(tiny.chatml_tokenizer()),
    "strict": TemplateRenderer(tiny.strict_tokenizer()),
    "personas": PersonaRenderer(PERSONAS, 64),
}
MARKERS = [
    "<|",
    "|>",
    "im_start",
    "im_end",
    "end",
    "[",
    "]",
    "/INST",
    "<<SYS>>",
    "<start_of_turn>",
    NOTE_OPEN,
    "system",
]
HOSTILE = st.lists(st.one_of(st.sampled_from(MARKERS), TEXT), max_size=8).map("".join)
KEY = "sk-of-this-test"


@target(st.lists(HOSTILE, min_size=1, max_size=5))
def prompts_as_ids(texts: list[str]) -> None:
    """No words of people become a control token, and the count is that of the ids; or the prompt is refused."""
    texts = texts[: len(texts) - 1 + len(texts) % 2]
    asked, harmless = tiny.prompt(*texts), tiny.prompt(*("x" for _ in texts))
    for name, renderer in RENDERERS.items():
        with contextlib.suppress(GenerationFailed):
            ids = renderer.ids(asked.messages, asked.tone)
            controls = [token for token in ids if token in renderer._control_ids]
            if name != "personas":  # which leaves old turns out
                plain = renderer.ids(harmless.messages, harmless.tone)
                assert controls == [token for token in plain if token in renderer._control_ids]
            assert renderer.count(asked.messages, asked.tone) == len(ids)


@target(st.lists(st.tuples(st.sampled_from(["system", "user", "assistant"]), HOSTILE), min_size=1, max_size=6))
def prompts_as_others_want_them(rows: list[tuple[Any, str]]) -> None:
    messages = [PromptMessage(role=role, content=text) for role, text in rows]
    for system in (True, False):
        roles = [one.role for one in shaped(messages, tiny.PLAIN, system=system, reply_first=False)]
        assert all(one != other for one, other in itertools.pairwise(roles))
        assert system or "system" not in roles
    for message in messages:
        safe = defused(message.content)
        assert defused(safe) == safe
        assert "".join(safe.split()) == "".join(message.content.split())
        assert not re.search(r"<\|\w+\|>|\[/?INST\]|</s>", safe)


STOPS = st.sampled_from([(), ("END",), ("\n\n", "EN<|"), ("a",), ("👍🏽",), ("</s>", "|")])


@target(st.tuples(TEXT, st.lists(st.integers(0, len(STARTER) - 1), max_size=12), STOPS))
def replies_as_they_grow(drawn: tuple[str, list[int], tuple[str, ...]]) -> None:
    """Shown is whole signs of the beginning of what the reply becomes, never a stop string or a part of one."""
    text, noise, stop = drawn
    shown: list[str] = []
    reply = ReplyText(STARTER, stop, shown.append)
    for token in [*STARTER(text, add_special_tokens=False)["input_ids"], *noise]:
        if reply.take(token):
            break
    before = list(shown)
    whole = reply.end()
    ends = {found.end() for found in regex.finditer(r"\X", whole)}
    assert not any(one in whole for one in stop)
    assert all(whole.startswith(one) for one in before)
    assert stop or "\ufffd" in whole or all(len(one) in ends for one in before)


@target(
    st.tuples(
        st.integers(400, 599),
        st.dictionaries(
            st.sampled_from(["error", "message", "detail", "code", "type", "param"]),
            LEAVES
            | st.lists(LEAVES, max_size=2)
            | st.dictionaries(st.sampled_from(["message", "code", "type", "msg", "loc"]), LEAVES, max_size=4),
            max_size=4,
        ),
        TEXT,
    )
)
def refusals_of_a_server(drawn: tuple[int, dict[str, Any], str]) -> None:
    """A refusal is understood, whatever it holds; its text is short and never has the key."""
    status, body, wait = drawn
    if "message" in body:
        body["message"] = f"{body['message']} {KEY}"
    answer = httpx.Response(
        status,
        content=json.dumps(body).encode(),
        headers={
            "retry-after": wait.encode("utf-8", "replace").replace(b"\n", b"").replace(b"\r", b"").replace(b"\0", b"")
        },
        request=httpx.Request("POST", "http://gpu-1/v1"),
    )
    client = openai.OpenAI(api_key=KEY, base_url="http://gpu-1/v1")
    fault = remote_faults.understand(client._make_status_error_from_response(answer), parse("http://gpu-1/v1#m"), KEY)
    assert KEY not in fault.text
    assert len(fault.text) < 600
    assert fault.wait_s is None or fault.wait_s >= 0
    for tries in range(1, 4):
        pause = fault.pause_s(tries)
        assert pause is None or 0 <= pause <= remote_faults.PATIENCE_S
    assert isinstance(fault.error(), EngineError)


class _Said(BaseHTTPRequestHandler):
    """Answers every request with what the test put there."""

    body = b""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self.wfile.write(type(self).body)

    def log_message(self, *_: Any) -> None:
        pass


@cache
def _server() -> ThreadingHTTPServer:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Said)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


CHUNK = st.fixed_dictionaries(
    {},
    optional={
        "id": LEAVES,
        "choices": st.lists(
            st.fixed_dictionaries(
                {},
                optional={
                    "index": LEAVES,
                    "delta": st.fixed_dictionaries({}, optional={"content": TEXT | LEAVES}) | LEAVES,
                    "finish_reason": st.sampled_from(["stop", "length", "content_filter", None, "x"]) | LEAVES,
                },
            )
            | LEAVES,
            max_size=2,
        )
        | LEAVES,
        "usage": st.dictionaries(st.sampled_from(["prompt_tokens", "completion_tokens"]), LEAVES) | LEAVES,
        "error": LEAVES,
    },
)
LINE = st.one_of(
    CHUNK.map(lambda chunk: b"data: " + json.dumps(chunk).encode() + b"\n\n"),
    TEXT.map(lambda text: b"data: " + json.dumps({"choices": [{"delta": {"content": text}}]}).encode() + b"\n\n"),
    st.sampled_from(
        [b"data: [DONE]\n\n", b": ping\n\n", b"event: error\n", b"data:\n\n", b"\n", b"data: {", b"\r\r", b"id: 1\n"]
    ),
    st.just(b'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\n'),
    st.binary(max_size=12),
)


@contextlib.contextmanager
def _engine() -> Iterator[RemoteEngine]:
    name = f"http://127.0.0.1:{_server().server_port}/v1#m"
    engine = RemoteEngine(name, Generation(max_new_tokens=40, timeout_s=20))
    try:
        yield engine
    finally:
        engine.close()


@target(st.lists(LINE, max_size=8), examples=15)
def replies_of_a_server(lines: list[bytes]) -> None:
    """A stream becomes a reply or an error of ours, and what was shown last is the reply."""
    _Said.body = b"".join(lines)
    shown: list[str] = []
    with _engine() as engine, contextlib.suppress(EngineError):
        done = engine.submit(tiny.prompt("hi"), shown.append).result(30)
        assert done.text
        assert shown[-1] == done.text
        assert done.finish_reason in ("stop", "length")
        assert done.model_dump_json()


@target(GROWING, examples=2)
def time_to_write_a_prompt(growing: tuple[str, str, str]) -> None:
    assert_steady(defused, growing)
    for renderer in RENDERERS.values():
        assert_steady(partial(_defuse, renderer), growing)


def _defuse(renderer: Any, text: str) -> None:
    with contextlib.suppress(GenerationFailed):
        renderer.defuse(text)
