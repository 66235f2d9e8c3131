"""Slash commands on Discord: acknowledged in time, answered to the right eyes, whatever happens in between."""

import os
import signal
import time
from typing import Any

import pytest

from channels.discord import adapter, interactions, menu, messages
from core import commands
from core.store import Store, keys
from tests.channels.discord.conftest import Start, settled
from tests.channels.path import Worker
from tests.conftest import RedisServer
from tests.platforms.base import Post
from tests.platforms.discord import DiscordDouble
from tests.waiting import eventually


def answers(double: DiscordDouble, user: str = "ada") -> list[Post]:
    return [post for post in double.posts if post.ephemeral_for == user]


@pytest.mark.usefixtures("channel")
def test_a_command_in_a_server_is_answered_to_its_sender_alone(double: DiscordDouble) -> None:
    double.command("help", place="group")
    post = eventually(lambda: answers(double))[0]
    assert post.space == double.world.general
    assert "/export" in post.text
    assert len(double.posts) == 1


@pytest.mark.usefixtures("channel")
@pytest.mark.parametrize("name", list(commands.TABLE))
def test_every_command_works_in_a_server(double: DiscordDouble, name: str) -> None:
    double.command(name, place="group")
    post = eventually(lambda: answers(double))[0]
    assert "direct message" not in post.text


@pytest.mark.usefixtures("channel")
def test_options_are_the_argument(double: DiscordDouble) -> None:
    double.command("help", place="group", command="forget")
    assert eventually(lambda: answers(double))[0].text.startswith("`/forget`")


@pytest.mark.usefixtures("channel")
def test_chat_is_answered_in_the_open(double: DiscordDouble) -> None:
    double.command("chat", place="group", message="hello")
    post = settled(double, "you said hello", double.world.general)
    assert post.ephemeral_for is None
    assert post.extra["components"]


@pytest.mark.usefixtures("channel")
def test_in_a_direct_message_a_command_stays_readable(double: DiscordDouble) -> None:
    double.command("mood")
    post = eventually(lambda: double.seen_by())[0]
    assert post.ephemeral_for is None


@pytest.mark.usefixtures("channel")
def test_a_long_chat_is_answered_whole(double: DiscordDouble, worker: Worker) -> None:
    text = " ".join(f"word{number}" for number in range(700))
    worker.script = lambda prompt, on_text, cancelled: text
    double.command("chat", place="group", message="hello")
    eventually(lambda: " ".join(post.text for post in double.seen_by(place="group")) == text)
    assert len(double.posts) == 3


@pytest.mark.usefixtures("channel")
def test_a_long_export_is_answered_whole_to_its_sender_alone(double: DiscordDouble, worker: Worker) -> None:
    worker.script = lambda prompt, on_text, cancelled: "word " * 500 + "end"
    double.say("tell me")
    eventually(lambda: double.posts and double.posts[-1].text.endswith("end"))
    double.command("export", place="group")
    eventually(lambda: answers(double) and answers(double)[-1].text.endswith("end"))
    assert len(answers(double)) > 1
    assert not double.seen_by("bob", "group")


@pytest.mark.usefixtures("channel")
def test_commands_are_acknowledged_within_a_second_while_all_workers_are_busy(
    double: DiscordDouble, worker: Worker, store: Store
) -> None:
    with worker.busy():
        for number in range(10):
            double.command("chat", place="group", user=f"user{number}", message=f"hello {number}")
        eventually(lambda: len(double.acknowledged) == 10)
        assert max(waited for _, waited in double.acknowledged) < 1
        assert store.redis.zcard(keys.WAITING) == 10
    for number in range(10):
        settled(double, f"you said hello {number}", double.world.general)


@pytest.mark.usefixtures("channel")
def test_two_chats_that_are_answered_as_one_leave_nothing_thinking(double: DiscordDouble, worker: Worker) -> None:
    with worker.busy():
        first = double.command("chat", place="group", message="one")
        second = double.command("chat", place="group", message="two")
        eventually(lambda: len(double.acknowledged) == 2)
    settled(double, "you said one\ntwo", double.world.general)
    assert second.original
    assert first.withdrawn


@pytest.mark.usefixtures("channel")
def test_a_discreet_answer_that_comes_too_late_is_a_direct_message(
    double: DiscordDouble, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "SETTLING_S", 0)
    with worker.busy():
        double.command("mood", place="group")
        eventually(lambda: double.acknowledged)
        double.rest.token_s = 0
    post = eventually(lambda: double.seen_by())[0]
    assert "mood" in post.text
    assert not double.seen_by(place="group")


@pytest.mark.usefixtures("channel")
def test_a_discreet_answer_that_cannot_be_given_is_a_dead_letter(
    double: DiscordDouble, worker: Worker, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "SETTLING_S", 0)
    double.rest.refusals[double.world.user("ada")["id"]] = 50007
    with worker.busy():
        double.command("mood", place="group")
        eventually(lambda: double.acknowledged)
        double.rest.token_s = 0
    eventually(lambda: store.letters.all())
    assert "takes no direct messages" in store.letters.all()[0].reason
    assert not double.posts


@pytest.mark.usefixtures("channel")
def test_a_chat_that_is_answered_too_late_is_answered_in_the_channel(
    double: DiscordDouble, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "SETTLING_S", 0)
    with worker.busy():
        double.command("chat", place="group", message="hello")
        eventually(lambda: double.acknowledged)
        double.rest.token_s = 0
    settled(double, "you said hello", double.world.general)


def test_another_process_answers_a_command(double: DiscordDouble, start: Start, worker: Worker) -> None:
    first = start()
    with worker.busy():
        double.command("mood", place="group")
        eventually(lambda: double.acknowledged)
        first.stop()
    start()
    assert "mood" in eventually(lambda: answers(double))[0].text


@pytest.mark.usefixtures("channel")
def test_a_command_that_redis_does_not_take_is_turned_away_at_once(
    double: DiscordDouble, redis_server: RedisServer
) -> None:
    os.kill(redis_server.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        double.command("chat", place="group", message="hello")
        post = eventually(lambda: answers(double))[0]
        assert time.monotonic() - began < 3
        assert post.text == "I cannot take anything in right now. Please try again in a moment."
    finally:
        os.kill(redis_server.pid, signal.SIGCONT)
    eventually(lambda: post.text == "you said hello")  # it was stored after all
    assert len(double.posts) == 1


@pytest.mark.usefixtures("channel")
@pytest.mark.parametrize("kind", ["error", "drop", "late", "flood"])
def test_an_acknowledgement_that_fails_is_tried_again_at_once(
    double: DiscordDouble, kind: Any, caplog: pytest.LogCaptureFixture
) -> None:
    double.fault("callback", kind, times=2, wait_s=0.1)
    double.command("chat", place="group", message="hello")
    post = settled(double, "you said hello", double.world.general)
    assert post.reply_to is None
    assert max(waited for _, waited in double.acknowledged) < 1
    assert [call.method for call in double.calls].count("original") == 1, "the answer of the command itself"
    assert "could not be handled" not in caplog.text


def test_a_command_that_comes_too_late_is_not_carried_out(double: DiscordDouble, start: Start, store: Store) -> None:
    first = start()
    eventually(lambda: store.notes("discord").get("session"))
    first.stop()
    double.rest.deadline_s = 0.1  # the person sees that it failed
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(interactions, "LATE_S", 0.1)
        double.command("chat", place="group", message="hello")
        eventually(lambda: double.violations)
        start()
        eventually(lambda: [call.status for call in double.calls if call.method == "callback"] == [404])
        double.rest.deadline_s = 3.0
    double.say("bye", place="group")
    settled(double, "you said bye", double.world.general)
    assert not store.redis.zcard(keys.WAITING)
    assert len(double.posts) == 1
    double.violations.clear()


@pytest.mark.usefixtures("channel")
def test_a_wrong_clock_does_not_make_every_command_too_late(double: DiscordDouble) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(interactions, "LATE_S", -60)
        double.command("chat", place="group", message="hello")
        settled(double, "you said hello", double.world.general)
        double.command("chat", place="group", message="")
        settled(double, "The message is empty. Write something first.", double.world.general)


@pytest.mark.usefixtures("channel")
def test_a_command_that_was_removed_says_so(double: DiscordDouble) -> None:
    double.command("dance", place="group")
    assert "/help" in eventually(lambda: answers(double))[0].text


def test_commands_are_registered_once_and_on_change(double: DiscordDouble, start: Start) -> None:
    first = start()
    eventually(lambda: double.rest.command_writes == 1)
    assert {command["name"] for command in double.rest.commands} == {"chat", *commands.TABLE}
    first.stop()
    asked = len([call for call in double.calls if call.method == "commands"])
    second = start()
    eventually(lambda: len([call for call in double.calls if call.method == "commands"]) > asked)
    double.say("hello")
    settled(double, "you said hello")
    assert double.rest.command_writes == 1
    second.stop()
    double.rest.commands[0]["description"] = "something of an earlier release"
    start()
    eventually(lambda: double.rest.command_writes == 2)


def test_a_used_up_quota_does_not_stop_the_start(
    double: DiscordDouble, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    double.rest.command_quota = 0
    start()
    eventually(lambda: "takes no more new commands" in caplog.text)
    double.say("hello")
    settled(double, "you said hello")


def test_commands_that_are_refused_for_good_are_not_asked_for_again(
    double: DiscordDouble, start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(adapter, "MENU_AGAIN_S", 0.05)
    double.fault("put_commands", "error", times=1)
    double.fault("put_commands", "refuse", times=99)
    start()
    eventually(lambda: "not be before the next start" in caplog.text)
    double.say("hello")
    settled(double, "you said hello")
    assert [call.method for call in double.calls].count("put_commands") == 2


def test_the_menu_has_what_the_table_has() -> None:
    by_name = {command["name"]: command for command in menu.wanted(4000)}
    assert by_name["chat"]["options"][0]["max_length"] == 4000
    choices = [choice["value"] for choice in by_name["help"]["options"][0]["choices"]]
    assert choices == list(commands.TABLE["help"].choices)
    assert by_name["mood"]["description"] == commands.TABLE["mood"].summary
