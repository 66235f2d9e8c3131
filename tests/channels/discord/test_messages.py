"""One message at a time, through discord.py's own client: what it costs, what is refused, what a repeat does."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import discord
import pytest

from channels.delivery import Message, MessageGone
from channels.discord import api as discord_api
from channels.discord.adapter import DiscordAdapter
from channels.discord.api import Api, Refused
from channels.discord.connection import point_to, quieten
from channels.discord.messages import Messages
from channels.discord.settings import credentials
from channels.discord.tickets import Tickets
from core.dialogue import Address
from core.errors import DeliveryError, DeliveryLater, DeliveryRefused, DeliveryUnsure
from core.store import Store
from tests.channels.path import quick_settings, same, surroundings
from tests.platforms.discord import DiscordDouble
from tests.platforms.discord_rules import GLOBAL_RATE, RATES

REPLY = "0123456789abcdef0123456789abcdef"
LONG_AGO = timedelta(minutes=10)


@pytest.fixture
def double(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[DiscordDouble]:
    double = DiscordDouble()
    with surroundings(double, monkeypatch):
        yield double
    assert not double.violations, double.violations


@pytest.fixture
async def api(double: DiscordDouble) -> AsyncIterator[Api]:
    quieten()
    point_to(credentials())
    client = discord.Client(intents=discord.Intents.none())
    await client.login(double.token)
    yield Api(lambda: client)
    await client.close()


@pytest.fixture
def messages(api: Api, redis_url: str) -> Iterator[Messages]:
    store = Store(redis_url, quick_settings(), same)
    notes = store.notes("discord")
    yield Messages(api, Tickets(notes), notes)
    store.close()


def message(double: DiscordDouble, text: str = "hello", **more: Any) -> Message:
    space = double.world.general
    given: dict[str, Any] = {"number": 0, "final": True, "last": True, "rateable": True}
    given |= {"in_reply_to": (f"discord:{space}:1",)} | more
    address = Address(channel="discord", space=space, direct=False)
    return Message(address=address, reply_id=REPLY, text=text, shown=text, **given)


async def test_a_repeat_makes_no_second_message(double: DiscordDouble, messages: Messages) -> None:
    one = message(double)
    assert await messages.post(one) == await messages.post(replace(one, repeated=True))
    assert [post.texts for post in double.posts] == [["hello"]]
    assert double.calls[-1].arguments["nonce"] == one.key
    assert double.calls[-1].arguments["enforce_nonce"] is True


async def test_a_repeat_with_another_text_changes_the_first(double: DiscordDouble, messages: Messages) -> None:
    await messages.post(message(double, "hel", final=False))
    await messages.post(message(double, "hello"))
    assert [post.texts for post in double.posts] == [["hel", "hello"]]
    assert double.feedback_buttons == 1


async def test_a_draft_that_comes_late_leaves_the_reply_as_it_is(double: DiscordDouble, messages: Messages) -> None:
    """It was about to be posted when its process stood still; meanwhile another one posted the reply."""
    reply = await messages.post(message(double, "hello"))
    assert await messages.post(message(double, "hel", final=False)) == reply
    assert [post.texts for post in double.posts] == [["hello"]]
    assert double.feedback_buttons == 1


async def test_a_repeat_of_what_was_deleted_is_posted(double: DiscordDouble, messages: Messages) -> None:
    first = await messages.post(message(double, "hel", final=False))
    await messages.delete(first, message(double))
    await messages.post(message(double, "hello"))
    assert [post.text for post in double.posts if not post.deleted] == ["hello"]


@pytest.mark.parametrize(
    ("method", "kind", "error"),
    [
        ("post", "flood", DeliveryLater),
        ("post", "error", DeliveryUnsure),
        ("post", "drop", DeliveryUnsure),
        ("post", "late", DeliveryUnsure),
        ("post", "refuse", DeliveryRefused),
    ],
)
async def test_failures_are_told_apart(
    double: DiscordDouble, messages: Messages, method: str, kind: Any, error: type[Exception]
) -> None:
    double.fault(method, kind, wait_s=0.7)
    with pytest.raises(error) as failed:
        await messages.post(message(double))
    assert len([call for call in double.calls if call.method == method]) == 1, "trying again is the runner's affair"
    if isinstance(failed.value, DeliveryLater):
        assert failed.value.flood
        assert failed.value.retry_after_s == pytest.approx(0.7)


@pytest.mark.parametrize(("kind", "error"), [("flood", DeliveryLater), ("error", DeliveryUnsure)])
async def test_a_failure_of_the_last_call_of_a_window_is_told_before_the_next_window(
    double: DiscordDouble, messages: Messages, api: Api, kind: Any, error: type[Exception]
) -> None:
    for number in range(RATES["post"][0] - 1):
        await messages.post(message(double, number=number))
    double.fault("post", kind, wait_s=0.1)
    with pytest.raises(error):
        await messages.post(message(double, number=9))
    assert api._running, "discord.py itself waits for the next window"


@pytest.mark.parametrize("ban", [False, True])
async def test_a_flood_in_all_holds_every_call(
    double: DiscordDouble, messages: Messages, api: Api, monkeypatch: pytest.MonkeyPatch, ban: bool
) -> None:
    monkeypatch.setattr(discord_api, "BANNED_WAIT_S", 0.7)
    double.rest.rates.close(0.7, ban=ban)
    with pytest.raises(DeliveryLater) as first:
        await messages.post(message(double))
    assert first.value.flood
    assert first.value.everywhere
    assert first.value.retry_after_s == pytest.approx(0.7, abs=0.05)
    for path in ("/channels/{channel_id}/typing", "/channels/{channel_id}/messages"):
        with pytest.raises(DeliveryLater) as later:
            await api.call("POST", path, {}, channel_id=double.world.quiet)
        assert 0 < later.value.retry_after_s < 0.7
        assert later.value.flood
    assert len([call for call in double.calls if call.method in ("post", "typing")]) == 1
    path = "/interactions/{interaction}/{webhook_token}/callback"
    with pytest.raises(DeliveryError):  # these are not counted in all, and a person waits
        await api.call("POST", path, {"type": 5}, interaction="1", webhook_token="none")
    assert double.calls[-1].method == "callback"
    await asyncio.sleep(later.value.retry_after_s)
    await messages.post(message(double))


def test_what_is_held_for_all_places_is_the_last_of_every_budget(double: DiscordDouble) -> None:
    messages = Messages(Api(lambda: None), Tickets(None), None)  # type: ignore[arg-type]
    for final in (True, False):
        for editing in (True, False):
            assert messages.budget(message(double, final=final), editing=editing)[-1].name == "all"


def test_replies_and_signs_of_life_fit_into_the_limit_of_all_calls(double: DiscordDouble) -> None:
    messages = Messages(Api(lambda: None), Tickets(None), None)  # type: ignore[arg-type]
    widest = messages.budget(message(double), editing=False)[-1]
    in_any_second = [bucket.per_s + bucket.burst for bucket in (widest, DiscordAdapter.sign_budget)]
    assert sum(in_any_second) <= GLOBAL_RATE[0]


@pytest.mark.parametrize(
    ("code", "reason"), [(50001, "cannot see"), (50013, "lacks a permission"), (10003, "is gone"), (50083, "archived")]
)
async def test_a_refusal_has_its_reason(double: DiscordDouble, messages: Messages, code: int, reason: str) -> None:
    double.rest.refusals[double.world.general] = code
    with pytest.raises(Refused, match=reason) as refused:
        await messages.post(message(double))
    assert refused.value.code == code


async def test_a_revoked_token_keeps_the_reply(double: DiscordDouble, messages: Messages) -> None:
    token, double.token = double.token, "revoked"
    with pytest.raises(DeliveryLater) as later:
        await messages.post(message(double))
    assert later.value.retry_after_s >= 10
    assert token not in str(later.value)


async def test_what_is_gone_cannot_be_edited_but_taken_back(double: DiscordDouble, messages: Messages) -> None:
    one = message(double)
    posted = await messages.post(one)
    await messages.delete(posted, one)
    with pytest.raises(MessageGone):
        await messages.edit(posted, one)
    await messages.delete(posted, one)


async def test_an_edit_brings_the_buttons(double: DiscordDouble, messages: Messages) -> None:
    posted = await messages.post(message(double, "hel", final=False))
    assert not double.posts[0].extra["components"]
    await messages.edit(posted, message(double))
    assert double.posts[0].extra["components"][0]["components"][0]["custom_id"] == f"rate:up:{REPLY}"


async def test_an_old_message_whose_answer_is_missing_is_found_again(double: DiscordDouble, messages: Messages) -> None:
    one = message(double)
    since = datetime.now(UTC)
    double.say("hello", channel=double.world.general, mention=False)
    posted = await messages.post(one)
    assert await messages.find(one, since) is None, "the nonce is known yet"
    double.world.messages[double.world.general][-1]["id"] = posted
    assert await messages.find(one, since - LONG_AGO) == posted
    assert await messages.find(message(double, "something else"), since - LONG_AGO) is None


async def test_the_reply_to_another_message_is_not_mistaken_for_it(double: DiscordDouble, messages: Messages) -> None:
    asked = double.say("hi", channel=double.world.general, mention=False)
    other = message(double, rateable=False, in_reply_to=(f"discord:{double.world.general}:{asked}",))
    await messages.post(other)
    mine = message(double, rateable=False, in_reply_to=(f"discord:{double.world.general}:{int(asked) + 1}",))
    assert await messages.find(mine, datetime.now(UTC) - LONG_AGO) is None


async def test_the_budget_of_an_edit_is_not_that_of_a_post(double: DiscordDouble, messages: Messages) -> None:
    post = messages.budget(message(double), editing=False)
    edit = messages.budget(message(double), editing=True)
    draft = messages.budget(message(double, final=False), editing=True)
    assert post[0].name != edit[0].name
    assert min(1 / bucket.per_s for bucket in draft if bucket.burst == 1) >= 1.2


async def test_no_token_is_ever_logged(
    double: DiscordDouble, messages: Messages, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        double.fault("post", "drop")
        with pytest.raises(DeliveryUnsure) as unsure:
            await messages.post(message(double))
        await messages.post(message(double))
    assert double.token not in caplog.text
    assert double.token not in repr(unsure.value)
    assert "hello" not in caplog.text


async def test_without_a_connection_it_waits(double: DiscordDouble, redis_url: str) -> None:
    api = Api(lambda: None)
    with pytest.raises(DeliveryLater):
        await api.call("GET", "/users/@me")
