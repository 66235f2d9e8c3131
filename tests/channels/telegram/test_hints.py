"""What the adapter says and marks by itself, beside replies: hints, refusals, and the limits that hold for them."""

from collections.abc import Callable

import pytest

from core.errors import InputError
from tests.channels.telegram.conftest import Listening, direct, reply
from tests.channels.telegram.test_feedback import buttons
from tests.conftest import forget_settings
from tests.platforms.telegram import NAME, TelegramDouble
from tests.waiting import until


async def test_a_bare_forget_in_a_group_erases_nothing_and_is_explained_once(
    double: TelegramDouble, listening: Listening
) -> None:
    said = double.say("/forget", place="group")
    await until(lambda: double.posts)
    double.say("/new", place="group")
    double.say("/new", place="thread")
    double.say("/forget@OtherBot", place="group")
    double.say("/stop", user="bob", place="group")
    double.say(f"/forget@{NAME}", place="group")
    await until(lambda: listening.events and len(double.posts) == 2)
    await listening.stop()
    assert listening.texts == ["/forget"]
    to_ada, to_bob = double.posts
    assert to_ada.reply_to == said
    assert to_ada.text == f"If you mean me, write /forget@{NAME}, or answer one of my messages with it."
    assert f"/stop@{NAME}" in to_bob.text
    assert not double.violations


async def test_who_is_not_admitted_gets_no_hint(
    double: TelegramDouble, make_listening: Callable[..., Listening], monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = double.chats.user("ada")["id"]
    monkeypatch.setenv("RAPPORT_ACCESS__DENY", f'["telegram:-:{ada}"]')
    forget_settings()
    listening = make_listening().start()
    await until(double.connected)
    double.say("/forget", place="group")
    double.say("/forget", user="bob", place="group")
    await until(lambda: double.posts)
    await listening.stop()
    assert [post.reply_to for post in double.posts] == [double.acknowledged[-1][0]]


async def test_a_refusal_waits_as_long_as_telegram_says_and_comes(double: TelegramDouble, listening: Listening) -> None:
    double.fault("post", "flood", wait_s=1)
    listening.errors = [InputError("too_long", "That is too long.")]
    double.say("hello")
    await until(lambda: [post.text for post in double.seen_by()] == ["That is too long."])
    assert not double.violations


async def test_marks_on_buttons_keep_the_limits_of_the_chat(double: TelegramDouble, listening: Listening) -> None:
    await listening.adapter.send(reply("hello", direct("ada", double)))
    double.fault("editMessageReplyMarkup", "flood", wait_s=1)
    for _ in range(6):
        double.press(double.posts[0], "👍")
        double.press(double.posts[0], "👎")
    await until(lambda: buttons(double) == ["👍", "👎 ✓"])
    assert len(double.methods.answered_callbacks) == 12
    await listening.adapter.send(reply("more", direct("ada", double), number=2))
    assert not double.violations
