"""A server that fails: what is tried again and what is told. How long it is left alone: see test_remote_faults.py."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from core.errors import EngineFull, GenerationFailed, ModelMissing, RapportError
from core.sections import Generation
from tests.platforms.openai import Fault, OpenAIDouble
from tests.workers.engine.tiny import prompt
from workers.engine import remote_faults
from workers.engine.remote import RemoteEngine
from workers.engine.remote_faults import PATIENCE_S, TRIES

WAIT_S = 30.0
SAID = "it is all right"
KEY = "sk-very-secret-0123456789"


@pytest.fixture
def server() -> Iterator[OpenAIDouble]:
    double = OpenAIDouble()
    double.start()
    double.reply = lambda messages: SAID
    yield double
    double.release()
    double.stop()


@contextmanager
def asking(server: OpenAIDouble, name: str = "", **settings: object) -> Iterator[RemoteEngine]:
    engine = RemoteEngine(name or server.name, Generation.model_validate({"max_new_tokens": 40, **settings}))
    try:
        yield engine
    finally:
        engine.close()


def answer(engine: RemoteEngine, seen: Callable[[str], None] | None = None) -> str:
    return engine.submit(prompt("hello"), seen).result(WAIT_S).text


def refusal(engine: RemoteEngine) -> str:
    with pytest.raises(GenerationFailed) as caught:
        answer(engine)
    return str(caught.value)


@pytest.mark.parametrize("fault", [Fault("busy", wait="0"), Fault("broken"), Fault("loading"), Fault("drop")])
def test_what_passes_is_tried_again(server: OpenAIDouble, fault: Fault) -> None:
    server.faults = [fault]
    with asking(server) as engine:
        assert answer(engine) == SAID
        assert len(server.seen) == 2


def test_a_retry_waits_as_long_as_the_server_says(server: OpenAIDouble) -> None:
    server.faults = [Fault("busy", wait="0.4")]
    with asking(server) as engine:
        began = time.monotonic()
        assert answer(engine) == SAID
    assert time.monotonic() - began >= 0.4


@pytest.mark.parametrize("kind", ["busy", "broken", "loading"])
def test_tries_have_an_end(server: OpenAIDouble, kind: str) -> None:
    server.faults = [Fault(kind, wait="0") for _ in range(TRIES)]  # type: ignore[arg-type]
    with asking(server) as engine, pytest.raises(EngineFull if kind == "busy" else GenerationFailed, match=kind):
        answer(engine)
    assert len(server.seen) == TRIES


def test_who_demands_a_long_wait_is_not_waited_for(server: OpenAIDouble) -> None:
    server.faults = [Fault("busy", wait=str(PATIENCE_S * 10))]
    with asking(server) as engine:
        for _ in range(2):
            with pytest.raises(EngineFull):
                answer(engine)
        assert len(server.seen) == 1  # the second was turned away by us


@pytest.mark.parametrize("kind", ["cut", "fade", "garbage", "error"])
def test_a_reply_that_breaks_off_fails_and_nothing_is_said_twice(server: OpenAIDouble, kind: str) -> None:
    server.faults = [Fault(kind, words=2)]  # type: ignore[arg-type]
    with asking(server) as engine:
        seen: list[str] = []
        with pytest.raises(GenerationFailed):
            answer(engine, seen.append)
        assert seen == ["it", "it is"]
        assert len(server.seen) == 1
        assert answer(engine) == SAID  # it fails alone


@pytest.mark.parametrize("kind", ["cut", "fade", "garbage", "stall"])
def test_what_goes_wrong_after_the_end_of_a_reply_takes_nothing_of_it(server: OpenAIDouble, kind: str) -> None:
    server.open.clear()
    server.hold_after = 99
    server.faults = [Fault(kind, words=len(SAID.split()))]  # type: ignore[arg-type]
    with asking(server) as engine:
        done = engine.submit(prompt("hello")).result(WAIT_S)
    assert (done.text, done.finish_reason) == (SAID, "stop")


@pytest.mark.parametrize("kind", ["html", "garbage", "error", "fade"])
def test_an_answer_that_is_none_fails(server: OpenAIDouble, kind: str) -> None:
    server.faults = [Fault(kind)]  # type: ignore[arg-type]
    with asking(server) as engine:
        assert "127.0.0.1" in refusal(engine)
        assert answer(engine) == SAID


def test_a_filtered_reply_fails(server: OpenAIDouble) -> None:
    server.manners.reason = "content_filter"
    with asking(server) as engine:
        assert "filter" in refusal(engine)


@pytest.mark.parametrize(("kind", "words"), [("hang", 0), ("stall", 1), ("ping", 0)])
def test_silence_is_not_waited_for_to_the_end(server: OpenAIDouble, kind: str, words: int) -> None:
    server.open.clear()
    server.hold_after = 99
    server.faults = [Fault(kind, words=words)]  # type: ignore[arg-type]
    with asking(server, timeout_s=1.0) as engine:
        assert "in time" in refusal(engine)
    assert len(server.seen) == 1


def test_a_place_is_not_waited_for_to_the_end(server: OpenAIDouble) -> None:
    server.drip_s = 0.1
    server.reply = lambda messages: "word " * 100
    with asking(server, timeout_s=1.0, batch=1) as engine:
        first, second = engine.submit(prompt("hello")), engine.submit(prompt("hello"))
        with pytest.raises(EngineFull, match="no place"):
            second.result(WAIT_S)
        assert not first.done, "time is left for another engine"
        assert first.result(WAIT_S).finish_reason == "timeout"
    assert len(server.seen) == 1


def test_a_dead_server_is_not_asked_again_for_a_while(server: OpenAIDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    dead = OpenAIDouble()
    dead.start()
    name = dead.name
    dead.stop()
    with asking(server, name) as engine:
        assert "cannot be reached" in refusal(engine)
        with pytest.raises(GenerationFailed, match="left alone"):
            engine.submit(prompt("hello"))
    monkeypatch.setattr(remote_faults, "FIRST_REST_S", 0.0)
    with asking(server) as engine:
        server.faults = [Fault("loading", wait="0") for _ in range(TRIES)]
        assert "not ready" in refusal(engine)
        assert answer(engine) == SAID


@pytest.mark.parametrize("kind", ["broken", "garbage"])
def test_one_request_that_fails_closes_the_way_to_nobody(server: OpenAIDouble, kind: str) -> None:
    server.faults = [Fault(kind, wait="0") for _ in range(TRIES if kind == "broken" else 1)]  # type: ignore[arg-type]
    with asking(server) as engine:
        refusal(engine)
        assert answer(engine) == SAID


def test_parameters_that_a_server_does_not_take_are_left_out(server: OpenAIDouble) -> None:
    server.manners.takes = frozenset({"stream", "max_completion_tokens"})
    with asking(server) as engine:
        assert answer(engine) == SAID
        asked = len(server.seen)
        assert answer(engine) == SAID
        assert len(server.seen) == asked + 1  # learnt
    assert server.seen[-1].body["max_completion_tokens"] == 40


def test_a_server_without_a_system_role_hears_the_persona_from_the_person(server: OpenAIDouble) -> None:
    server.manners.system = False
    with asking(server) as engine:
        engine.submit(prompt("hello", system="You are Rapport.")).result(WAIT_S)
    (said,) = server.seen[-1].body["messages"]
    assert said["role"] == "user"
    assert said["content"].startswith("You are Rapport.\n\nhello\n\n")


def test_what_is_left_out_for_one_request_in_vain_is_not_left_out_for_others(server: OpenAIDouble) -> None:
    server.manners.takes = frozenset({"stream", "stream_options", "max_tokens", "top_p"})  # temperature
    server.manners.context = 1
    with asking(server) as engine:
        with pytest.raises(RapportError):
            answer(engine)
        server.manners = type(server.manners)()
        assert answer(engine) == SAID
    assert "temperature" in server.seen[-1].body


@pytest.mark.parametrize(
    ("key", "words"), [("", "wants a key. Set OPENAI_API_KEY"), ("wrong-key-1", "refuses the key")]
)
def test_a_refused_key_is_told_with_what_to_do(
    server: OpenAIDouble, key: str, words: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("OPENAI_API_KEY", key)
    server.manners.key = KEY
    with asking(server) as engine:
        with pytest.raises(ModelMissing, match=words) as caught:
            engine.check()
        assert "left alone" in refusal(engine)
    told = f"{caught.value} {caplog.text}"
    assert not key or key not in told


def test_the_key_is_sent_to_its_own_server_and_told_to_nobody(
    server: OpenAIDouble, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-another-server")
    monkeypatch.setenv("GPU_API_KEY", KEY)
    server.manners.key = KEY
    with asking(server, server.name.replace("http://", "http://GPU_API_KEY@")) as engine:
        engine.check()
        server.faults = [Fault("garbage")]
        refusal(engine)
        assert answer(engine) == SAID
        assert KEY not in repr(vars(engine.server))
    assert {one.authorization for one in server.seen} == {f"Bearer {KEY}"}
    assert KEY not in caplog.text
    assert "127.0.0.1" in engine.server.host


def test_what_people_write_is_not_told_with_an_error(server: OpenAIDouble, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    server.faults = [Fault("invalid")]
    with asking(server) as engine, pytest.raises(GenerationFailed, match="should be shorter") as caught:
        engine.submit(prompt("my temperature is secret")).result(WAIT_S)
    assert "secret" not in f"{caught.value} {caplog.text}"


def test_what_a_server_says_of_the_key_is_not_repeated(server: OpenAIDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "double")  # stands in the name of the model, which a 404 repeats
    with asking(server, server.name + "-none") as engine:
        assert "`[secret]/chat-none`" in refusal(engine)


def test_an_unknown_model_is_told_with_those_that_are_there(server: OpenAIDouble) -> None:
    with asking(server, server.name + "-none") as engine, pytest.raises(ModelMissing) as caught:
        engine.check()
    assert 'it has no model "double/chat-none"' in str(caught.value)
    assert "[generation]" not in str(caught.value), "it may stand in another section"
    assert str(caught.value).endswith("It serves: double/chat.")


def test_a_wrong_path_is_told(server: OpenAIDouble) -> None:
    with asking(server, server.name.replace("/v1", "")) as engine, pytest.raises(ModelMissing, match="most end in /v1"):
        engine.check()


def test_a_server_without_a_list_of_models_will_do(server: OpenAIDouble) -> None:
    server.manners.lists_models = False
    with asking(server) as engine:
        engine.check()
        assert engine.context_tokens == 4096


def test_a_check_takes_over_the_context_that_the_server_tells(server: OpenAIDouble) -> None:
    server.manners.told_context = 100
    with asking(server, max_new_tokens=80) as engine:
        engine.check()
        assert (engine.context_tokens, engine.max_new_tokens, engine.prompt_tokens) == (100, 50, 50)
    server.manners.told_context = 100_000
    with asking(server) as engine:
        engine.check()
        assert engine.context_tokens == 4096
    assert [one.body["max_tokens"] for one in server.seen] == [1, 1]


def test_the_only_model_of_a_server_is_ours_under_any_name(server: OpenAIDouble) -> None:
    server.manners.told_context, server.manners.any_name = 100, True
    with asking(server, server.url + "#whatever") as engine:
        engine.check()
        assert engine.context_tokens == 100
        assert answer(engine) == SAID


def test_a_check_has_an_end(server: OpenAIDouble) -> None:
    server.open.clear()
    server.faults = [Fault("hang")]
    with asking(server) as engine, pytest.raises(GenerationFailed, match="did not answer within"):
        engine.check(0.2)


def test_a_busy_server_is_no_broken_one(server: OpenAIDouble) -> None:
    server.faults = [Fault("busy", wait="60")]
    with asking(server) as engine, pytest.raises(EngineFull):
        engine.check()
