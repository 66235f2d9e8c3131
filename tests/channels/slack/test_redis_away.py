"""Redis is away for longer than Slack repeats its events: what was said directly is answered once Redis is back."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from channels.slack import attendance
from core.store import Store
from core.store.connection import connect as open_redis
from tests.channels.path import ChannelThread, Worker, let_in, surroundings
from tests.channels.slack.seen import posted
from tests.channels.web.stack import free_port
from tests.conftest import RedisServer
from tests.platforms.slack import Slack
from tests.waiting import eventually


@pytest.fixture
def redis_url(redis_server: RedisServer, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An address of the same Redis that can be taken away."""
    link = tmp_path / "redis.sock"
    link.symlink_to(redis_url.removeprefix("unix://"))
    monkeypatch.setenv("REDIS_URL", f"unix://{link}")
    monkeypatch.setattr(attendance, "STORE_RETRY_S", 0.2)
    return f"unix://{link}"


@contextmanager
def redis_away(server: RedisServer, url: str) -> Iterator[None]:
    link = Path(url.removeprefix("unix://"))
    target = os.readlink(link)
    link.unlink()
    with open_redis(server.url) as client:
        for kind in ("normal", "pubsub"):
            client.client_kill_filter(_type=kind, skipme=True)
    try:
        yield
    finally:
        link.symlink_to(target)


@pytest.fixture(params=["socket", "http"])
def slack(request: pytest.FixtureRequest, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Slack]:
    double = Slack(request.param)
    double.retry_after_s = (0.0, 0.1, 0.1)
    if request.param == "http":
        port = free_port()
        monkeypatch.setenv("RAPPORT_WEB__PORT", str(port))
        double.request_url = f"http://127.0.0.1:{port}/hooks/slack"
    with surroundings(double, monkeypatch):
        yield double
    assert not double.violations, double.violations


@pytest.fixture
def running(slack: Slack, redis_url: str, worker: Worker) -> Iterator[list[ChannelThread]]:
    names = ["slack"] if slack.mode == "socket" else ["web", "slack"]
    channels = [ChannelThread(name, redis_url) for name in names]
    let_in(slack)
    yield channels
    for channel in channels:
        channel.stop()


@pytest.mark.usefixtures("running")
def test_direct_messages_that_slack_gave_up_on_are_answered_in_their_order(
    slack: Slack, redis_server: RedisServer, redis_url: str
) -> None:
    slack.say("before")
    posted(slack, "you said before")
    with redis_away(redis_server, redis_url):
        slack.say("my cat died")
        slack.say("hello", user="bob")
        eventually(lambda: len(slack.given_up) == 2)
    slack.say("sorry, wrong window")
    eventually(lambda: any("wrong window" in post.text for post in slack.posts))
    posted(slack, "you said hello")

    told = "\n".join(post.text for post in slack.posts)
    assert told.index("my cat died") < told.index("wrong window")
    assert [told.count(one) for one in ("before", "my cat died", "wrong window", "hello")] == [1, 1, 1, 1]


@pytest.mark.usefixtures("running")
def test_mentions_and_threads_that_slack_gave_up_on_are_answered_in_their_order(
    slack: Slack, redis_server: RedisServer, redis_url: str
) -> None:
    slack.say("before", place="thread")
    eventually(lambda: [post for post in slack.posts if post.text == "you said before"])
    with redis_away(redis_server, redis_url):
        slack.say("my cat died", place="thread")
        slack.say("hello", place="group", user="bob")
        eventually(lambda: len(slack.given_up) >= 2)
        slack.say("sorry, wrong window", place="thread")
    eventually(lambda: any("wrong window" in post.text for post in slack.posts))
    eventually(lambda: any("hello" in post.text for post in slack.posts))

    told = "\n".join(post.text for post in slack.posts)
    assert told.index("my cat died") < told.index("wrong window")
    assert [told.count(one) for one in ("before", "my cat died", "wrong window", "hello")] == [1, 1, 1, 1]


def test_what_was_not_stored_is_read_by_who_starts_after_an_end_in_between(
    slack: Slack, redis_server: RedisServer, redis_url: str, running: list[ChannelThread], worker: Worker, store: Store
) -> None:
    slack.say("before")
    posted(slack, "you said before")
    with redis_away(redis_server, redis_url):
        slack.say("my cat died")
        eventually(lambda: slack.given_up)
        for channel in running:
            channel.stop()
    running[:] = [ChannelThread("slack" if slack.mode == "socket" else "web", redis_url)]
    if slack.mode == "http":
        running.append(ChannelThread("slack", redis_url))

    posted(slack, "you said my cat died")
