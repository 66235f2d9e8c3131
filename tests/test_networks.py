"""`rapport up` on Slack, Telegram and Discord at once: the real SDKs, the real worker, the models that ship.

With ``-s`` the transcript is printed.
"""

import itertools
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from tests.platforms.base import Double, Place, Post
from tests.platforms.discord import DiscordDouble
from tests.platforms.slack import Slack
from tests.platforms.telegram import TelegramDouble
from tests.up import Up
from tests.waiting import eventually

pytestmark = [pytest.mark.timeout(300), pytest.mark.xdist_group("models")]


@pytest.fixture(scope="module")
def doubles() -> Iterator[list[Double]]:
    doubles: list[Double] = [Slack(), TelegramDouble(), DiscordDouble()]
    for double in doubles:
        double.start()
    yield doubles
    for double in doubles:
        double.stop()
        assert not double.violations, double.violations


@pytest.fixture(scope="module")
def up(doubles: list[Double], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    environment = {name: value for double in doubles for name, value in double.environment.items()}
    running = Up(tmp_path_factory.mktemp("up"), **environment)
    for double in doubles:
        eventually(double.connected, 60)
    yield running
    running.close()


@pytest.fixture(params=["slack", "telegram", "discord"])
def double(request: pytest.FixtureRequest, doubles: list[Double], up: Up) -> Double:
    (found,) = (double for double in doubles if double.name == request.param)
    return found


def command(double: Any, name: str, user: str, place: Place) -> None:
    """Call a command as people do there."""
    if double.name == "slack":
        double.slash(name, user=user, place=place)
    elif double.name == "discord":
        double.command(name, user=user, place=place)
    else:
        double.say(f"/{name}", user=user, place=place)


def show(double: Double, who: str, text: str, note: str = "") -> None:
    shown = text if len(text) < 500 else f"{text[:120]} ... {text[-120:]}"
    print(f"  {double.name:<9}{who}: {shown} {note}")


def answers(double: Double, up: Up, do: Callable[[], object]) -> list[Post]:
    """Do something, and return the bot's answers once it has nothing more to say."""
    before = len(double.posts)
    do()
    eventually(lambda: double.posts[before:] and up.idle(double.name), 60)
    return [post for post in double.posts[before:] if not post.deleted]


def test_a_conversation(double: Double, up: Up) -> None:
    print()
    for text, place in (("my order is three weeks late!", "group"), ("hello, how are you?", "direct")):
        show(double, f"ada ({place})", text)
        (post,) = answers(double, up, partial(double.say, text, place=place))
        show(double, "bot", post.text, f"[place {post.space}, thread {post.thread}, {len(post.texts)} versions]")
        assert post.text
        assert post in double.seen_by("ada", place) or post.thread
        if (double.name, place) == ("slack", "group"):
            assert post.thread, "a mention in a channel is answered in its thread"

    show(double, "ada (direct)", "the command help")
    (post,) = answers(double, up, partial(command, double, "help", "ada", "direct"))
    show(double, "bot", post.text)
    for name in ("new", "mood", "export", "forget", "stop"):
        assert name in post.text


def test_text_can_be_read_while_it_is_written(double: Double, up: Up) -> None:
    print()
    texts = ["tell me a long story about the sea, please", "I feel so alone since she left, and I cannot sleep"]
    shown: list[Post] = []
    for number in range(10):  # the model that ships is quick, and some of its replies are short
        show(double, "cy (direct)", texts[number % 2])
        shown = answers(double, up, partial(double.say, texts[number % 2], user=f"cy{number}"))
        versions = " | ".join(shown[0].texts)
        show(double, "bot", versions, f"[{len(shown[0].texts)} versions]")
        if len(shown[0].texts) > 1:
            break
    assert len(shown) == 1
    assert len(shown[0].texts) > 1


def test_nine_thousand_characters_arrive_whole(double: Double, up: Up) -> None:
    print()
    numbers = itertools.count()

    def tell() -> None:
        for _ in range(6):
            double.say(" ".join(f"n{number:04d}" for number in itertools.islice(numbers, 280)), user="bob")

    show(double, "bob (direct)", "six messages of 1,679 characters each")
    answers(double, up, tell)
    show(double, "bob (direct)", "the command export")
    parts = answers(double, up, partial(command, double, "export", "bob", "direct"))
    whole = " ".join(post.text for post in parts)
    show(double, "bot", whole, f"[{len(whole):,} characters in {len(parts)} messages]")
    # The bot's own words may take up a number; what bob said stands in his lines.
    lines = re.split(r"20\d\d-\d\d-\d\d \d\d:\d\d\W+", whole)
    told = [word for line in lines if line.startswith("you") for word in re.findall(r"n\d{4}", line)]
    assert told == [f"n{number:04d}" for number in range(6 * 280)]
    assert all(len(post.text) <= double.text_limit for post in parts)
