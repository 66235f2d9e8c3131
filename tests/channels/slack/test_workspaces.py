"""Several workspaces in one process are kept apart, and several processes do not answer twice."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from channels.slack import teams
from core.store import Store
from tests.channels.path import ChannelProcess, ChannelThread, Worker, let_in, surroundings
from tests.channels.slack.seen import posted
from tests.platforms.slack import Slack
from tests.waiting import eventually


@pytest.fixture
def two(redis_url: str, monkeypatch: pytest.MonkeyPatch, worker: Worker) -> Iterator[Slack]:
    monkeypatch.setattr(teams, "LAST_RETRY_S", 0.3)
    double = Slack()
    double.add_workspace("T0TWO", "Two")
    with surroundings(double, monkeypatch):
        yield double
    assert not double.violations, double.violations


@pytest.fixture
def running(two: Slack, redis_url: str) -> Iterator[ChannelThread]:
    channel = ChannelThread("slack", redis_url)
    let_in(two)
    yield channel
    channel.stop()


@pytest.mark.usefixtures("running")
def test_each_workspace_gets_its_own_answers(two: Slack, store: Store) -> None:
    two.say("hello one", team="T0ONE")
    two.say("hello two", team="T0TWO", place="group")

    assert posted(two, "you said hello one").space.startswith("T0ONE/")
    assert posted(two, "you said hello two").space.startswith("T0TWO/")
    assert {turn.text for turn in store.people.history("slack:T0ONE:U0ONEADA")} == {"hello one", "you said hello one"}
    assert {turn.text for turn in store.people.history("slack:T0TWO:U0TWOADA")} == {"hello two", "you said hello two"}


def test_one_workspace_that_locks_the_bot_out_does_not_hold_up_the_other(two: Slack, redis_url: str) -> None:
    two.workspaces["T0TWO"].revoked = "token_revoked"
    channel = ChannelThread("slack", redis_url)
    try:
        let_in(two)
        two.say("to two", team="T0TWO")
        two.say("hello", team="T0ONE")
        posted(two, "you said hello")
        two.workspaces["T0TWO"].revoked = None
        posted(two, "you said to two")
    finally:
        channel.stop()


@pytest.mark.usefixtures("running")
def test_events_of_a_workspace_without_token_are_dropped_and_said(two: Slack, caplog: pytest.LogCaptureFixture) -> None:
    two.say("hello")
    posted(two, "you said hello")
    stranger = two.add_workspace("T0THREE", "Three")
    two.say("hello from three", team=stranger.id)
    eventually(lambda: "SLACK_BOT_TOKEN has no token for it" in caplog.text)

    eventually(lambda: not two.delivery._tasks)
    assert not two.given_up
    assert len(two.posts) == 1


def test_two_tokens_of_one_workspace_end_the_start(two: Slack, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    two.workspaces["T0TWO"].id = "T0ONE"
    channel = ChannelThread("slack", redis_url)
    eventually(lambda: not channel._thread.is_alive())

    with pytest.raises(Exception, match="two tokens of the workspace"):
        channel.stop()


def test_two_processes_of_the_channel_answer_each_message_once(
    slack: Slack, redis_url: str, worker: Worker, tmp_path: Path
) -> None:
    processes = [ChannelProcess("slack", redis_url, tmp_path / f"{number}.log") for number in range(2)]
    try:
        eventually(lambda: len(slack.delivery.connections) == 2, timeout_s=60)
        for number in range(20):
            slack.say(f"m{number:02d}", user=f"person{number % 4}", place="direct" if number % 2 else "group")
        eventually(lambda: set(answered(slack)) == {f"m{number:02d}" for number in range(20)})
        slack.say("m99")
        eventually(lambda: "m99" in answered(slack))
    finally:
        for process in processes:
            process.stop()

    assert len(answered(slack)) == 21


def answered(slack: Slack) -> list[str]:
    """Return the numbers in the bot's answers; people who write in bursts get one answer to all of it."""
    return [number for post in slack.posts for number in re.findall(r"m\d\d", post.text)]
