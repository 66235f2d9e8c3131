"""Slack calls by HTTP: the web channel takes events and proves who sends them, the Slack channel's process answers."""

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest

from channels.slack import attendance, make_hook
from core.errors import SettingsError
from core.store import Store
from tests.channels.path import ChannelThread, Worker, let_in, surroundings
from tests.channels.slack.seen import called, calls, posted
from tests.channels.web.stack import free_port
from tests.conftest import forget_settings
from tests.platforms import slack_payloads
from tests.platforms.slack import Slack
from tests.platforms.slack_delivery import encode, sign
from tests.waiting import eventually


@pytest.fixture
def slack(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Slack]:
    double = Slack("http")
    double.retry_after_s = (0.0, 0.2, 0.5)
    port = free_port()
    monkeypatch.setenv("RAPPORT_WEB__PORT", str(port))
    double.request_url = f"http://127.0.0.1:{port}/hooks/slack"
    with surroundings(double, monkeypatch):
        yield double
    assert not double.violations, double.violations


@pytest.fixture
def web(slack: Slack, redis_url: str) -> Iterator[ChannelThread]:
    web = ChannelThread("web", redis_url)
    let_in(slack)
    yield web
    web.stop()


@pytest.fixture
def channel(web: ChannelThread, redis_url: str, worker: Worker) -> Iterator[ChannelThread]:
    channel = ChannelThread("slack", redis_url)
    yield channel
    channel.stop()


def send(slack: Slack, body: bytes, headers: dict[str, str], method: str = "POST") -> int:
    async def request() -> int:
        async with aiohttp.ClientSession() as session:
            url = str(slack.request_url)
            async with session.request(method, url, data=body, headers=headers) as response:
                return response.status

    return asyncio.run(request())


def event(slack: Slack, text: str = "hello", **more: Any) -> bytes:
    user = slack.home.user("ada")
    channel = slack.home.direct(user).id
    said = {"type": "message", "user": user, "text": text, "ts": slack.clock.next(), "channel": channel, **more}
    return json.dumps(slack_payloads.callback(slack.home, said | {"channel_type": "im"}, "Ev1")).encode()


def seen(store: Store) -> int:
    return len(store.redis.keys("rapport:seen:*"))


@pytest.mark.usefixtures("channel")
def test_messages_come_by_signed_requests(slack: Slack) -> None:
    slack.say("hello")
    slack.say("hi", place="group")

    posted(slack, "you said hello")
    posted(slack, "you said hi")
    eventually(lambda: len({event for event, _ in slack.acknowledged}) >= 2)
    assert not slack.given_up


@pytest.mark.usefixtures("channel")
def test_commands_presses_and_assistant_threads_come_the_same_way(slack: Slack, store: Store) -> None:
    assert slack.slash("mood", place="group") == {}
    assert "mood" in eventually(lambda: slack.posts[0].text if slack.posts else "")
    slack.say("hello", place="group")
    slack.press(posted(slack, "you said hello"), "down")
    eventually(lambda: store.people.history("slack:T0ONE:U0ONEADA")[-1].rated == "down")
    slack.open_assistant()
    assert called(slack, "assistant.threads.setSuggestedPrompts")


@pytest.mark.usefixtures("web")
def test_requests_that_are_not_slacks_are_refused(slack: Slack, store: Store, caplog: pytest.LogCaptureFixture) -> None:
    body = event(slack)
    good = sign(slack.signing_secret, body) | {"Content-Type": "application/json"}
    moment = good["X-Slack-Request-Timestamp"]

    assert send(slack, body, sign("another secret", body)) == 401
    assert send(slack, body, {}) == 401
    assert send(slack, body, {"X-Slack-Request-Timestamp": moment}) == 401
    assert send(slack, body, good | {"X-Slack-Request-Timestamp": "soon"}) == 401
    for digits in ("9" * 5_000, "-1", "\u00b2", str(int(moment) + 1)):
        assert send(slack, body, good | {"X-Slack-Request-Timestamp": digits}) == 401
    for signature in ("v0=\u00e9", "v0=", "v1=" + "0" * 64, "0" * 64, good["X-Slack-Signature"].upper()):
        assert send(slack, body, good | {"X-Slack-Signature": signature}) == 401
    assert send(slack, body.replace(b"hello", b"howdy"), good) == 401
    assert send(slack, body, sign(slack.signing_secret, body, age_s=301)) == 401
    assert send(slack, b"\xff", sign(slack.signing_secret, b"\xff")) == 400
    assert send(slack, b"", {}, method="GET") == 405
    assert seen(store) == 0
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.usefixtures("channel")
def test_a_replayed_request_is_answered_once(slack: Slack) -> None:
    body = event(slack)
    headers = sign(slack.signing_secret, body) | {"Content-Type": "application/json"}

    assert [send(slack, body, headers) for _ in range(3)] == [200] * 3
    posted(slack, "you said hello")
    slack.say("bye")
    posted(slack, "you said bye")
    assert len(slack.posts) == 2


@pytest.mark.usefixtures("channel")
def test_a_replayed_command_is_answered_once(slack: Slack) -> None:
    user = slack.home.user("ada")
    conversation = slack.home.direct(user)
    url = slack.doors.new_url(slack.home, conversation, user)
    form = slack_payloads.slash(slack.home, conversation, user, "hello", url, "trigger.1")
    body, kind = encode("slash_commands", form)
    headers = sign(slack.signing_secret, body) | {"Content-Type": kind}

    assert [send(slack, body, headers) for _ in range(3)] == [200] * 3
    posted(slack, "you said hello")
    slack.say("bye")
    posted(slack, "you said bye")
    assert len(slack.posts) == 2
    assert send(slack, body, sign(slack.signing_secret, body, age_s=301) | {"Content-Type": kind}) == 401


@pytest.mark.usefixtures("web")
@pytest.mark.parametrize("age_s", [301, 86400, -301, -86400])
def test_a_moment_far_from_now_is_refused_whoever_signed(slack: Slack, store: Store, age_s: int) -> None:
    body = event(slack)

    assert send(slack, body, sign(slack.signing_secret, body, age_s=age_s)) == 401
    assert seen(store) == 0


@pytest.mark.usefixtures("web")
@pytest.mark.parametrize("body", [b'{"type": "event_callback"}', b"{}", b"[]", b"nonsense", b'{"event": {"type": []}}'])
def test_a_request_that_makes_no_sense_does_no_harm(slack: Slack, body: bytes) -> None:
    headers = sign(slack.signing_secret, body) | {"Content-Type": "application/json"}

    assert send(slack, body, headers) in (200, 404, 500)
    assert slack.connected()


@pytest.mark.usefixtures("web")
def test_an_event_of_a_message_that_cannot_be_read_is_dropped(slack: Slack, caplog: pytest.LogCaptureFixture) -> None:
    body = event(slack, files=["not a file"])
    headers = sign(slack.signing_secret, body) | {"Content-Type": "application/json"}
    eventually(lambda: send(slack, body, headers) == 200)

    assert "could not be read; it is dropped" in caplog.text


def test_without_redis_nothing_is_acknowledged(slack: Slack, web: ChannelThread, store: Store) -> None:
    first, second = event(slack, "hello"), event(slack, "still there?")
    eventually(lambda: send(slack, first, _signed(slack, first)) == 200)
    store.redis.client_pause(3000)
    began = time.monotonic()
    status = send(slack, second, _signed(slack, second))

    assert status == 503 or time.monotonic() - began > 2, "it was acknowledged while it could not be stored"


def _signed(slack: Slack, body: bytes) -> dict[str, str]:
    return sign(slack.signing_secret, body) | {"Content-Type": "application/json"}


def test_there_is_no_hook_where_events_come_by_socket(slack: Slack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLACK_APP_TOKEN", "xapp-1")
    forget_settings()

    assert make_hook() is None


def test_nothing_starts_without_a_secret(slack: Slack, monkeypatch: pytest.MonkeyPatch) -> None:
    for secret in ("", " "):
        monkeypatch.setenv("SLACK_SIGNING_SECRET", secret)
        forget_settings()
        with pytest.raises(SettingsError, match="Neither SLACK_APP_TOKEN nor SLACK_SIGNING_SECRET is set"):
            make_hook()


def test_forms_are_encoded_as_slack_does() -> None:
    assert encode("slash_commands", {"text": "a b"}) == (b"text=a+b", "application/x-www-form-urlencoded")


@pytest.mark.usefixtures("channel")
def test_what_was_missed_in_a_silence_is_read_once_slack_is_heard_again(
    slack: Slack, monkeypatch: pytest.MonkeyPatch
) -> None:
    slack.say("hello")
    posted(slack, "you said hello")
    slack.listening = False
    slack.say("while the proxy was broken")
    slack.listening = True
    monkeypatch.setattr(attendance, "GAP_S", 0.0)
    for number in range(3):
        slack.say(f"bob {number}", user="bob")
        posted(slack, f"you said bob {number}")
    posted(slack, "you said while the proxy was broken")

    assert len(calls(slack, "conversations.list")) == 1, "not after each silence"
