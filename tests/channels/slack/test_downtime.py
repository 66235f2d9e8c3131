"""Direct messages of a time in which nobody listened: answered once, in order, whatever else goes wrong meanwhile."""

from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from channels.slack import attendance, catchup, sockets, teams
from channels.slack.limits import Limits
from channels.slack.parse import Me
from channels.slack.teams import Team
from core.store import Bucket, Store
from tests.channels.path import ChannelThread, Worker, let_in, surroundings
from tests.channels.slack.conftest import Connect
from tests.channels.slack.seen import called, calls, posted
from tests.conftest import forget_settings
from tests.platforms.slack import Slack
from tests.waiting import eventually


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody wants to wait for the figures of real life."""
    monkeypatch.setattr(sockets, "PING_S", 0.3)
    monkeypatch.setattr(sockets, "LOOK_S", 0.1)
    monkeypatch.setattr(sockets, "LAST_WAIT_S", 1.0)
    monkeypatch.setattr(teams, "LAST_RETRY_S", 0.3)


def away(slack: Slack, connect: Connect, *texts: str, user: str = "ada") -> None:
    """Let the bot run once, and people write to it while it does not."""
    channel = connect()
    slack.say("before", user=user)
    posted(slack, "you said before")
    channel.stop()
    slack.listening = False
    for text in texts:
        slack.say(text, user=user)
    slack.listening = True


def test_direct_messages_of_a_downtime_are_answered_once(slack: Slack, connect: Connect, store: Store) -> None:
    first = connect()
    slack.say("before")
    posted(slack, "you said before")
    eventually(lambda: store.notes("slack").marks())
    thread = slack.open_assistant(user="bob")
    first.stop()
    slack.listening = False
    slack.say("while you were away")
    slack.say("in a thread", user="bob", thread=thread)
    slack.say("to nobody", place="group", mention=False)
    slack.listening = True
    connect()
    posted(slack, "you said while you were away")
    posted(slack, "you said in a thread")
    slack.say("after")
    posted(slack, "you said after")

    assert sorted(post.text for post in slack.posts) == [
        "you said after",
        "you said before",
        "you said in a thread",
        "you said while you were away",
    ]


def test_a_long_gap_without_connection_is_caught_up_with(
    slack: Slack, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attendance, "GAP_S", 0.5)
    connect()
    slack.say("hello")
    posted(slack, "you said hello")
    slack.app_token_error = "internal_error"
    slack.run(slack.delivery.cut())
    slack.listening = False
    slack.say("anyone there?")
    slack.listening = True
    attempts = len(calls(slack, "apps.connections.open"))
    eventually(lambda: len(calls(slack, "apps.connections.open")) > attempts + 4)
    slack.app_token_error = None

    posted(slack, "you said anyone there?")


def test_a_restart_while_catching_up_begins_at_the_same_place(
    slack: Slack, connect: Connect, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attendance, "MARK_EVERY_S", 0.0)
    away(slack, connect, "while away")
    before = store.notes("slack").marks()
    slack.fault("conversations.list", "error")
    interrupted = connect()
    called(slack, "conversations.list")
    for number in range(3):  # life goes on meanwhile
        slack.say(f"hello {number}", user="bob", place="group")
        posted(slack, f"you said hello {number}")
    assert store.notes("slack").marks() == before
    interrupted.stop()
    connect()

    posted(slack, "you said while away")
    eventually(lambda: store.notes("slack").marks() != before)


def test_who_goes_on_writing_is_answered_after_what_was_said_before(
    slack: Slack, connect: Connect, worker: Worker
) -> None:
    away(slack, connect, "my cat died")
    slack.fault("conversations.list", "error")  # so that nothing is read for a minute
    connect()
    called(slack, "conversations.list")
    slack.say("sorry, wrong window")
    eventually(lambda: "wrong window" in slack.posts[-1].text)

    told = "\n".join(post.text for post in slack.posts)
    assert told.index("my cat died") < told.index("wrong window")


def test_a_conversation_that_takes_long_to_read_has_its_messages_sent_again(
    slack: Slack, connect: Connect, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(attendance, "PATIENCE_S", 0.2)
    away(slack, connect, "my cat died")
    slack.fault("conversations.list", "error")
    slack.fault("conversations.history", "slow", wait_s=0.8)
    connect()
    called(slack, "conversations.list")
    slack.say("sorry, wrong window")
    eventually(lambda: "wrong window" in slack.posts[-1].text)

    assert "what was said before is being read first" in caplog.text
    told = "\n".join(post.text for post in slack.posts)
    assert told.index("my cat died") < told.index("wrong window")
    assert told.count("wrong window") == 1


def test_what_cannot_be_read_does_not_keep_what_is_said_now(slack: Slack, connect: Connect) -> None:
    away(slack, connect, "while away")
    slack.fault("conversations.list", "error")
    slack.fault("conversations.history", "refuse")
    connect()
    called(slack, "conversations.list")
    slack.say("hello")

    posted(slack, "you said hello")


def test_a_conversation_that_cannot_be_read_keeps_no_other_from_being_read(
    slack: Slack, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    first = connect()
    for user in ("ada", "bob"):
        slack.say("before", user=user)
    eventually(lambda: len(slack.posts) == 2)
    first.stop()
    slack.listening = False
    for user in ("ada", "bob"):
        slack.say(f"{user} was here", user=user)
    slack.listening = True
    slack.fault("conversations.history", "refuse")
    connect()
    eventually(lambda: "what was said stays unheard" in caplog.text)

    posted(slack, "you said bob was here")


def test_what_was_refused_is_not_answered_after_all(
    slack: Slack, connect: Connect, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAPPORT_INBOX__PERSON_PER_MINUTE", "1")
    monkeypatch.setenv("RAPPORT_INBOX__PERSON_BURST", "1")
    forget_settings()
    channel = connect()
    slack.say("before")
    posted(slack, "you said before")
    slack.say("refused and told")
    slack.say("refused in silence")
    slack.say("/help")  # is never refused, and comes after what one said before
    eventually(lambda: any("I also know these commands" in post.text for post in slack.posts))
    channel.stop()
    store.redis.delete(*store.redis.keys("rapport:limit:*"))
    connect()
    slack.say("after")
    posted(slack, "you said after")

    assert [post.text for post in slack.posts if "you said refused" in post.text] == []


def test_more_than_is_read_is_said(
    slack: Slack, connect: Connect, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(catchup, "PAGE", 2)
    away(slack, connect, "one", "two", "three")
    connect()

    eventually(lambda: "more was written than is read" in caplog.text)


def test_a_workspace_that_locks_the_bot_out_keeps_no_other_from_being_read(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, worker: Worker
) -> None:
    two = Slack()
    two.add_workspace("T0TWO", "Two")
    with surroundings(two, monkeypatch):
        first = ChannelThread("slack", redis_url)
        let_in(two)
        for team in ("T0ONE", "T0TWO"):
            two.say(f"hello {team}", team=team)
            posted(two, f"you said hello {team}")
        first.stop()
        two.listening = False
        for team in ("T0ONE", "T0TWO"):
            two.say(f"away {team}", team=team)
        two.listening = True
        two.workspaces["T0ONE"].revoked = "token_revoked"
        second = ChannelThread("slack", redis_url)
        try:
            posted(two, "you said away T0TWO")
            two.workspaces["T0ONE"].revoked = None
            posted(two, "you said away T0ONE")
        finally:
            second.stop()


async def test_what_is_not_taken_while_its_conversation_is_being_read_is_read_after_that() -> None:
    said = [{"ts": "1001.0"}]
    heard: list[str] = []

    async def history(**_: Any) -> dict[str, Any]:
        page = list(said)
        if len(said) == 1:  # somebody goes on writing, and cannot be taken in time: Slack tries for some minutes only
            said.append({"ts": "1002.0"})
            reading.again("D1")
        return {"messages": page}

    async def at_once(_: Bucket, call: Callable[[], Awaitable[Any]], **__: Any) -> Any:
        return await call()

    async def take(body: dict[str, Any]) -> bool:
        heard.append(body["event"]["ts"])
        return True

    team = cast(
        Team, SimpleNamespace(me=Me("T1", "U1", "B1", "Rapport"), api=SimpleNamespace(conversations_history=history))
    )
    reading = catchup.Reading(team, cast(Limits, SimpleNamespace(asked=at_once)), 1000.0, take, "D1")
    await reading.all()

    assert heard == ["1001.0", "1001.0", "1002.0"]
    assert not reading.lacks("D1")
