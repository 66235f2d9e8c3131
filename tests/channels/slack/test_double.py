"""The double of Slack is as strict as Slack: the SDK talks to it, and what Slack refuses is refused."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from slack_sdk.errors import SlackApiError
from slack_sdk.signature import SignatureVerifier
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse
from slack_sdk.web.async_client import AsyncWebClient

from tests.platforms import slack_rates
from tests.platforms.slack import Slack
from tests.waiting import until


@pytest.fixture
def slack() -> Iterator[Slack]:
    double = Slack()
    double.start()
    yield double
    double.stop()


def client(slack: Slack, token: str | None = None) -> AsyncWebClient:
    return AsyncWebClient(token or slack.home.token, base_url=slack.environment["SLACK_API_URL"], retry_handlers=[])


async def refused(call: Any) -> str:
    with pytest.raises(SlackApiError) as error:
        await call
    return str(error.value.response["error"])


async def test_a_message_is_posted_changed_and_read_back(slack: Slack) -> None:
    api = client(slack)
    channel = slack.home.channel().id
    key = {"event_type": "rapport", "event_payload": {"key": "k1"}}
    root = (await api.chat_postMessage(channel=channel, text="Hello", metadata=key))["ts"]
    await api.chat_postMessage(channel=channel, markdown_text="**Hi**", thread_ts=root)
    await api.chat_update(channel=channel, ts=root, text="Hello you")

    plain = await api.conversations_replies(channel=channel, ts=root)
    full = await api.conversations_replies(channel=channel, ts=root, include_all_metadata=True)

    assert [m["text"] for m in full["messages"][:1]] == ["Hello you"]
    assert full["messages"][0]["metadata"] == key
    assert "metadata" not in plain["messages"][0]
    assert [post.texts for post in slack.posts] == [["Hello", "Hello you"], ["**Hi**"]]


async def test_what_slack_refuses_is_refused(slack: Slack) -> None:
    api = client(slack)
    channel = slack.home.channel().id
    away = slack.home.conversation("C0AWAY", "channel")
    away.bot_is_in = False

    assert await refused(client(slack, "xoxb-other").auth_test()) == "invalid_auth"
    assert await refused(api.chat_postMessage(channel="C404", text="x")) == "channel_not_found"
    assert await refused(api.chat_postMessage(channel=away.id, text="x")) == "not_in_channel"
    assert await refused(api.chat_postMessage(channel=channel, markdown_text="x" * 12_001)) == "msg_too_long"
    assert await refused(api.chat_postMessage(channel=channel, text="x", markdown_text="x")) == "markdown_text_conflict"
    wrong = [{"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3001}}]
    assert await refused(api.chat_postMessage(channel=channel, text="x", blocks=wrong)) == "invalid_blocks"
    nameless = api.chat_postMessage(channel=channel, text="x", metadata={"event_type": "", "event_payload": {}})
    assert await refused(nameless) == "invalid_metadata_schema"
    away.archived = True
    assert await refused(api.chat_postMessage(channel=away.id, text="x")) == "is_archived"
    assert await refused(api.api_call("chat.teleport")) == "unknown_method"
    slack.granted = {"users:read"}
    assert await refused(api.chat_postMessage(channel=channel, text="x")) == "missing_scope"


@pytest.mark.parametrize("text", ["<!channel> hi", "<@U0ONEADA>", "<!subteam^S1>", "hello @here"])
async def test_what_would_notify_people_is_a_violation(slack: Slack, text: str) -> None:
    await client(slack).chat_postMessage(channel=slack.home.channel().id, text=text)

    assert slack.violations


async def test_escaped_text_notifies_nobody(slack: Slack) -> None:
    text = "&lt;!channel&gt; me@here.org <\u2060@U0ONEADA>"
    await client(slack).chat_postMessage(channel=slack.home.channel().id, text=text)

    assert not slack.violations
    assert slack.posts[0].text == "<!channel> me@here.org <@U0ONEADA>"


async def test_a_stream_lives_until_it_is_stopped_or_too_old(slack: Slack) -> None:
    api = client(slack)
    channel = slack.home.channel().id
    root = (await api.chat_postMessage(channel=channel, text="Hello"))["ts"]
    to = {"recipient_team_id": "T0ONE", "recipient_user_id": slack.home.user("ada")}

    assert await refused(api.chat_startStream(channel=channel, thread_ts=root)) == "missing_recipient_team_id"
    ts = (await api.chat_startStream(channel=channel, thread_ts=root, markdown_text="One", **to))["ts"]
    assert await refused(api.chat_update(channel=channel, ts=ts, text="x")) == "streaming_state_conflict"
    await api.chat_appendStream(channel=channel, ts=ts, markdown_text=" two")
    await api.chat_stopStream(channel=channel, ts=ts, markdown_text=" three")
    late = api.chat_appendStream(channel=channel, ts=ts, markdown_text="!")
    assert await refused(late) == "message_not_in_streaming_state"
    slack.stream_life_s = 0
    old = (await api.chat_startStream(channel=channel, thread_ts=root, markdown_text="x", **to))["ts"]
    assert await refused(api.chat_stopStream(channel=channel, ts=old)) == "message_not_in_streaming_state"

    assert slack.posts[1].texts == ["One", "One two", "One two three"]


async def test_faults_happen_to_the_next_calls(slack: Slack) -> None:
    api = client(slack)
    channel = slack.home.channel().id
    slack.fault("post", "flood", wait_s=0.2)
    slack.fault("chat.postMessage", "drop")
    slack.fault("post", "late")

    with pytest.raises(aiohttp.ClientError):
        await api.chat_postMessage(channel=channel, text="dropped")
    with pytest.raises(SlackApiError) as error:
        await api.chat_postMessage(channel=channel, text="flooded")
    with pytest.raises(aiohttp.ClientError):
        await api.chat_postMessage(channel=channel, text="late")

    assert error.value.response.status_code == 429
    assert error.value.response.headers["Retry-After"] == "1"
    assert [post.text for post in slack.posts] == ["late"]


async def test_an_event_comes_again_until_a_connection_acknowledges_it(slack: Slack) -> None:
    slack.ack_s, slack.retry_after_s = 0.3, (0.0, 0.1, 0.1)
    socket = SocketModeClient(slack.environment["SLACK_APP_TOKEN"], web_client=client(slack), ping_interval=1)
    seen: list[SocketModeRequest] = []

    async def listen(_: Any, request: SocketModeRequest) -> None:
        seen.append(request)
        if len(seen) > 2:
            await socket.send_socket_mode_response(SocketModeResponse(envelope_id=request.envelope_id))

    socket.socket_mode_request_listeners.append(listen)
    await socket.connect()
    try:
        said = await asyncio.to_thread(slack.say, "Hello & <you>")
        await until(lambda: slack.acknowledged)
    finally:
        await socket.close()

    assert [request.retry_attempt for request in seen] == [0, 1, 2]
    assert {request.payload["event_id"] for request in seen} == {seen[0].payload["event_id"]}
    assert seen[0].payload["event"]["text"] == "Hello &amp; &lt;you&gt;"
    assert slack.acknowledged[0][0] == said
    assert slack.given_up == []


async def test_a_mention_in_a_channel_is_told_twice(slack: Slack) -> None:
    slack.patience_s = 0
    said = await asyncio.to_thread(slack.say, "Hello", place="group")

    events = [payload["event"] for payload in slack.events[said]]

    assert [event["type"] for event in events] == ["app_mention", "message"]
    assert len({event["ts"] for event in events}) == 1


async def test_http_requests_are_signed_and_repeated() -> None:
    slack = Slack("http")
    slack.retry_after_s = (0.0, 0.05, 0.05)
    slack.start()
    heard: list[tuple[str | None, bool]] = []
    verifier = SignatureVerifier(slack.signing_secret)

    async def take(request: web.Request) -> web.Response:
        body = await request.read()
        heard.append((request.headers.get("x-slack-retry-num"), verifier.is_valid_request(body, dict(request.headers))))
        return web.Response(status=200 if len(heard) > 1 else 503)

    application = web.Application()
    application.router.add_post("/events", take)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    slack.request_url = f"http://127.0.0.1:{runner.addresses[0][1]}/events"
    try:
        await asyncio.to_thread(slack.say, "Hello")
        await until(lambda: slack.acknowledged)
    finally:
        await runner.cleanup()
        slack.stop()

    assert heard == [(None, True), ("1", True)]


async def test_who_calls_too_often_must_wait(slack: Slack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slack_rates, "ON_ITS_WAY_S", 0.0)
    api, other = client(slack), client(slack, slack.add_workspace("T0TWO", "Two").token)
    users = [slack.home.user("ada"), slack.workspaces["T0TWO"].user("ada")]
    for _ in range(150):
        await api.users_info(user=users[0])
    await other.users_info(user=users[1])

    with pytest.raises(SlackApiError) as error:
        await api.users_info(user=users[0])

    assert error.value.response.status_code == 429
    assert 50 < int(error.value.response.headers["Retry-After"]) <= 60
    assert not slack.violations
    await other.users_info(user=users[1])
    assert await refused(api.users_info(user=users[0])) == "ratelimited"
    assert "users.info was called" in slack.violations[0]


async def test_response_urls_serve_five_times(slack: Slack) -> None:
    url = slack.doors.new_url(slack.home, slack.home.channel(), slack.home.user("ada"))
    began = time.monotonic()
    async with aiohttp.ClientSession() as session:
        statuses = []
        for number in range(6):
            async with session.post(url, json={"text": f"answer {number}"}) as response:
                statuses.append(response.status)

    assert statuses == [200] * 5 + [404]
    assert [post.ephemeral_for for post in slack.posts] == [slack.home.user("ada")] * 5
    assert time.monotonic() - began < 5
