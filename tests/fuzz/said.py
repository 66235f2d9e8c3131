"""Targets in the core: commands, settings, records of Redis, safety, the prompt; and what the HTTP API is sent."""

import contextlib
import json
import os
import tempfile
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from fastapi.exceptions import RequestValidationError
from hypothesis import example
from hypothesis import strategies as st
from pydantic import ValidationError

from channels.discord.settings import Discord
from channels.slack.settings import Slack
from channels.telegram.settings import Telegram
from channels.web.models import ChatRequest
from channels.web.problems import problem_of
from channels.web.settings import Web
from core import attachments, commands, remote, safety, settings
from core.dialogue import Address, PromptMessage, Tone, Turn
from core.errors import SettingsError
from core.events import Attachment, Draft, Heard, Letter, MessageEvent, Reply, event_of, reply_of
from core.prompt import build_prompt, refit, visible_turns
from core.settings import ROOT
from core.store.dead import _letter, _once_more, oldest
from core.store.inbox import read_turn
from core.store.parts import Sent
from core.store.workers import WorkerSign
from tests.fuzz.table import GROWING, HALF, LEAVES, TEXT, assert_steady, target

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PLAIN = Tone(name="plain", guidance="be plain")
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=8
)


@target(TEXT)
def command_lines(said: str) -> None:
    command = commands.parse(said)
    assert (command is not None) == (said.split(maxsplit=1)[:1] != [] and said.split()[0].lower() in SLASHED)
    assert commands.argument(said) == commands.argument(f" {said} ").strip()
    assert commands.argument(f"/help {said}") == said.strip()


SLASHED = {f"/{name}" for name in commands.TABLE}


@target(
    st.one_of(
        st.binary(max_size=60),
        JSON.map(lambda value: json.dumps(value).encode()),
        st.fixed_dictionaries({}, optional=dict.fromkeys(("message", "user", "id", "other", HALF), LEAVES | JSON)).map(
            lambda body: json.dumps(body).encode()
        ),
    )
)
def bodies_of_requests(body: bytes) -> None:
    """A body is a request or refused, and the refusal can be sent: it is JSON without half characters."""
    try:
        loaded = json.loads(body)
    except (ValueError, RecursionError):
        return
    try:
        ChatRequest.model_validate(loaded)
    except ValidationError as error:
        located = [{**item, "loc": ("body", *item["loc"])} for item in error.errors()]
        answer = problem_of(RequestValidationError(located)).response()
        assert answer.status_code == 422
        json.loads(answer.body)


ADDRESS = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(["http://", "https://", "HTTP://", "http:", "ftp://"]),
        st.sampled_from(["", "OPENAI_API_KEY@", "MY_API_KEY:@", "@", "a:b@", "[", "]"]) | st.text(max_size=3),
        st.sampled_from(["gpu-1", "[::1]", "[::1", "127.0.0.1", "\u2100", "a b", ""]) | st.text(max_size=4),
        st.sampled_from(["", ":8000", ":0", ":99999", ":-1", ":x", ":"]),
        st.sampled_from(["", "/v1", "/v1?a=b", "//", "\n"]),
        st.sampled_from(["", "#", "#Qwen/Qwen2.5", "#a#b"]) | st.text(max_size=3).map("#".__add__),
    ),
)
SECRET = "sk-7a5f3c"


@target(st.tuples(ADDRESS, st.integers(0, 60)))
def addresses_of_servers(drawn: tuple[str, int]) -> None:
    """An address is read or refused with ValueError, and a key that somebody wrote before its model is never told."""
    name, at = drawn
    with contextlib.suppress(ValueError):
        model = remote.parse(name)
        assert model.host
        assert model.model
        assert "@" not in model.url.partition("/")[2].partition("/")[0] or "@" in model.host
        assert isinstance(model.in_clear, bool)
    with_key, told = name[:at] + SECRET + name[at:], ""
    if remote.is_remote(with_key):
        try:
            remote.parse(with_key)
        except ValueError as error:
            told = str(error)
    assert SECRET not in told


TOML_VALUE = st.sampled_from(
    ["1", "-1", "0.5", "nan", "inf", "true", '""', '"x"', '"\\u0000"', "[]", '["a"]', "[[]]", "{}", "{a = 1}", "1e999",
     "9" * 30, "2026-01-01", "2026-01-01T00:00:00Z", '"http://a:b@c#d"', '"http://x"', "'''a\nb'''", "{name = 5}",
     "12:00:00"]
)  # fmt: skip
TOML_NAMES = sorted(
    {*settings.Settings.model_fields, *settings.CHANNEL_SECTIONS, "tone.warm", "tone.x", "models.big", "x"}
)
TOML_KEYS = sorted(
    {key for field in settings.Settings.model_fields.values() for key in getattr(field.annotation, "model_fields", {})}
    | {"name", "guidance", "valence", "model", "slack", "web:api", "web:", "port", "host", "a b", "", "webhook_url"}
)
TOML_LINE = st.one_of(
    st.builds(lambda name: f"[{name}]", st.sampled_from(TOML_NAMES)),
    st.builds(lambda key, value: f"{json.dumps(key)} = {value}", st.sampled_from(TOML_KEYS + TOML_NAMES), TOML_VALUE),
    st.text(max_size=5),
)
SHIPPED = (ROOT / "settings.toml").read_text("utf-8").splitlines()
SECTIONS: list[tuple[str, Any]] = [("web", Web), ("slack", Slack), ("telegram", Telegram), ("discord", Discord)]


ENV = st.one_of(
    st.sampled_from(
        [b"", b"REDIS_URL=redis://x\n", b"RAPPORT_WORKER__SERVES=x\n", b"RAPPORT_ROUTE={\n", b"RAPPORT_X__Y=1\n"]
    ),
    st.sampled_from([b"RAPPORT_INBOX__MAX_CHARS=\xff\n", b"RAPPORT_INBOX=5\n", b'RAPPORT_MODELS={"big": 1}\n']),
    st.binary(max_size=12),
)


@target(st.tuples(st.lists(TOML_LINE, max_size=6), st.integers(0, len(SHIPPED)), st.booleans(), ENV, ENV), examples=25)
def settings_files(drawn: tuple[list[str], int, bool, bytes, bytes]) -> None:
    """Settings are read or refused with a text that says where; nothing else comes of a file, whatever stands in it."""
    lines, kept, whole, env, raw = drawn
    file = "\n".join([*SHIPPED[:kept], *lines, *(SHIPPED[kept:] if whole else [])]).encode("utf-8", "surrogatepass")
    file += raw if len(raw) < 3 else b""
    name, section = SECTIONS[len(file) % len(SECTIONS)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "settings.toml")
        path.write_bytes(file)
        Path(folder, ".env").write_bytes(env)
        with mock.patch.dict(os.environ, {"RAPPORT_SETTINGS": str(path), "RAPPORT_ENV_FILE": f"{folder}/.env"}):
            for read in (settings.load, partial(settings.load_section, name, section), settings.variables):
                _forget()
                with contextlib.suppress(SettingsError):
                    read()
                _forget()


def _forget() -> None:
    settings.load.cache_clear()
    settings.load_section.cache_clear()


ADDRESSES = [Address(channel="web", space="ada"), Address(channel="slack", space="T/C", direct=False, thread="1.2")]
RECORDS: list[Any] = [
    MessageEvent(id="web:api:1:ada", address=ADDRESSES[0], user="ada", text="hi", sent_at=NOW),
    Reply(id="1", address=ADDRESSES[0], text="hi", in_reply_to=("a",), person="web:api:ada"),
    Turn(role="user", text="hi", at=NOW, address=ADDRESSES[1]),
    Letter(id="1-0", reason="gone", events=('{"id": "a"}',), written=NOW),
    Draft(reply_id="1", address=ADDRESSES[0], in_reply_to=("a",), text="h"),
    Heard(event_id="a", address=ADDRESSES[0], person="p"),
    Sent(message="1", at=NOW),
    WorkerSign(id="a", pid=1, host="h", ready=True),
]


@st.composite
def stored(draw: st.DrawFn) -> str:
    """Draw the JSON of a record, perhaps with something in it changed, or cut off."""
    fields = draw(st.sampled_from(RECORDS)).model_dump(mode="json")
    for _ in range(draw(st.integers(0, 3))):
        fields[draw(st.sampled_from([*fields, "newer"]))] = draw(LEAVES | JSON)
    raw = json.dumps(fields)
    return raw[: draw(st.integers(0, len(raw)))] if draw(st.booleans()) else raw


@target(st.one_of(stored(), TEXT, JSON.map(json.dumps)))
def records_of_redis(raw: str) -> None:
    """What a newer or broken release wrote is read or left out; it never stops who reads."""
    for read in (event_of, reply_of, read_turn):
        record = read(raw)
        assert record is None or type(record).model_validate_json(record.model_dump_json()) == record
    letter = _letter("1767225600000-0", raw)
    assert letter.at <= oldest(letter) or letter.events or letter.given_up or letter.written
    _once_more(raw)
    for kind in (Draft, Heard, Sent, WorkerSign):
        with contextlib.suppress(ValidationError):
            kind.model_validate_json(raw)


ATTACHMENT = st.builds(
    Attachment,
    kind=st.sampled_from(["image", "voice note", "audio", "file"]) | TEXT,
    name=st.none() | TEXT,
    seconds=st.none() | st.floats() | st.integers(-5, 100),
)


@target(st.lists(ATTACHMENT, min_size=1, max_size=4))
def attachments_in_words(given: list[Attachment]) -> None:
    for one in given:
        words = attachments.as_text(one)
        assert words[0] == "["
        assert words[-1] == "]"
    for alone in (True, False):
        told = attachments.confession(given, alone=alone)
        assert all((one.kind in told) or (one.kind == "audio") for one in given)


@target(TEXT)
def safety_of_what_is_said(text: str) -> None:
    """The filters answer to anything, in the same way to capitals and to invisible characters."""
    found = safety.crisis(text), safety.is_abuse(text)
    unseen = text.replace("i", "i\u200b")
    assert (safety.crisis(unseen), safety.is_abuse(unseen)) == found
    check = safety.ReplyCheck([text])
    check.fault(text)
    for end in range(0, len(text) + 1, 3):
        shown = check.shown(text[:end])
        assert shown is None or text.startswith(shown)
    assert check.fault(text) == safety.ReplyCheck([text]).fault(text)


@target(GROWING, examples=2)
@example(("", "\r\n", "x"))  # empty lines were looked through for a quote from each of them anew
def time_to_keep_people_safe(growing: tuple[str, str, str]) -> None:
    assert_steady(safety.crisis, growing)
    assert_steady(safety.is_abuse, growing)
    assert_steady(safety.ReplyCheck([]).fault, growing)
    assert_steady(safety.ReplyCheck([]).shown, growing)


TURN = st.builds(
    Turn,
    role=st.sampled_from(["user", "assistant", "break"]),
    text=TEXT,
    at=st.integers(0, 99).map(lambda hours: NOW + timedelta(hours=hours)),
    address=st.sampled_from(ADDRESSES),
    failed=st.booleans(),
)


def _words(messages: list[PromptMessage], tone: Tone) -> int:
    return sum(len(message.content) // 3 + 2 for message in messages)


@target(
    st.tuples(
        st.lists(TURN, max_size=12), TEXT, st.integers(0, 120), st.sampled_from(["", "You are Rapport."]), st.booleans()
    )
)
def prompts(drawn: tuple[list[Turn], str, int, str, bool]) -> None:
    """System first, then user and assistant in turn, the person's words last; never over the budget if that can be."""
    history, said, budget, persona, cut = drawn
    for address in ADDRESSES:
        turns = visible_turns(history, address)
        assert all(address.direct or turn.address == address for turn in turns)
        asked = build_prompt(
            persona=persona, tone=PLAIN, turns=turns, text=said, count_tokens=_words, budget=budget, cut=cut
        )
        roles = [message.role for message in asked.messages]
        assert roles[: len(roles) % 2 == 0] == ["system"] * bool(persona)
        assert all(role == ("user", "assistant")[at % 2] for at, role in enumerate(roles[bool(persona) :]))
        shortest = [PromptMessage(role="system", content=persona)] * bool(persona)
        shortest.append(PromptMessage(role="user", content=" ... "))
        fits = _words(list(asked.messages), PLAIN) <= budget
        assert fits or budget < _words(shortest, PLAIN)
        if fits:
            assert refit(asked, _words, budget) == asked
        smaller = refit(asked, _words, budget // 2)
        assert smaller.messages[-1].role == "user"
