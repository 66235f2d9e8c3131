"""The process of the Discord channel is killed at the worst moments: nothing is lost, nothing comes twice."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from channels.discord.messages import PLACE
from core.dialogue import Prompt
from core.store import Store
from tests.channels.discord.conftest import settled
from tests.channels.path import ChannelProcess, Worker, let_in
from tests.platforms.discord import DiscordDouble
from tests.waiting import eventually

LATE = "was not answered in"  # by a process that was killed: what else should Discord see


@pytest.fixture
def process(
    double: DiscordDouble, worker: Worker, store: Store, redis_url: str, tmp_path: Path
) -> Iterator[ChannelProcess]:
    process = ChannelProcess("discord", redis_url, tmp_path / "discord.log")
    let_in(double)
    eventually(lambda: store.notes("discord").get("session"))
    yield process
    process.stop()
    double.violations[:] = [one for one in double.violations if LATE not in one]


def streaming(prompt: Prompt, on_text: Callable[[str], None], cancelled: threading.Event) -> str:
    said = f"you said {prompt.messages[-1].content}"
    for end in range(8, len(said), 8):
        on_text(said[:end])
        cancelled.wait(0.1)
    return said


@pytest.mark.parametrize(
    "point",
    ["delivering", "delivered", "received:post", "done:post", "answered:post", "received:edit", "done:edit"],
)
def test_a_killed_process_loses_and_doubles_nothing(
    double: DiscordDouble, process: ChannelProcess, worker: Worker, point: str
) -> None:
    worker.script = streaming
    double.at(point, process.kill)
    double.say("hello there, how is the soup today?", user="newcomer")
    text = "you said hello there, how is the soup today?"
    settled(double, text, user="newcomer")
    double.say("and the bread?", user="newcomer")
    settled(double, "you said and the bread?", user="newcomer")
    assert process.kills == 1
    assert [post.text for post in double.posts if not post.deleted] == [text, "you said and the bread?"]


@pytest.mark.parametrize(
    "point", ["received:callback", "done:callback", "received:original", "done:original", "answered:original"]
)
def test_a_command_is_answered_once_whoever_dies(double: DiscordDouble, process: ChannelProcess, point: str) -> None:
    double.at(point, process.kill)
    double.command("chat", place="group", message="hello")
    settled(double, "you said hello", double.world.general)
    let_in(double)
    double.say("bye", place="group")
    settled(double, "you said bye", double.world.general)
    assert process.kills == 1
    assert [post.text for post in double.posts if not post.deleted] == ["you said hello", "you said bye"]


@pytest.mark.parametrize("point", ["done:followup", "done:edit_followup"])
def test_each_part_of_a_long_answer_to_a_command_is_told_once_whoever_dies(
    double: DiscordDouble, process: ChannelProcess, worker: Worker, point: str
) -> None:
    """A kill leaves at most an empty place behind: Discord lists what only one person sees to nobody."""
    worker.script = lambda prompt, on_text, cancelled: " ".join(f"word{number}" for number in range(500)) + " end"
    double.say("tell me")
    eventually(lambda: double.posts and double.posts[-1].text.endswith("end"))
    double.at(point, process.kill)
    double.command("export", place="group")

    def parts() -> list[str]:
        told = [post.text for post in double.posts if post.ephemeral_for == "ada" and not post.deleted]
        return [text for text in told if text != PLACE]

    eventually(lambda: parts() and parts()[-1].endswith("end"))
    let_in(double)
    double.say("bye", place="group")
    eventually(lambda: double.seen_by("bob", "group"))
    assert process.kills == 1
    assert len(parts()) > 1
    assert len(set(parts())) == len(parts())
    assert [post.text for post in double.posts].count(PLACE) <= 1
