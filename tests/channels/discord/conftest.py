"""The real adapter with its runner against the double, a real Redis, scripted models."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.channels.path import ChannelThread, Worker, let_in, surroundings
from tests.conftest import forget_settings
from tests.platforms.base import Post
from tests.platforms.discord import DiscordDouble
from tests.waiting import eventually

Start = Callable[..., ChannelThread]


@pytest.fixture
def double(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[DiscordDouble]:
    double = DiscordDouble()
    with surroundings(double, monkeypatch):
        yield double
    assert not double.violations, double.violations


@pytest.fixture
def start(double: DiscordDouble, redis_url: str, worker: Worker, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start the channel, with settings of [discord]; ``wait=False`` does not wait until it is connected."""
    started: list[ChannelThread] = []

    def make(*, wait: bool = True, **settings: Any) -> ChannelThread:
        for name, value in settings.items():
            monkeypatch.setenv(f"RAPPORT_DISCORD__{name.upper()}", str(value))
        forget_settings()
        started.append(ChannelThread("discord", redis_url))
        if wait:
            let_in(double)
        return started[-1]

    yield make
    for channel in started:
        channel.stop()


@pytest.fixture
def channel(start: Start) -> ChannelThread:
    return start()


def settled(double: DiscordDouble, text: str, space: str | None = None, user: str = "ada") -> Post:
    """Return the bot's post once one reads like this, at the place of ``say`` or in a channel."""

    def found() -> Post | None:
        here = [post for post in double.posts if post.space == (space or double.world.direct(user))]
        return next((post for post in here if post.text == text and not post.deleted), None)

    return eventually(found)
