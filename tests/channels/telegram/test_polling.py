"""Updates come in one after the other, are stored before they are confirmed, and no trouble ends it."""

import asyncio
import logging
import subprocess
import sys
from collections.abc import Callable

import pytest
from telegram import Bot

from channels.telegram import polling, seat
from channels.telegram.seat import NOTE
from core.errors import InputError, StoreUnavailable
from core.settings import load
from core.store import Store
from core.store.notes import Notes
from tests.channels.telegram.conftest import Listening
from tests.platforms.telegram import TOKEN, TelegramDouble
from tests.waiting import until


def notes(redis_url: str) -> Notes:
    return Store(redis_url, load(), lambda person: person).notes("telegram")


async def test_what_waits_after_a_downtime_comes_in_order(
    double: TelegramDouble, make_listening: Callable[..., Listening]
) -> None:
    said = [double.say(f"message {number}") for number in range(250)]
    listening = make_listening().start()
    await listening.heard(250)
    assert listening.texts == [f"message {number}" for number in range(250)]
    assert [event.id for event in listening.events] == [f"telegram:7000000001:{one}" for one in said]
    await until(lambda: len(double.acknowledged) == 250)
    assert not double.violations


async def test_nothing_is_confirmed_before_it_is_stored(double: TelegramDouble, listening: Listening) -> None:
    listening.open.clear()
    calls = len(double.calls)
    double.say("hello")
    await until(lambda: not double.updates.polled)
    for _ in range(20):
        await asyncio.sleep(0)
    assert not double.acknowledged
    assert [call.method for call in double.calls[calls:] if call.method == "getUpdates"] == []
    listening.open.set()
    await until(lambda: len(double.acknowledged) == 1)
    assert listening.texts == ["hello"]


async def test_while_the_store_is_away_messages_wait_in_order(
    double: TelegramDouble, listening: Listening, caplog: pytest.LogCaptureFixture
) -> None:
    listening.errors = [StoreUnavailable("Redis is away")] * 3
    double.say("one")
    double.say("two")
    await listening.heard(2)
    assert listening.texts == ["one", "two"]
    assert caplog.text.count("messages wait at Telegram") == 1


async def test_a_redelivered_message_has_the_same_id(double: TelegramDouble, listening: Listening) -> None:
    said = double.say("hello")
    await until(lambda: len(double.acknowledged) == 1)
    double.redeliver(said)
    double.say("more")
    await listening.heard(3)
    assert listening.events[0].id == listening.events[1].id != listening.events[2].id


@pytest.mark.parametrize("kind", ["drop", "error", "late", "flood"])
async def test_it_goes_on_after_trouble(double: TelegramDouble, listening: Listening, kind: str) -> None:
    double.fault("getUpdates", kind, times=2, wait_s=1)  # type: ignore[arg-type]
    double.say("one")
    double.say("two")
    await listening.heard(2)
    assert list(dict.fromkeys(listening.texts)) == ["one", "two"]
    await until(lambda: len(double.acknowledged) == 2)


async def test_an_update_that_nobody_understands_stops_nothing(
    double: TelegramDouble, listening: Listening, caplog: pytest.LogCaptureFixture
) -> None:
    double.raw("message", {"text": "my secret", "chat": 5, "from": {"id": 1}})
    double.raw("message", {"message_id": "x", "from": {"id": 1}, "text": ["my secret"]})
    double.say("hello")
    assert (await listening.heard(1))[0].text == "hello"
    assert caplog.text.count("is not understood") == 2
    assert "my secret" not in caplog.text


async def test_a_second_poller_is_named_and_outlasted(
    double: TelegramDouble, listening: Listening, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    other = Bot(TOKEN, base_url=f"http://127.0.0.1:{double.port}/bot")
    async with other:
        theirs = asyncio.create_task(other.get_updates(timeout=20))
        await until(lambda: "another process polls with this bot's token" in caplog.text)
        await asyncio.gather(theirs, return_exceptions=True)
    double.say("hello")
    await listening.heard(1)
    await until(lambda: "Telegram answers again" in caplog.text)


async def test_a_foreign_webhook_is_named_and_outlasted(
    double: TelegramDouble, make_listening: Callable[..., Listening], caplog: pytest.LogCaptureFixture
) -> None:
    other = Bot(TOKEN, base_url=f"http://127.0.0.1:{double.port}/bot")
    async with other:
        await other.set_webhook("http://hooks.example:1/secret-path")
        listening = make_listening().start()
        await until(lambda: "a webhook at hooks.example is set" in caplog.text)
        assert "secret-path" not in caplog.text
        assert double.updates.webhook
        await other.delete_webhook()
    double.say("hello")
    await listening.heard(1)


async def test_an_own_webhook_of_earlier_is_removed(
    double: TelegramDouble, redis_url: str, make_listening: Callable[..., Listening]
) -> None:
    url = "http://127.0.0.1:1/hooks/telegram"
    notes(redis_url).put(polling.WEBHOOK_NOTE, url, 60)
    other = Bot(TOKEN, base_url=f"http://127.0.0.1:{double.port}/bot")
    async with other:
        await other.set_webhook(url)
    double.say("hello")
    await make_listening().start().heard(1)
    assert not double.updates.webhook


async def test_a_refused_token_is_named_and_tried_again(
    double: TelegramDouble,
    make_listening: Callable[..., Listening],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(polling, "TOKEN_PAUSE_S", 0.1)
    caplog.set_level(logging.DEBUG, "channels")
    double.token = "revoked"
    listening = make_listening().start()
    await until(lambda: "Telegram refuses TELEGRAM_BOT_TOKEN" in caplog.text)
    double.token = TOKEN
    await until(double.connected)
    double.token = "revoked again"
    double.say("hello")
    await until(lambda: caplog.text.count("Telegram refuses TELEGRAM_BOT_TOKEN") == 2)
    double.token = TOKEN
    await listening.heard(1)
    assert TOKEN not in "".join(record.getMessage() for record in caplog.records if record.name.startswith("channels"))


async def test_a_call_that_never_ends_is_given_up(
    double: TelegramDouble,
    make_listening: Callable[..., Listening],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(polling, "WATCHDOG_S", 0.5)
    double.fault("getUpdates", "slow", wait_s=60)
    listening = make_listening().start()
    await until(lambda: "no call to Telegram has completed" in caplog.text)
    double.say("hello")
    await listening.heard(1)


async def test_of_two_processes_one_polls_and_the_other_takes_over(
    double: TelegramDouble, make_listening: Callable[..., Listening], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seat, "RENEW_S", 0.05)
    first = make_listening().start()
    await until(double.connected)
    monkeypatch.setattr(seat.os, "getpid", lambda: 1)  # another process, one that lives
    second = make_listening().start()
    double.say("one")
    await first.heard(1)
    assert double.updates.conflicts == 0
    await first.stop()
    double.say("two")
    await second.heard(1)
    assert second.texts[-1] == "two"
    assert double.updates.conflicts == 0


async def test_the_place_of_a_process_that_was_killed_is_free_at_once(
    double: TelegramDouble, redis_url: str, make_listening: Callable[..., Listening]
) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        dead.wait()
    notes(redis_url).put(NOTE, f"{seat._machine()}:{dead.pid}", 60)
    double.say("hello")
    await make_listening().start().heard(1)


async def test_what_cannot_be_taken_is_told_once_and_confirmed(double: TelegramDouble, listening: Listening) -> None:
    listening.errors = [InputError("too_many", "Wait for my answer, then go on.")] * 2
    double.say("one")
    double.say("two")
    await until(lambda: len(double.acknowledged) == 2)
    await until(double.seen_by)
    assert [post.text for post in double.seen_by()] == ["Wait for my answer, then go on."]
    assert not listening.events


async def test_an_album_in_a_group_is_one_thing(double: TelegramDouble, listening: Listening) -> None:
    double.say("chatter", place="group", mention=False)
    double.album(["look", "", ""], place="group", user="bob")
    double.album(["not for you"], place="thread", user="bob")
    await listening.heard(3)
    assert [(event.text, event.attachments[0].kind, event.quiet_s) for event in listening.events[:3]] == [
        ("look", "image", 1.0),
        ("", "image", 1.0),
        ("", "image", 1.0),
    ]


async def test_a_pasted_text_in_a_group_is_one_thing(double: TelegramDouble, listening: Listening) -> None:
    double.say("word " * 1000, place="group", user="bob")
    double.say("chatter", place="group", user="bob", mention=False)
    double.say("bye", place="group")
    await listening.heard(3)
    assert [event.quiet_s for event in listening.events] == [1.0, 0, 0]
    assert sum(event.text.count("word") for event in listening.events[:2]) == 1000
    assert listening.texts[2] == "bye"
