"""Words to people whose message was not taken: said once, to who may hear them, and never so many that it floods."""

from typing import Any

import pytest

from channels.discord import hints
from core.store import Store
from tests.channels.discord.conftest import Start, settled
from tests.platforms.base import Post
from tests.platforms.discord import DiscordDouble
from tests.waiting import eventually

STICKER = {"sticker_items": [{"id": "1", "name": "wave", "format_type": 1}]}
FORWARD = {
    "message_reference": {"type": 1, "message_id": "1", "channel_id": "1"},
    "message_snapshots": [{"message": {"type": 0, "content": "of others", "attachments": [], "embeds": []}}],
}


def hinted(double: DiscordDouble, space: str) -> list[Post]:
    return [post for post in double.posts if post.space == space and "mention me by name" in post.text]


@pytest.mark.usefixtures("channel")
def test_a_message_without_text_is_not_taken_and_its_author_told(double: DiscordDouble) -> None:
    message = double.say("", place="group")
    post = settled(double, "The message is empty. Write something first.", double.world.general)
    assert post.reply_to == message
    double.redeliver(message)
    double.say("hello", place="group")
    settled(double, "you said hello", double.world.general)
    assert len(double.posts) == 2


@pytest.mark.usefixtures("channel")
@pytest.mark.parametrize("kind", ["error", "late", "flood"])
def test_a_word_to_the_person_is_said_once_in_spite_of_a_failure(double: DiscordDouble, kind: Any) -> None:
    double.fault("post", kind, times=2, wait_s=0.1)
    double.say("", place="group")
    settled(double, "The message is empty. Write something first.", double.world.general)
    double.say("hello", place="group")
    settled(double, "you said hello", double.world.general)
    assert len(double.posts) == 2


@pytest.mark.usefixtures("channel")
def test_a_word_that_could_not_be_said_is_said_with_the_next_delivery(
    double: DiscordDouble, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hints, "TELLS", 1)
    double.fault("post", "error", times=1)
    message = double.say("", place="group")
    note = f"told:discord:{double.world.general}:{message}"
    eventually(lambda: any(call.status == 500 for call in double.calls))
    # It may be found among what was missed before the session as well, and said then.
    eventually(lambda: store.notes("discord").get(note) is None or double.posts)
    double.redeliver(message)
    settled(double, "The message is empty. Write something first.", double.world.general)


@pytest.mark.usefixtures("channel")
def test_who_writes_what_the_bot_may_not_read_is_told(double: DiscordDouble) -> None:
    double.say(f"<@&{double.world.role_id}> hello", place="group", mention=False)
    post = eventually(lambda: double.seen_by(place="group"))[0]
    assert "mention me by name" in post.text
    double.say("and now?", user="bob", place="group", mention=False, reply_to=post.id)
    assert "leave the ping on" in eventually(lambda: double.seen_by(place="group")[1:])[0].text


def test_who_is_kept_out_does_not_make_the_bot_write(
    double: DiscordDouble, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = double.world.user("ada")["id"]
    monkeypatch.setenv("RAPPORT_ACCESS__DENY", f'["discord:-:{ada}"]')
    start()
    double.say("", place="group")
    double.say(f"<@&{double.world.role_id}> hello", place="group", mention=False)
    double.say("word " * 3000, place="group")
    double.say("hello", place="group", user="bob")
    settled(double, "you said hello", double.world.general)
    double.say("bye", place="group", user="bob")
    settled(double, "you said bye", double.world.general)
    assert [post.text for post in double.posts] == ["you said hello", "you said bye"]


@pytest.mark.usefixtures("channel")
def test_however_much_somebody_writes_that_the_bot_may_not_read_it_says_so_once(double: DiscordDouble) -> None:
    for number in range(20):
        double.say(f"<@&{double.world.role_id}> {number}", place="group", mention=False, user="bob")
    double.say("hello", place="group")
    settled(double, "you said hello", double.world.general)
    double.say("bye", place="group")
    settled(double, "you said bye", double.world.general)
    assert len(hinted(double, double.world.general)) == 1
    assert len(double.posts) == 3


@pytest.mark.usefixtures("channel")
def test_words_of_the_bot_keep_to_the_pace_of_the_channel(double: DiscordDouble, store: Store) -> None:
    place = hints.Messages.posting(double.world.general)[0]
    store.pace("discord").hold(place, 30)
    double.say(f"<@&{double.world.role_id}> hello", place="group", mention=False)
    double.say("psst")
    settled(double, "you said psst")
    double.say("bye")
    settled(double, "you said bye")
    assert not hinted(double, double.world.general)


@pytest.mark.usefixtures("channel")
def test_a_thread_of_others_whose_texts_are_kept_back_is_left_alone(double: DiscordDouble) -> None:
    """The bot may take part in it: stickers and forwards come along, and say nothing."""
    double.say("", place="thread", mention=False, **STICKER)
    double.say("", place="thread", mention=False, **FORWARD)
    double.say("hello", place="thread")
    settled(double, "you said hello", double.world.thread)
    double.say("bye", place="thread")
    settled(double, "you said bye", double.world.thread)
    assert len(double.posts) == 2


def test_in_a_thread_that_the_bot_opened_it_says_once_that_it_must_be_mentioned(
    double: DiscordDouble, start: Start
) -> None:
    start(threads=True)
    thread = double.say("what is for dinner?", place="group")
    settled(double, "you said what is for dinner?", thread)
    double.say("and after that?", channel=thread, mention=False)
    eventually(lambda: hinted(double, thread))
    double.say("hello?", channel=thread, mention=False, user="bob")
    double.say("", channel=thread, mention=False, user="cy", **STICKER)
    double.say("now?", channel=thread)
    settled(double, "you said now?", thread)
    assert len(hinted(double, thread)) == 1
    assert len(double.posts) == 3
