"""Messages, replies, threads and ratings on Discord, from the gateway to the gateway."""

import logging

import pytest

from core.store import Store, keys
from tests.channels.discord.conftest import Start, settled
from tests.channels.path import ChannelThread, Worker
from tests.platforms.base import Post
from tests.platforms.discord import DiscordDouble
from tests.waiting import eventually

ADA = "ada"


def person(double: DiscordDouble, user: str = ADA) -> str:
    return f"discord:-:{double.world.user(user)['id']}"


@pytest.mark.usefixtures("channel")
def test_a_reply_in_a_server_points_to_the_message(double: DiscordDouble) -> None:
    message = double.say("hello", place="group")
    post = settled(double, "you said hello", double.world.general)
    assert post.reply_to == message
    direct = double.say("psst")
    assert settled(double, "you said psst").reply_to is None
    assert direct


@pytest.mark.usefixtures("channel")
def test_a_reply_to_a_message_that_is_gone_arrives_all_the_same(double: DiscordDouble, worker: Worker) -> None:
    with worker.busy():
        message = double.say("hello", place="group")
        eventually(lambda: double.signs)
        double.take_back(message)
    assert settled(double, "you said hello", double.world.general).reply_to is None


@pytest.mark.usefixtures("channel")
def test_a_reply_of_a_person_to_the_bot_is_for_the_bot(double: DiscordDouble) -> None:
    double.say("hello", place="group")
    post = settled(double, "you said hello", double.world.general)
    double.say("and now?", place="group", mention=False, reply_to=post.id, mentions=[double.world.bot])
    settled(double, "you said and now?", double.world.general)


@pytest.mark.usefixtures("channel")
def test_edits_deletions_bots_and_webhooks_are_left_alone(double: DiscordDouble) -> None:
    message = double.say("hello")
    settled(double, "you said hello")
    double.edit(message, "hello, corrected")
    double.take_back(message)
    double.say("tick", user="clock", place="group", bot=True)
    double.say("build failed", user="ci", place="group", webhook_id="1")
    double.say("bye")
    settled(double, "you said bye")
    assert [post.text for post in double.posts] == ["you said hello", "you said bye"]


def test_other_bots_are_answered_if_settings_say_so(double: DiscordDouble, start: Start) -> None:
    start(other_bots=True)
    double.say("tick", user="clock", place="group", bot=True)
    settled(double, "you said tick", double.world.general)


@pytest.mark.usefixtures("channel")
def test_a_payload_that_cannot_be_read_ends_nothing(double: DiscordDouble, caplog: pytest.LogCaptureFixture) -> None:
    double.say("broken", user="bob", attachments=[{"id": "1"}])  # discord.py's client does not survive it
    double.say("hello", place="group")
    settled(double, "you said hello", double.world.general)
    assert "could not be read" in caplog.text
    assert "beginning anew" in caplog.text


def test_typing_is_shown_again_and_again(
    double: DiscordDouble, channel: ChannelThread, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(channel.runner._adapter), "sign_s", 0.3)
    with worker.busy():
        double.say("hello")
        eventually(lambda: len(double.signs) >= 3)
    settled(double, "you said hello")


def test_a_mention_opens_a_thread_if_settings_say_so(double: DiscordDouble, start: Start) -> None:
    start(threads=True)
    message = double.say("what is for dinner?", place="group")
    settled(double, "you said what is for dinner?", message)
    assert double.world.channels[message]["name"] == "what is for dinner?"
    assert double.world.channels[message]["parent_id"] == double.world.general
    bot = double.world.bot["id"]
    double.say(f"<@{bot}> and after that?", channel=message, mention=False)
    settled(double, "you said and after that?", message)
    assert all(post.space == message for post in double.posts)


def test_where_threads_may_not_be_opened_the_reply_stays_in_the_channel(double: DiscordDouble, start: Start) -> None:
    start(threads=True)
    double.fault("thread", "refuse", times=9)
    double.say("what is for dinner?", place="group")
    settled(double, "you said what is for dinner?", double.world.general)


def test_the_thread_of_a_message_is_found_after_a_crash(double: DiscordDouble, start: Start, worker: Worker) -> None:
    first = start(threads=True)
    with worker.busy():
        message = double.say("what is for dinner?", place="group")
        eventually(lambda: message in double.world.channels)
        first.stop()
    start(threads=True)
    settled(double, "you said what is for dinner?", message)


@pytest.mark.usefixtures("channel")
@pytest.mark.parametrize(("up", "verdict"), [(True, "up"), (False, "down")])
def test_a_button_rates_the_reply(double: DiscordDouble, store: Store, up: bool, verdict: str) -> None:
    double.say("hello", place="group")
    post = settled(double, "you said hello", double.world.general)
    double.press(post, up=up, user="bob")
    eventually(lambda: store.redis.hvals(keys.feedback(person(double, "bob"))) == [verdict])
    thanks = eventually(lambda: [one for one in double.posts if one.ephemeral_for == "bob"])
    assert thanks[0].text.startswith("Thank you")


def test_buttons_work_after_a_restart(double: DiscordDouble, store: Store, start: Start) -> None:
    first = start()
    double.say("hello")
    post = settled(double, "you said hello")
    first.stop()
    start()
    double.press(post)
    eventually(lambda: store.redis.hvals(keys.feedback(person(double))) == ["up"])


@pytest.mark.usefixtures("channel")
def test_a_reaction_rates_the_reply_until_it_is_taken_back(double: DiscordDouble, store: Store) -> None:
    double.say("hello", place="group")
    post = settled(double, "you said hello", double.world.general)
    eventually(lambda: store.notes("discord").get(f"reply:{post.space}:{post.id}"))
    double.react(post, "🎉")
    double.react(post, "👍🏽")
    eventually(lambda: store.redis.hvals(keys.feedback(person(double))) == ["up"])
    double.react(post, "👍🏽", take_back=True)
    eventually(lambda: not store.redis.exists(keys.feedback(person(double))))


@pytest.mark.usefixtures("channel")
def test_who_changes_their_mind_by_reaction_keeps_the_second_rating(double: DiscordDouble, store: Store) -> None:
    double.say("hello", place="group")
    post = settled(double, "you said hello", double.world.general)
    eventually(lambda: store.notes("discord").get(f"reply:{post.space}:{post.id}"))
    double.react(post, "👍")
    double.react(post, "👎")
    double.react(post, "👍", take_back=True)
    double.react(post, "👍", user="bob")
    eventually(lambda: store.redis.hvals(keys.feedback(person(double, "bob"))) == ["up"])
    eventually(lambda: store.redis.hvals(keys.feedback(person(double))) == ["down"])
    double.say("psst")
    settled(double, "you said psst")
    assert store.redis.hvals(keys.feedback(person(double))) == ["down"]


@pytest.mark.usefixtures("channel")
def test_the_last_part_alone_has_buttons(double: DiscordDouble, worker: Worker) -> None:
    worker.script = lambda prompt, on_text, cancelled: "word " * 900
    double.say("hello")

    def parts() -> list[Post]:
        return [post for post in double.posts if post.text.startswith("word")]

    eventually(lambda: len(parts()) == 3)
    assert [bool(post.extra["components"]) for post in parts()] == [False, False, True]


@pytest.mark.usefixtures("channel")
def test_what_the_double_tells_of_a_refusal_is_the_reason_of_the_dead_letter(
    double: DiscordDouble, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    double.rest.refusals[double.world.general] = 50013
    with caplog.at_level(logging.ERROR):
        double.say("hello", place="group")
        eventually(lambda: store.letters.all())
    assert "the bot lacks a permission there" in store.letters.all()[0].reason
    assert double.token not in caplog.text
