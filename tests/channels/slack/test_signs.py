"""Signs of life and names within Slack's limits: no eyes stay, nobody is asked before a wait is over."""

import pytest

from channels.slack import eyes, limits, messages
from core.store import Store
from tests.channels.path import Worker
from tests.channels.slack.conftest import Connect
from tests.channels.slack.seen import called, calls, posted
from tests.platforms.slack import Slack
from tests.waiting import eventually

MINUTE_S = 3.0
CROWD = 60


@pytest.fixture(autouse=True)
def _short_minutes(slack: Slack, monkeypatch: pytest.MonkeyPatch) -> None:
    """A minute is shorter here, for Slack and for the bot alike."""
    monkeypatch.setattr(limits, "MINUTE_S", MINUTE_S)
    slack.rates.minute_s = MINUTE_S


def with_eyes(slack: Slack) -> list[str]:
    """Return the messages that carry a reaction of the bot."""
    found = [one for place in list(slack.home.conversations.values()) for one in list(place.messages.values())]
    return [message.ts for message in found if message.reactions.get("eyes")]


def test_no_eyes_are_left_behind_by_a_crowd(
    slack: Slack, connect: Connect, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "TEAM_POSTS_PER_S", 100.0)
    monkeypatch.setattr(eyes, "RETRY_S", 0.2)
    connect()
    slack.fault("reactions.remove", "flood", wait_s=1)
    slack.fault("reactions.remove", "error")
    slack.fault("reactions.remove", "drop")
    with worker.busy():
        for number in range(CROWD):
            if number == CROWD // 2:
                called(slack, "reactions.add", 20)
                slack.fault("reactions.add", "flood", wait_s=1)
            slack.say("hello", user=f"person-{number}")
    eventually(lambda: len([post for post in slack.posts if post.text == "you said hello"]) == CROWD)
    eventually(lambda: not with_eyes(slack), timeout_s=40)

    refused = [call.method for call in slack.calls if call.status == 429]
    assert refused in (["reactions.add", "reactions.remove"], ["reactions.remove"]), "only what the test had refused"


def test_a_dead_letter_leaves_no_eyes(slack: Slack, connect: Connect, worker: Worker, store: Store) -> None:
    connect()
    slack.refuse_with = "restricted_action"
    slack.fault("chat.postMessage", "refuse")
    with worker.busy():
        slack.say("hello")
        eventually(lambda: with_eyes(slack))
    eventually(lambda: store.letters.all())

    eventually(lambda: not with_eyes(slack))


def test_who_starts_after_an_end_takes_away_what_was_left(
    slack: Slack, connect: Connect, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eyes, "RETRY_S", 60.0)
    channel = connect()
    slack.fault("reactions.remove", "error")
    with worker.busy():
        slack.say("hello")
        eventually(lambda: with_eyes(slack))
    called(slack, "reactions.remove")
    channel.stop()
    assert with_eyes(slack)
    connect()

    eventually(lambda: not with_eyes(slack))


@pytest.mark.usefixtures("channel")
def test_a_reply_waits_for_no_reaction(slack: Slack, worker: Worker) -> None:
    slack.fault("reactions.remove", "slow", wait_s=20)
    with worker.busy():
        slack.say("hello")
        eventually(lambda: with_eyes(slack))
    posted(slack, "you said hello")
    called(slack, "reactions.remove")
    slack.say("hello again")
    posted(slack, "you said hello again")

    assert with_eyes(slack)
    slack.hurry()


@pytest.mark.usefixtures("channel")
def test_nobody_is_looked_up_before_the_wait_is_over(slack: Slack, store: Store) -> None:
    for name in ("bob", "eve"):
        slack.home.user(name)
    slack.fault("users.info", "flood", wait_s=1)
    slack.say("hello")
    posted(slack, "you said hello")
    asked = len(calls(slack, "users.info"))
    slack.say("ask <@U0ONEBOB>", raw=True)
    posted(slack, "you said ask @somebody")
    assert len(calls(slack, "users.info")) == asked
    eventually(lambda: not store.pace("slack").take([limits.names("T0ONE")]))
    slack.say("and <@U0ONEBOB>", raw=True)

    posted(slack, "you said and @Bob")
