"""Buttons and reactions end up as ratings; the command menu."""

import asyncio
import logging
from collections.abc import Callable

import pytest
from telegram import BotCommand

from channels.telegram.adapter import menu_of
from core.commands import TABLE
from core.errors import StoreUnavailable
from core.settings import load
from core.store import Store
from tests.channels.telegram.conftest import Listening, direct, reply
from tests.channels.telegram.test_sending import GROUP_ADDRESS
from tests.platforms.telegram import TelegramDouble
from tests.waiting import until


def ratings(redis_url: str, person: str) -> dict[str, str]:
    from core.store import keys

    store = Store(redis_url, load(), lambda person: person)
    found = store.redis.hgetall(keys.feedback(person))
    store.close()
    return dict(found)


def buttons(double: TelegramDouble) -> list[str]:
    return [button["text"] for button in double.posts[0].extra["markup"]["inline_keyboard"][0]]


async def test_a_button_is_recorded_answered_and_marked(
    double: TelegramDouble, listening: Listening, redis_url: str
) -> None:
    final = reply("hello", direct("ada", double))
    await listening.adapter.send(final)
    double.press(double.posts[0], "👍")
    await until(lambda: buttons(double) == ["👍 ✓", "👎"])
    assert ratings(redis_url, "telegram:-:1001") == {final.id: "up"}
    assert double.methods.answered_callbacks[0]["text"] == "Thank you 👍"
    double.press(double.posts[0], "👎")
    await until(lambda: buttons(double) == ["👍", "👎 ✓"])
    assert ratings(redis_url, "telegram:-:1001") == {final.id: "down"}
    double.press(double.posts[0], "👎")
    await until(lambda: buttons(double) == ["👍", "👎"])
    assert ratings(redis_url, "telegram:-:1001") == {}
    assert not double.methods.open_callbacks


async def test_in_a_group_the_choice_of_one_is_not_shown_to_all(
    double: TelegramDouble, listening: Listening, redis_url: str
) -> None:
    final = reply("hello", GROUP_ADDRESS)
    await listening.adapter.send(final)
    double.press(double.posts[0], "👍", user="ada")
    double.press(double.posts[0], "👎", user="bob")
    await until(lambda: len(double.methods.answered_callbacks) == 2)
    assert ratings(redis_url, "telegram:-:1001") == {final.id: "up"}
    assert ratings(redis_url, "telegram:-:1002") == {final.id: "down"}
    assert buttons(double) == ["👍", "👎"]


async def test_a_reaction_is_recorded(double: TelegramDouble, listening: Listening, redis_url: str) -> None:
    final = reply("hello", direct("ada", double))
    await listening.adapter.send(final)
    double.react(double.posts[0], "❤")
    await until(lambda: ratings(redis_url, "telegram:-:1001") == {final.id: "up"})
    double.react(double.posts[0], "🤔")
    await until(lambda: ratings(redis_url, "telegram:-:1001") == {})
    double.react(double.posts[0], "👎")
    await until(lambda: ratings(redis_url, "telegram:-:1001") == {final.id: "down"})
    double.react(double.posts[0], "👍")
    await until(lambda: ratings(redis_url, "telegram:-:1001") == {final.id: "up"})
    double.react(double.posts[0], None)
    await until(lambda: ratings(redis_url, "telegram:-:1001") == {})
    assert not listening.events


async def test_a_button_of_somebody_else_is_answered_all_the_same(double: TelegramDouble, listening: Listening) -> None:
    double.methods.open_callbacks.add("7")
    query = {
        "id": "7",
        "from": double.chats.user("ada"),
        "chat_instance": "1",
        "data": "buy:42",
        "inline_message_id": "x",
    }
    double.raw("callback_query", query)
    await until(lambda: double.methods.answered_callbacks)


async def test_a_press_waits_for_the_store_and_an_old_one_does_no_harm(
    double: TelegramDouble, listening: Listening, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await listening.adapter.send(reply("hello", direct("ada", double)))
    people, tries = listening.adapter._intake._people, []
    rate = people.rate

    def away(*given: object) -> None:
        tries.append(given)
        if len(tries) == 1:
            raise StoreUnavailable("Redis is away")
        rate(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(people, "rate", away)
    query = double.press(double.posts[0], "👍")
    double.methods.open_callbacks.discard(query)  # too old for Telegram by now
    await until(lambda: "a hint or a mark on a button was not shown" in caplog.text)
    assert len(tries) == 2
    double.say("hello")
    await listening.heard(1)


def menu(double: TelegramDouble) -> list[str]:
    return [command["command"] for command in double.methods.commands.get("default/", [])]


def sets(double: TelegramDouble) -> int:
    return [call.method for call in double.calls].count("setMyCommands")


async def test_the_menu_is_set_when_it_differs(
    double: TelegramDouble, make_listening: Callable[..., Listening]
) -> None:
    first = make_listening().start()
    await until(lambda: menu(double) == list(TABLE))
    await first.stop()
    second = make_listening().start()
    await until(lambda: [call.method for call in double.calls].count("getMyCommands") == 2)
    await until(double.connected)
    await second.stop()
    assert sets(double) == 1


async def test_the_menu_is_trimmed_and_never_stops_the_start(
    double: TelegramDouble, make_listening: Callable[..., Listening], caplog: pytest.LogCaptureFixture
) -> None:
    double.methods.commands_allowed = 2
    first = make_listening().start()
    await until(lambda: menu(double) == list(TABLE)[:2])
    await first.stop()
    double.fault("getMyCommands", "error")
    second = make_listening().start()
    double.say("hello")
    await second.heard(1)
    await until(lambda: "the command menu could not be set" in caplog.text)


def test_the_menu_is_that_of_the_one_table() -> None:
    made = menu_of(TABLE)
    assert [(one.command, one.description) for one in made] == [(name, one.summary) for name, one in TABLE.items()]
    assert all(isinstance(one, BotCommand) and len(one.description) <= 256 for one in made)


async def test_stop_lets_what_is_done_beside_finish(double: TelegramDouble, listening: Listening) -> None:
    await listening.adapter.send(reply("hello", direct("ada", double)))
    double.fault("answerCallbackQuery", "slow", wait_s=0.2)
    double.press(double.posts[0], "👍")
    await until(lambda: any(call.method == "answerCallbackQuery" for call in double.calls))
    await listening.stop()
    assert double.methods.answered_callbacks
    assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
