"""Who is kept out by [access] leaves no trace: what they send makes the bot join, note and look up nothing."""

import pytest

from core.store import Store
from tests.channels.path import Worker
from tests.channels.slack.conftest import Connect
from tests.channels.slack.seen import calls, posted
from tests.conftest import forget_settings
from tests.platforms.slack import Slack
from tests.waiting import eventually


@pytest.fixture(autouse=True)
def _outsider(slack: Slack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAPPORT_ACCESS__DENY", '["slack:T0ONE:U0ONEMALLORY"]')
    forget_settings()


def test_an_outsider_brings_the_bot_into_no_thread(slack: Slack, connect: Connect, worker: Worker) -> None:
    connect()
    root = slack.say("join us", place="group", user="mallory").rpartition(":")[2]
    eventually(lambda: len(slack.acknowledged) == 2)  # the message and its mention
    slack.say("what do you think of it, Bob?", place="thread", thread=root)
    slack.say("hello", place="group")
    posted(slack, "you said hello")

    assert len(slack.posts) == 1


def test_nothing_of_an_outsider_is_noted_or_looked_up(
    slack: Slack, connect: Connect, worker: Worker, store: Store
) -> None:
    connect()
    slack.say("hello", user="mallory")
    answer = slack.slash("what a day", user="mallory")
    eventually(lambda: slack.acknowledged)

    assert answer
    assert "not allowed to talk" in answer["text"]
    assert not store.redis.keys("rapport:note:*")
    assert {call["user"] for call in calls(slack, "users.info")} <= {"U0ONEMALLORY"}
