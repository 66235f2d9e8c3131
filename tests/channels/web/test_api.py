"""Each endpoint over a real socket, with a real Redis, runner and worker runtime behind it."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from core import commands
from core.dialogue import Prompt
from core.store import WorkerSign, keys
from tests.channels.web.stack import Stack
from tests.waiting import eventually

OnText = Callable[[str], None]
MakeStack = Callable[..., Stack]


def ask(client: httpx.Client, user: str, message: str, **more: str) -> httpx.Response:
    return client.post("/chat", json={"message": message, "user": user} | more)


def texts(client: httpx.Client, user: str) -> list[str]:
    return [entry["text"] for entry in client.get("/history", params={"user": user}).json()]


def events(lines: Iterator[str]) -> Iterator[tuple[str, Any]]:
    """Yield the events of a stream; comments have no name."""
    name = ""
    for line in lines:
        if line.startswith(":"):
            yield "comment", line
        elif line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


def test_a_reply_comes_with_its_mood_and_tone(client: httpx.Client) -> None:
    answer = ask(client, "ada", "my order is late")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert body.pop("id")
    assert body == {
        "response": "you said my order is late",
        "sentiment": {
            "label": "negative",
            "scores": {"negative": 0.9, "neutral": 0.08, "positive": 0.02},
            "valence": pytest.approx(-0.88),
        },
        "tone": "empathetic",
        "finish_reason": "stop",
    }


def test_a_command_has_no_mood(client: httpx.Client) -> None:
    body = ask(client, "bob", "/help").json()
    assert "/forget" in body["response"]
    assert (body["sentiment"], body["tone"], body["finish_reason"]) == (None, None, "command")


def test_the_history_shows_what_was_said(client: httpx.Client) -> None:
    assert client.get("/history", params={"user": "cleo"}).json() == []
    ask(client, "cleo", "good morning")
    ask(client, "cleo", "/new")
    said, answered, fresh = client.get("/history", params={"user": "cleo"}).json()
    assert (said["role"], said["text"], said["sentiment"], said["tone"]) == ("user", "good morning", "positive", None)
    assert (answered["role"], answered["sentiment"]) == ("assistant", None)
    assert answered["tone"] == "cheerful"
    assert said["at"] < answered["at"]
    assert fresh["role"] == "break"


def test_the_stream_tells_mood_drafts_and_reply_in_this_order(stack: Stack, client: httpx.Client) -> None:
    go_on = threading.Event()

    def script(prompt: Prompt, on_text: OnText, cancelled: threading.Event) -> str:
        on_text("One ")
        go_on.wait(20)
        on_text("One two ")
        return "One two three."

    stack.script = script
    with client.stream("POST", "/chat/stream", json={"message": "I am so happy", "user": "dora"}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["x-accel-buffering"] == "no"
        assert "no-transform" in answer.headers["cache-control"]
        seen = events(answer.iter_lines())
        assert next(seen)[0] == "comment"
        name, mood = next(seen)
        assert (name, mood["sentiment"]["label"], mood["tone"]) == ("mood", "positive", "cheerful")
        assert next(seen) == ("draft", {"id": mood["id"], "text": "One"})
        go_on.set()  # all of the above came while the reply was still being written
        rest = list(seen)
    assert rest[-1][0] == "reply"
    assert rest[-1][1]["response"] == "One two three."
    assert rest[-1][1]["id"] == mood["id"]
    assert {name for name, _ in rest[:-1]} <= {"draft"}


def test_stop_ends_a_reply_that_is_being_written(stack: Stack, client: httpx.Client) -> None:
    writing = threading.Event()

    def script(prompt: Prompt, on_text: OnText, cancelled: threading.Event) -> str:
        writing.set()
        cancelled.wait(20)
        return "as far as I came"

    stack.script = script
    with ThreadPoolExecutor() as pool:
        first = pool.submit(ask, client, "emil", "tell me everything")
        assert writing.wait(20)
        assert ask(client, "emil", "/stop").json()["response"] == "Okay, I stopped."
        assert first.result().json()["finish_reason"] == "cancelled"


def test_a_client_that_leaves_is_not_waited_for(stack: Stack, client: httpx.Client) -> None:
    gone = threading.Event()

    def script(prompt: Prompt, on_text: OnText, cancelled: threading.Event) -> str:
        on_text("Well ")
        gone.wait(20)
        return "Well, hello."

    stack.script = script
    with client.stream("POST", "/chat/stream", json={"message": "hello", "user": "finn"}) as answer:
        assert any(name == "draft" for name, _ in events(answer.iter_lines()))
    eventually(lambda: stack.waiting() == 0)
    gone.set()
    eventually(lambda: texts(client, "finn") == ["hello", "Well, hello."])


def test_an_idle_stream_is_kept_open(stack: Stack, client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("channels.web.stream.PING_S", 0.05)
    pinged = threading.Event()
    stack.script = lambda prompt, on_text, cancelled: str(pinged.wait(20))
    with client.stream("POST", "/chat/stream", json={"message": "hello", "user": "gina"}) as answer:
        seen = []
        for name, _ in events(answer.iter_lines()):
            seen.append(name)
            if seen[-2:] == ["comment", "comment"]:
                pinged.set()
    assert seen[-1] == "reply"


def test_messages_in_a_burst_share_one_reply(make_stack: MakeStack) -> None:
    stack = make_stack()
    with stack.client() as client, ThreadPoolExecutor() as pool:
        first = pool.submit(ask, client, "hugo", "one")
        eventually(lambda: stack.store.redis.llen(keys.inbox("web:api:hugo")) == 1)
        second = pool.submit(ask, client, "hugo", "two")
        eventually(lambda: stack.store.redis.llen(keys.inbox("web:api:hugo")) == 2)
        stack.start_worker()
        assert first.result().json() == second.result().json()
        assert first.result().json()["response"] == "you said one\ntwo"


def test_a_repeated_message_is_not_answered_twice(stack: Stack, client: httpx.Client) -> None:
    assert ask(client, "ida", "hello", id="k1").status_code == 200
    again = ask(client, "ida", "hello", id="k1")
    assert again.status_code == 409
    assert again.json()["error"]["code"] == "answered"
    assert "GET /history?user=ida" in again.json()["error"]["message"]
    assert texts(client, "ida") == ["hello", "you said hello"]


def test_a_repeat_of_what_an_earlier_process_answered_does_not_wait_in_vain(make_stack: MakeStack) -> None:
    stack = make_stack()
    with stack.client() as client:
        stack.start_worker()
        assert ask(client, "ida", "hello", id="k1").status_code == 200
        stack.adapter._room._answered.clear()  # as after a restart
        eventually(lambda: not stack.store.redis.xlen(keys.outbox("web")))
        again = ask(client, "ida", "hello", id="k1")
        assert (again.status_code, again.json()["error"]["code"]) == (409, "answered")
        assert texts(client, "ida") == ["hello", "you said hello"]


def test_a_message_repeated_while_it_waits_gets_the_same_reply(make_stack: MakeStack) -> None:
    stack = make_stack()
    with stack.client() as client, ThreadPoolExecutor() as pool:
        both = [pool.submit(ask, client, "jon", "hello", id="k1") for _ in range(2)]
        eventually(lambda: stack.waiting() == 2)
        stack.start_worker()
        assert both[0].result().json() == both[1].result().json()
        assert texts(client, "jon") == ["hello", "you said hello"]


def test_the_same_id_of_another_person_is_another_message(client: httpx.Client) -> None:
    assert ask(client, "kim", "secret of kim", id="same").status_code == 200
    assert ask(client, "lea", "hello", id="same").json()["response"] == "you said hello"


def test_a_reply_for_which_nobody_waits_is_in_the_history(make_stack: MakeStack) -> None:
    stack = make_stack(reply_timeout_s=0.1)
    with stack.client() as client:
        late = ask(client, "mia", "hello")
        assert late.status_code == 504
        assert late.json()["error"]["code"] == "timeout"
        assert "GET /history?user=mia. Only a command's does not" in late.json()["error"]["message"]
        with client.stream("POST", "/chat/stream", json={"message": "still there?", "user": "mia"}) as answer:
            *_, (name, last) = events(answer.iter_lines())
        assert (name, last["error"]["code"]) == ("error", "timeout")
        stack.start_worker()
        eventually(lambda: texts(client, "mia") == ["hello\nstill there?", "you said hello\nstill there?"])
        # Delivered for good: nothing is left to send, nothing is a dead letter.
        eventually(lambda: stack.store.redis.xlen(keys.outbox("web")) == 0)
        assert not stack.store.letters.all()


def test_who_waits_when_the_channel_ends_is_told_where_the_answer_will_be(make_stack: MakeStack) -> None:
    stack = make_stack()
    with stack.client() as client, ThreadPoolExecutor() as pool:
        asked = pool.submit(ask, client, "noa", "hello")
        eventually(lambda: stack.waiting() == 1)
        stack.stop_channel()
        assert asked.result().status_code == 503
        assert asked.result().json()["error"]["code"] == "stopping"
        assert "GET /history?user=noa. Only a command's does not" in asked.result().json()["error"]["message"]


def test_the_commands_are_those_of_the_table(client: httpx.Client) -> None:
    about = client.get("/commands").json()
    assert about["bot"] == "Rapport"
    assert {entry["name"]: entry["summary"] for entry in about["commands"]} == {
        command.name: command.summary for command in commands.TABLE.values()
    }


def test_ready_means_that_a_worker_lives(make_stack: MakeStack) -> None:
    stack = make_stack()
    with stack.client() as client:
        assert client.get("/healthz").json() == {"status": "alive"}
        none = client.get("/readyz")
        assert none.status_code == 503
        assert none.json() == {"status": "not ready", "redis": "reachable", "workers": 0}
        stack.start_worker()
        eventually(lambda: client.get("/readyz").status_code == 200)
        assert client.get("/readyz").json() == {"status": "ready", "redis": "reachable", "workers": 1}


def test_ready_means_that_a_worker_has_the_model_of_this_channel(make_stack: MakeStack) -> None:
    stack = make_stack(inbox={"lease_s": 30.0}, route={"web": "large", "slack": "other"})
    sign = WorkerSign(id="w1", pid=7, host="here", ready=True)
    with stack.client() as client:
        stack.store.workers.beat(sign)
        assert client.get("/readyz").status_code == 503
        stack.store.workers.beat(sign.model_copy(update={"serves": "large"}))
        eventually(lambda: client.get("/readyz").status_code == 200)
        assert client.get("/readyz").json() == {"status": "ready", "redis": "reachable", "workers": 1}


def test_the_api_is_described_with_examples(client: httpx.Client) -> None:
    api = client.get("/openapi.json").json()
    assert set(api["paths"]) == {"/chat", "/chat/stream", "/history", "/commands", "/metrics", "/healthz", "/readyz"}
    assert api["components"]["schemas"]["ChatRequest"]["properties"]["message"]["examples"]
    assert "HTTPValidationError" not in api["components"]["schemas"]
    assert client.get("/docs").status_code == 200


def test_it_is_said_that_the_key_opens_every_history(client: httpx.Client) -> None:
    told = client.get("/openapi.json").json()["paths"]["/history"]["get"]["description"]
    assert "whoever has it can read the conversation of every `user`" in " ".join(told.split())


def test_nothing_is_loaded_from_elsewhere(client: httpx.Client) -> None:
    for path in ("/", "/docs"):
        page = client.get(path)
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert "unsafe" not in page.headers["content-security-policy"]
        assert page.headers["x-content-type-options"] == "nosniff"
        assert page.headers["referrer-policy"] == "no-referrer"
        assert "http://" not in page.text
        assert "https://" not in page.text
