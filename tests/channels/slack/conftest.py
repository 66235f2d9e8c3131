"""A double of Slack, the channel in a thread of this process, and a worker with scripted models."""

from collections.abc import Callable, Iterator

import pytest

from tests.channels.path import ChannelThread, Worker, let_in, surroundings
from tests.platforms.slack import Slack

Connect = Callable[[], ChannelThread]


@pytest.fixture
def slack(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Slack]:
    double = Slack()
    double.retry_after_s = (0.0, 0.2, 0.5)
    with surroundings(double, monkeypatch):
        yield double
    assert not double.violations, double.violations


@pytest.fixture
def connect(slack: Slack, redis_url: str, worker: Worker) -> Iterator[Connect]:
    """Start the channel and wait until Slack sees it; it ends with the test."""
    channels: list[ChannelThread] = []

    def start() -> ChannelThread:
        channels.append(ChannelThread("slack", redis_url))
        let_in(slack)
        return channels[-1]

    yield start
    for channel in channels:
        channel.stop()


@pytest.fixture
def channel(connect: Connect) -> ChannelThread:
    return connect()
