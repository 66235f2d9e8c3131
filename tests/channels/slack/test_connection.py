"""Connections that break, tokens that are refused, Slack in trouble: said clearly, and overcome without a restart."""

import logging

import pytest

from channels.slack import sockets, teams
from channels.slack.handlers import AWAY
from channels.slack.settings import Credentials, credentials
from core.errors import SettingsError
from core.store import Store
from tests.channels.path import ChannelThread, Worker
from tests.channels.slack.conftest import Connect
from tests.channels.slack.seen import calls, posted
from tests.conftest import forget_settings
from tests.platforms.slack import Slack
from tests.waiting import eventually

TOKENS = ("SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "SLACK_SIGNING_SECRET")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody wants to wait for the figures of real life."""
    monkeypatch.setattr(sockets, "PING_S", 0.3)
    monkeypatch.setattr(sockets, "LOOK_S", 0.1)
    monkeypatch.setattr(sockets, "LAST_WAIT_S", 1.0)
    monkeypatch.setattr(teams, "LAST_RETRY_S", 0.3)


@pytest.mark.usefixtures("channel")
@pytest.mark.parametrize("reason", ["refresh_requested", "warning"])
def test_slack_asks_for_a_new_connection(slack: Slack, reason: str) -> None:
    slack.run(slack.delivery.disconnect(reason))
    eventually(lambda: slack.delivery.opened == 2)
    slack.say("hello")

    posted(slack, "you said hello")


@pytest.mark.usefixtures("channel")
def test_a_connection_that_breaks_is_made_again(slack: Slack) -> None:
    slack.run(slack.delivery.cut())
    slack.say("hello")

    posted(slack, "you said hello")
    assert slack.delivery.opened == 2


@pytest.mark.usefixtures("channel")
def test_an_event_that_was_on_its_way_when_the_connection_broke_is_answered_once(slack: Slack, worker: Worker) -> None:
    slack.at("delivered", lambda: slack._loop.create_task(slack.delivery.cut()))
    slack.say("hello")
    posted(slack, "you said hello")
    slack.say("bye")
    posted(slack, "you said bye")

    assert [post.text for post in slack.posts] == ["you said hello", "you said bye"]


def test_an_address_that_served_already_is_not_tried_for_ever(
    slack: Slack, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "PATIENCE_S", 1.5)
    slack.delivery.refuse_sockets = 2
    connect()
    slack.say("hello")

    posted(slack, "you said hello")


def test_a_refused_app_token_is_explained_and_tried_again(
    slack: Slack, redis_url: str, worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    slack.app_token_error = "invalid_auth"
    channel = ChannelThread("slack", redis_url)
    try:
        eventually(lambda: "the app token is not valid" in caplog.text)
        slack.app_token_error = None
        eventually(slack.connected)
        slack.say("hello")
        posted(slack, "you said hello")
    finally:
        channel.stop()
    assert "xapp-" not in caplog.text


def test_a_refused_bot_token_is_explained_and_nothing_is_lost(
    slack: Slack, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    slack.home.revoked = "account_inactive"
    connect()
    eventually(lambda: "Install the app again" in caplog.text)
    slack.say("hello")
    eventually(lambda: "was not acknowledged" in caplog.text)
    slack.home.revoked = None

    posted(slack, "you said hello")
    assert slack.home.token not in caplog.text


def test_a_command_before_the_bot_is_let_in_is_told_to_come_again(slack: Slack, connect: Connect) -> None:
    slack.home.revoked = "account_inactive"
    connect()

    assert slack.slash("mood") == {"text": AWAY}


def test_a_revoked_permission_holds_the_reply_until_it_is_granted(
    slack: Slack, connect: Connect, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("channels.slack.trouble.WAIT_S", 0.3)
    connect()
    slack.granted = {"im:history", "users:read"}
    slack.say("hello")
    eventually(lambda: "missing scope: chat:write" in caplog.text)
    assert "rapport slack manifest" in caplog.text
    slack.granted = None

    posted(slack, "you said hello")


@pytest.mark.usefixtures("channel")
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"archived": True}, "the channel is archived (is_archived)"),
        ({"bot_is_in": False}, "invite it there with /invite (not_in_channel)"),
    ],
)
def test_what_can_never_arrive_is_a_dead_letter_with_its_reason(
    slack: Slack, worker: Worker, store: Store, change: dict[str, bool], reason: str
) -> None:
    with worker.busy():
        slack.say("hello", place="group")
        eventually(lambda: slack.acknowledged)
        for name, value in change.items():
            setattr(slack.home.channel(), name, value)
    (letter,) = eventually(lambda: store.letters.all())

    assert reason in letter.reason


@pytest.mark.usefixtures("channel")
def test_a_place_that_lets_the_bot_not_write_keeps_nobody_else(slack: Slack, store: Store) -> None:
    slack.refuse_with = "no_permission"
    slack.fault("chat.postMessage", "refuse")
    slack.say("hello")
    (letter,) = eventually(lambda: store.letters.all())
    slack.say("hello again")
    posted(slack, "you said hello again")

    assert "no_permission" in letter.reason


@pytest.mark.usefixtures("channel")
def test_a_message_found_after_a_crash_is_not_posted_again(slack: Slack) -> None:
    slack.fault("chat.postMessage", "late")
    slack.say("hello")
    posted(slack, "you said hello")
    slack.say("bye")
    posted(slack, "you said bye")

    assert len(slack.posts) == 2
    assert calls(slack, "conversations.history")[-1]["include_all_metadata"] == "1"


@pytest.mark.usefixtures("channel")
def test_an_error_page_that_is_no_text_is_an_error_like_others(slack: Slack) -> None:
    slack.error_page = "<html>Dienst nicht verf\u00fcgbar</html>".encode("latin-1")
    slack.fault("chat.postMessage", "error")
    slack.say("hello")

    posted(slack, "you said hello")


@pytest.mark.usefixtures("channel")
def test_blocks_that_slack_does_not_take_go_out_as_text(slack: Slack, worker: Worker) -> None:
    worker.script = lambda prompt, on_text, cancelled: "**bold** & <plain>"
    slack.fault("chat.postMessage", "refuse")
    slack.refuse_with = "invalid_blocks"
    slack.say("hello")

    assert posted(slack, "**bold** & <plain>").extra["text"] == "**bold** &amp; &lt;plain&gt;"


@pytest.mark.usefixtures("channel")
def test_an_answer_in_front_of_all_goes_out_as_text_where_slack_takes_no_blocks(slack: Slack) -> None:
    slack.fault("chat.postMessage", "refuse")
    slack.refuse_with = "invalid_blocks"
    slack.slash("hello", place="group")

    assert "blocks" not in posted(slack, "you said hello").extra
    assert [call["unfurl_links"] for call in calls(slack, "chat.postMessage")] == [False, False]


@pytest.mark.usefixtures("channel")
def test_a_late_answer_for_one_alone_goes_out_as_text_where_slack_takes_no_blocks(slack: Slack, worker: Worker) -> None:
    slack.fault("chat.postMessage", "refuse")
    slack.refuse_with = "invalid_blocks"
    with worker.busy():
        slack.slash("mood", place="group")
        slack.doors.expire_urls()
    answer = eventually(lambda: slack.posts[0] if slack.posts else None)

    assert "blocks" not in answer.extra
    assert [call["unfurl_links"] for call in calls(slack, "chat.postMessage")] == [False, False]


def tokens(monkeypatch: pytest.MonkeyPatch, **given: str) -> Credentials:
    for name in TOKENS:
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    forget_settings()
    return credentials()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"SLACK_APP_TOKEN": "xapp-1"}, "SLACK_BOT_TOKEN is not set"),
        ({"SLACK_BOT_TOKEN": "xoxp-1", "SLACK_APP_TOKEN": "xapp-1"}, "user token"),
        ({"SLACK_BOT_TOKEN": "xapp-1", "SLACK_APP_TOKEN": "xapp-1"}, "does not begin with xoxb-"),
        ({"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_APP_TOKEN": "xoxb-1"}, "does not begin with xapp-"),
        ({"SLACK_BOT_TOKEN": "xoxb-1"}, "Neither SLACK_APP_TOKEN nor SLACK_SIGNING_SECRET"),
        ({"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_SIGNING_SECRET": "xapp-1"}, "holds a token"),
        ({"SLACK_BOT_TOKEN": "xoxb-1,xoxb-1", "SLACK_APP_TOKEN": "xapp-1"}, "same token twice"),
        ({"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_APP_TOKEN": "xapp-1", "SLACK_API_URL": "slack"}, "is no address"),
    ],
)
def test_tokens_that_cannot_work_end_the_start(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], told: str
) -> None:
    with pytest.raises(SettingsError, match=told):
        tokens(monkeypatch, **given)


def test_tokens_are_in_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    found = tokens(monkeypatch, SLACK_BOT_TOKEN="xoxb-1, xoxb-2", SLACK_APP_TOKEN="xapp-1")

    assert found.bot_tokens == ("xoxb-1", "xoxb-2")
    assert found.by_socket
    assert "xoxb" not in repr(found)
    assert "xapp" not in repr(found)


def test_what_the_sdk_says_holds_no_ticket(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        sockets.sdk_log.error("Failed to connect (error: 400, url='wss://x/link/?ticket=abc-1&app_id=2'); Retrying...")

    assert "abc-1" not in caplog.text
    assert "ticket=..." in caplog.text
