"""Calls of the SDK: what becomes of those that are cancelled."""

import asyncio
from collections.abc import Iterator
from random import Random

import pytest

from channels.telegram import api
from channels.telegram.settings import Credentials
from tests.platforms.telegram import TOKEN, TelegramDouble
from tests.waiting import until


@pytest.fixture
def double() -> Iterator[TelegramDouble]:
    double = TelegramDouble()
    double.start()
    yield double
    double.stop()


async def test_calls_that_are_cancelled_at_any_moment_leave_their_connections_to_others(
    double: TelegramDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "CONNECTIONS", 2)
    telegram = api.Api(Credentials(TOKEN, double.environment["TELEGRAM_API_URL"]))
    chance = Random(0)
    for _ in range(60):
        calls = [asyncio.create_task(telegram.bot.get_me()) for _ in range(6)]
        await asyncio.sleep(chance.random() * 0.02)
        for call in calls[::2]:
            call.cancel()
        for found in await asyncio.gather(*calls, return_exceptions=True):
            assert not isinstance(found, Exception), "nobody waits in vain for a connection"
    assert (await telegram.bot.get_me()).username
    await telegram.close()


async def test_a_call_that_is_cancelled_before_it_is_sent_is_not_sent(
    double: TelegramDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "CONNECTIONS", 1)
    telegram = api.Api(Credentials(TOKEN, double.environment["TELEGRAM_API_URL"]))
    double.fault("getMe", "slow", wait_s=30)
    first = asyncio.create_task(telegram.bot.get_me())
    await until(lambda: len(double.calls) == 1)
    waiting = asyncio.create_task(telegram.bot.get_my_commands())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    double.hurry()
    await first
    await telegram.bot.get_me()
    assert [call.method.lower() for call in double.calls] == ["getme", "getme"]
    await telegram.close()
