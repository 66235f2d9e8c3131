"""Updates that Telegram brings: only with our secret, and 200 only for what is stored."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import pytest

from channels.telegram import make_hook
from channels.telegram import webhook as module
from channels.telegram.settings import credentials
from channels.web.adapter import WebAdapter
from channels.web.settings import Web
from core.errors import InputError, SettingsError, StoreUnavailable
from core.events import MessageEvent
from core.settings import load
from tests.channels.telegram.conftest import Listening, direct, reply
from tests.channels.web.stack import free_port
from tests.conftest import forget_settings
from tests.platforms.telegram import TelegramDouble
from tests.waiting import until

HEADER = "X-Telegram-Bot-Api-Secret-Token"


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def url(port: int, monkeypatch: pytest.MonkeyPatch) -> str:
    url = f"http://127.0.0.1:{port}/hooks/telegram"
    monkeypatch.setenv("RAPPORT_TELEGRAM__WEBHOOK_URL", url)
    forget_settings()
    return url


@asynccontextmanager
async def served(port: int, redis_url: str, web: Listening) -> AsyncIterator[None]:
    """The hook in the web channel's own server."""
    hook = make_hook()
    assert hook
    adapter = WebAdapter(Web(port=port), None, load(), redis_url, [hook])
    serving = asyncio.create_task(adapter.run(web.accept))
    async with httpx.AsyncClient() as client:
        while True:
            with contextlib.suppress(httpx.ConnectError):
                await client.get(f"http://127.0.0.1:{port}/health")
                break
            await asyncio.sleep(0.02)
    yield
    serving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await serving
    await adapter.close()


@pytest.fixture
async def web(
    double: TelegramDouble, redis_url: str, url: str, port: int, make_listening: Callable[..., Listening]
) -> AsyncIterator[Listening]:
    """What the web process is given. It takes no part in sending."""
    web = make_listening()
    async with served(port, redis_url, web):
        yield web
    await web.adapter.close()


async def test_messages_come_in_and_replies_go_out(
    double: TelegramDouble, web: Listening, make_listening: Callable[..., Listening]
) -> None:
    channel = make_listening().start()
    await until(double.connected)
    said = [double.say("one"), double.say("two", place="group")]
    await web.heard(2)
    assert web.texts == ["one", "two"]
    await until(lambda: [name for name, _ in double.acknowledged] == said)
    assert not channel.events
    assert "getUpdates" not in {call.method for call in double.calls}
    await channel.adapter.send(reply("hello", direct("ada", double)))
    double.press(double.posts[0], "👍")
    await until(lambda: double.methods.answered_callbacks)
    double.redeliver(said[0])
    await until(lambda: len(web.events) == 3)
    assert web.events[2].id == web.events[0].id


async def test_what_is_not_stored_is_brought_again(
    double: TelegramDouble, web: Listening, make_listening: Callable[..., Listening]
) -> None:
    make_listening().start()
    await until(double.connected)
    web.errors = [StoreUnavailable("Redis is away")] * 2
    double.say("one")
    double.say("two")
    await web.heard(2)
    assert web.texts == ["one", "two"]
    assert double.updates.last_error == "Wrong response from the webhook: 503 Service Unavailable"


async def test_what_cannot_be_taken_is_told(
    double: TelegramDouble, web: Listening, make_listening: Callable[..., Listening]
) -> None:
    make_listening().start()
    await until(double.connected)
    web.errors = [InputError("too_many", "Wait for my answer.")]
    double.say("one")
    await until(double.seen_by)
    assert double.seen_by()[0].text == "Wait for my answer."
    await until(lambda: len(double.acknowledged) == 1)


async def test_only_telegram_gets_in(double: TelegramDouble, web: Listening, url: str) -> None:
    secret = credentials().secret
    assert len(secret) == 64
    update = {"update_id": 1, "message": {}}
    async with httpx.AsyncClient() as client:
        assert (await client.post(url, json=update)).status_code == 401
        assert (await client.post(url, json=update, headers={HEADER: "no"})).status_code == 401
        right = {HEADER: secret}
        assert (await client.get(url, headers=right)).status_code == 405
        assert (await client.post(url, content=b"{", headers=right)).status_code == 400
        assert (await client.post(url, json=[1], headers=right)).status_code == 400
        assert (await client.post(url, json=update, headers=right)).status_code == 200
        assert secret not in (await client.post(url, json=update)).text
    assert not web.events


async def test_the_secret_alone_opens_and_a_token_without_it_does_not(
    double: TelegramDouble, web: Listening, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What anybody can know or send: part of the secret, the bot's token, several headers, strange bytes."""
    found = credentials()
    update = {"update_id": 1, "message": {}}
    async with httpx.AsyncClient() as client:
        for given in (found.secret[:-1], found.secret + "0", found.secret.upper(), found.token, ""):
            assert (await client.post(url, json=update, headers={HEADER: given})).status_code == 401
        strange = {HEADER.encode(): b"\xff\xfe"}
        assert (await client.post(url, json=update, headers=strange)).status_code == 401
        assert (await client.post(f"{url}?secret_token={found.secret}", json=update)).status_code == 401
    # Who has another bot's token has another secret.
    monkeypatch.setenv("TELEGRAM_BOT_TOKEN", "654321:" + "z" * 35)
    forget_settings()
    assert credentials().secret != found.secret
    assert found.secret not in repr(found)


def test_nothing_starts_without_a_token(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELEGRAM_BOT_TOKEN", "")
    forget_settings()
    with pytest.raises(SettingsError, match="TELEGRAM_BOT_TOKEN is not set"):
        make_hook()


async def test_what_is_too_large_is_not_read_to_its_end(double: TelegramDouble, redis_url: str, url: str) -> None:
    hook = make_hook()
    assert hook

    async def accept(event: MessageEvent) -> bool:
        raise AssertionError("nothing is to be accepted")

    transport = httpx.ASGITransport(hook.app(accept))  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, headers={HEADER: credentials().secret}) as client:
        assert (await client.post(url, content=b" " * 1_100_000)).status_code == 400
    await hook.close()


async def test_before_it_knows_who_it_is_messages_wait(double: TelegramDouble, web: Listening, url: str) -> None:
    double.fault("getMe", "error")
    body = {"update_id": 1, "edited_message": {}}
    async with httpx.AsyncClient(headers={HEADER: credentials().secret}) as client:
        assert (await client.post(url, json=body)).status_code == 503
        assert (await client.post(url, json=body)).status_code == 200


async def test_a_webhook_that_somebody_changed_is_set_again(
    double: TelegramDouble,
    web: Listening,
    make_listening: Callable[..., Listening],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0.05)
    double.fault("setWebhook", "error", times=2)
    make_listening().start()
    await until(lambda: "getWebhookInfo" in {call.method for call in double.calls if call.status})

    async def change() -> None:
        double.updates.set_webhook({"url": "http://127.0.0.1:1/x", "secret_token": "x"})

    double.run(change())
    await until(lambda: "somebody changed the webhook" in caplog.text)
    await until(lambda: double.updates.webhook["url"].endswith("/hooks/telegram"))
    double.say("hello")
    await web.heard(1)


async def test_what_telegram_says_of_the_webhook_is_logged_once(
    double: TelegramDouble,
    redis_url: str,
    url: str,
    make_listening: Callable[..., Listening],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0.05)
    make_listening().start()
    await until(double.connected)
    double.say("hello")
    await until(lambda: "could not bring messages to [telegram] webhook_url" in caplog.text)
    looks = [call.method for call in double.calls].count("getWebhookInfo")
    await until(lambda: [call.method for call in double.calls].count("getWebhookInfo") > looks + 2)
    assert caplog.text.count("could not bring messages") == 1


async def test_the_same_failure_at_a_later_time_is_logged_again(
    double: TelegramDouble,
    redis_url: str,
    url: str,
    make_listening: Callable[..., Listening],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def looks() -> int:
        return [call.method for call in double.calls].count("getWebhookInfo")

    async def after(at: int) -> int:
        """How often it was logged, once the failure of this time was seen."""
        double.updates.fail("Wrong response from the webhook: 503", at)
        seen = looks()
        await until(lambda: looks() > seen + 2)
        return caplog.text.count("could not bring messages")

    monkeypatch.setattr(module, "LOOK_S", 0.05)
    make_listening().start()
    assert await after(1_800_000_000) == 1
    assert await after(1_800_000_060) == 1, "while it goes on, not each time"
    monkeypatch.setattr(module, "AGAIN_S", 0.0)
    assert await after(1_800_600_000) == 2
    assert await after(1_800_600_000) == 2


def test_without_an_address_there_is_no_hook(double: TelegramDouble, redis_url: str) -> None:
    forget_settings()
    assert make_hook() is None
