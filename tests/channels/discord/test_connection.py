"""The connection to Discord's gateway: intents, tokens, resumes, new sessions, and what was missed meanwhile."""

import os
import signal
from datetime import UTC, datetime, timedelta

import pytest

from channels.discord import catchup, connection, intake
from channels.discord.parse import snowflake_at
from core.store import Store, keys
from tests.channels.discord.conftest import Start, settled
from tests.channels.path import Worker, let_in
from tests.conftest import RedisServer
from tests.platforms.discord import DiscordDouble
from tests.platforms.discord_gateway import MESSAGE_CONTENT, PRIVILEGED
from tests.waiting import eventually


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pauses of the product are of seconds and minutes."""
    monkeypatch.setattr(connection, "FIRST_WAIT_S", 0.1)
    monkeypatch.setattr(connection, "REFUSED_WAIT_S", 0.1)
    monkeypatch.setattr(intake, "HEARD_S", 0.1)


def marked(store: Store) -> bool:
    """Say whether it is noted until when everything was heard."""
    return catchup.HEARD in store.notes("discord").marks()


@pytest.mark.usefixtures("channel")
def test_it_asks_for_no_privileged_intent(double: DiscordDouble) -> None:
    assert not double.gateway.identified[0][1] & PRIVILEGED
    double.say("mentioned", place="thread")
    settled(double, "you said mentioned", double.world.thread)
    double.say("not mentioned", place="thread", mention=False)
    double.say("again", place="thread")
    settled(double, "you said again", double.world.thread)
    assert [post.text for post in double.posts] == ["you said mentioned", "you said again"]


def test_with_the_content_intent_its_threads_need_no_mention(double: DiscordDouble, start: Start) -> None:
    double.grant_message_content()
    start(message_content=True)
    assert double.gateway.identified[0][1] & MESSAGE_CONTENT
    double.say("not for me", channel=double.world.foreign_thread, mention=False)
    double.say("go on", place="thread", mention=False)
    settled(double, "you said go on", double.world.thread)
    assert len(double.posts) == 1


def test_without_the_grant_it_says_so_and_goes_on(
    double: DiscordDouble, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    start(message_content=True)
    assert "Message Content Intent" in caplog.text
    assert [bool(intents & MESSAGE_CONTENT) for _, intents in double.gateway.identified] == [True, False]
    double.say("hello", place="group")
    settled(double, "you said hello", double.world.general)


def test_a_token_that_is_refused_is_no_reason_to_knock_all_the_time(
    double: DiscordDouble, start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(connection, "REFUSED_WAIT_S", 0.4)
    good = double.token
    monkeypatch.setenv("DISCORD_BOT_TOKEN", good[:-2] + "no")
    start(wait=False)
    eventually(lambda: caplog.text.count("does not accept DISCORD_BOT_TOKEN") == 3)
    assert not double.gateway.identified
    tries = [call.at for call in double.calls if call.method == "me"]
    assert not tries, "calls without the right token do nothing"
    assert double.rest.rates.invalid_requests <= 4
    assert good[:-2] not in caplog.text
    monkeypatch.setenv("DISCORD_BOT_TOKEN", good)
    let_in(double)
    double.say("hello")
    settled(double, "you said hello")


def test_a_token_that_is_broken_later_ends_nothing(
    double: DiscordDouble, start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    start()
    double.token = double.token[:-3] + "new"
    monkeypatch.setenv("DISCORD_BOT_TOKEN", "half-a-token")
    double.run(double.gateway.cut(4004))
    eventually(lambda: caplog.text.count("does not look like a bot's token") >= 2)
    monkeypatch.setenv("DISCORD_BOT_TOKEN", double.token)
    let_in(double)
    double.say("hello")
    settled(double, "you said hello")


def test_a_token_that_is_reset_later_is_taken_from_the_settings(
    double: DiscordDouble, start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    start()
    double.token = double.token[:-3] + "new"
    double.run(double.gateway.cut(4004))
    eventually(lambda: "does not accept DISCORD_BOT_TOKEN" in caplog.text)
    monkeypatch.setenv("DISCORD_BOT_TOKEN", double.token)
    let_in(double)
    double.say("hello")
    settled(double, "you said hello")


@pytest.mark.usefixtures("channel")
def test_a_cut_connection_is_resumed_and_nothing_lost(double: DiscordDouble) -> None:
    double.run(double.gateway.cut(4000))
    double.say("hello")
    settled(double, "you said hello")
    double.run(double.gateway.ask_to_reconnect())
    double.say("bye")
    settled(double, "you said bye")
    assert len(double.gateway.resumed) == 2
    assert len(double.gateway.identified) == 1


def test_what_an_invalid_session_missed_is_read_again(
    double: DiscordDouble, start: Start, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection.Client, "before_identify_hook", _at_once)
    start()
    eventually(lambda: marked(store))
    double.gateway.resumable = False
    double.run(double.gateway.cut(4000))
    message = double.say("hello", place="group")
    eventually(lambda: len(double.gateway.identified) == 2)
    double.redeliver(message)
    settled(double, "you said hello", double.world.general)
    double.say("bye", place="group")
    settled(double, "you said bye", double.world.general)
    assert len(double.posts) == 2


def test_a_long_loss_is_not_taken_for_heard(
    double: DiscordDouble, start: Start, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection.Client, "before_identify_hook", _at_once)
    monkeypatch.setattr(catchup, "MARGIN", timedelta(0))
    start()
    double.say("before", place="group")
    settled(double, "you said before", double.world.general)
    double.gateway.resumable = False
    double.gateway.refuse_connections = True
    double.run(double.gateway.cut(4000))
    double.say("while away", place="group")
    seen = store.notes("discord").marks()[catchup.HEARD]
    double.gateway.refuse_connections = False
    settled(double, "you said while away", double.world.general)
    eventually(lambda: int(store.notes("discord").marks()[catchup.HEARD]) > int(seen))
    assert len(double.posts) == 2


async def _at_once(self: connection.Client, shard_id: int | None, *, initial: bool = False) -> None:
    """Without the five seconds that Discord wants between two sessions."""


def test_messages_from_a_downtime_are_answered_once_and_in_order(
    double: DiscordDouble, start: Start, store: Store, worker: Worker
) -> None:
    first = start()
    double.say("before", place="group")
    double.say("before")
    settled(double, "you said before", double.world.general)
    settled(double, "you said before")
    eventually(lambda: double.world.direct("ada") in store.notes("discord").marks() and marked(store))
    first.stop()
    double.say("in the group", place="group", user="bob")
    double.say("not for me", place="group", mention=False)
    double.say("in the thread", place="thread", user="cy")
    double.say("one")
    double.say("two")
    with worker.busy():
        start()
        ada = f"discord:-:{double.world.user('ada')['id']}"
        eventually(lambda: store.redis.llen(keys.inbox(ada)) == 2)
    settled(double, "you said in the group", double.world.general)
    settled(double, "you said in the thread", double.world.thread)
    settled(double, "you said one\ntwo")
    assert len(double.posts) == 5


def test_what_is_too_old_is_not_answered(double: DiscordDouble, start: Start, store: Store) -> None:
    first = start()
    eventually(lambda: marked(store))
    first.stop()
    long_ago = datetime.now(UTC) - timedelta(hours=13)
    store.notes("discord").mark(catchup.HEARD, str(snowflake_at(long_ago - timedelta(hours=1))))
    double.say("old", place="group", id=str(snowflake_at(long_ago)), timestamp=long_ago.isoformat())
    double.say("new", place="group")
    start()
    settled(double, "you said new", double.world.general)
    assert len(double.posts) == 1


def test_more_than_a_page_is_read(double: DiscordDouble, start: Start, store: Store) -> None:
    first = start()
    eventually(lambda: marked(store))
    first.stop()
    for number in range(150):
        double.say(f"chatter {number}", place="group", mention=False)
    double.say("hello", place="group")
    start()
    settled(double, "you said hello", double.world.general)


def test_channels_without_news_are_not_read(double: DiscordDouble, start: Start, store: Store) -> None:
    first = start()
    eventually(lambda: marked(store))
    first.stop()
    double.say("hello", place="group")
    start()
    settled(double, "you said hello", double.world.general)
    read = {call.arguments["channel"] for call in double.calls if call.method == "history"}
    assert read == {double.world.general}


@pytest.mark.usefixtures("channel")
def test_while_redis_is_frozen_messages_wait(double: DiscordDouble, redis_server: RedisServer) -> None:
    os.kill(redis_server.pid, signal.SIGSTOP)
    try:
        for number in range(5):
            double.say(f"message {number}", user=f"user{number}", place="group")
    finally:
        os.kill(redis_server.pid, signal.SIGCONT)
    for number in range(5):
        settled(double, f"you said message {number}", double.world.general)
    assert len(double.posts) == 5


def test_what_does_not_fit_while_redis_is_away_is_read_again(
    double: DiscordDouble, start: Start, store: Store, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "WAITING", 2)
    start()
    eventually(lambda: marked(store))
    os.kill(redis_server.pid, signal.SIGSTOP)
    try:
        for number in range(6):
            double.say(f"message {number}", user=f"user{number}", place="group")
    finally:
        os.kill(redis_server.pid, signal.SIGCONT)
    for number in range(6):
        settled(double, f"you said message {number}", double.world.general)
    assert len(double.posts) == 6


def test_two_processes_answer_once(double: DiscordDouble, start: Start, store: Store) -> None:
    start()
    eventually(lambda: store.notes("discord").get("session"))
    start()
    eventually(lambda: len([one for one in double.gateway.sessions.values() if one.socket]) == 2)
    for number in range(5):
        double.say(f"message {number}", user=f"user{number}", place="group")
        double.command("chat", user=f"other{number}", place="group", message=f"chat {number}")
    for number in range(5):
        settled(double, f"you said message {number}", double.world.general)
        settled(double, f"you said chat {number}", double.world.general)
    assert len(double.posts) == 10
    assert len(double.gateway.identified) == 2


def test_as_many_shards_are_started_as_discord_wants(
    double: DiscordDouble, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection.Client, "before_identify_hook", _at_once)
    double.gateway.shards = 3
    start()
    assert {session.shard for session in double.gateway.sessions.values()} == {(0, 3), (1, 3), (2, 3)}
    double.say("hello", place="group")
    double.say("psst")
    settled(double, "you said hello", double.world.general)
    settled(double, "you said psst")


def test_the_last_session_starts_of_a_day_are_not_used_up(
    double: DiscordDouble, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    double.gateway.shards = 16  # each of them takes one
    double.gateway.session_starts_left = 30
    start(wait=False)
    eventually(lambda: "session starts are left" in caplog.text)
    assert not double.gateway.identified


def test_it_comes_back_by_itself_after_a_long_loss(
    double: DiscordDouble, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "LOST_S", 0.5)
    monkeypatch.setattr(connection, "LOOK_S", 0.05)
    start()
    double.gateway.refuse_connections = True
    double.run(double.gateway.cut(4000))
    eventually(lambda: len([call for call in double.calls if call.method == "me"]) >= 2)
    double.gateway.refuse_connections = False
    let_in(double)
    double.say("hello")
    settled(double, "you said hello")


def test_a_platform_that_is_down_at_the_start_is_waited_for(
    double: DiscordDouble, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    double.fault("me", "drop", times=2)
    start()
    assert "Discord cannot be reached" in caplog.text


def test_replies_wait_for_the_connection(
    double: DiscordDouble, start: Start, store: Store, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = start()
    with worker.busy():
        double.say("hello", place="group")
        eventually(lambda: store.redis.zcard(keys.WAITING))
        first.stop()
    good = double.token
    monkeypatch.setenv("DISCORD_BOT_TOKEN", good[:-2] + "no")
    start(wait=False)
    eventually(lambda: double.rest.rates.invalid_requests)
    monkeypatch.setenv("DISCORD_BOT_TOKEN", good)
    settled(double, "you said hello", double.world.general)
