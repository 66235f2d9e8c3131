"""Replies as people see them in a chat, and what becomes of the platform's errors."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import httpx
import pytest
from telegram.error import (
    BadRequest,
    ChatMigrated,
    Forbidden,
    InvalidToken,
    NetworkError,
    RetryAfter,
    TelegramError,
    TimedOut,
)

from channels.delivery import Message, MessageGone
from channels.telegram.adapter import TelegramAdapter
from channels.telegram.api import delivery_error
from channels.telegram.messages import REPEATED, Messages, limits
from channels.telegram.render import JOINER
from core.errors import DeliveryLater, DeliveryRefused, DeliveryUnsure
from core.events import Address, Draft, Heard
from tests.channels.telegram.conftest import direct, reply
from tests.platforms.telegram import FORUM, GROUP, TelegramDouble
from tests.platforms.telegram_chats import TOPIC

GROUP_ADDRESS = Address(channel="telegram", space=str(GROUP), direct=False)
TOPIC_ADDRESS = Address(channel="telegram", space=str(FORUM), thread=str(TOPIC), direct=False)


def message(address: Address, text: str = "hello", **fields: object) -> Message:
    made = Message(
        address=address,
        reply_id="0" * 32,
        number=0,
        text=text,
        shown=text,
        final=True,
        last=True,
        in_reply_to=(f"telegram:7000000001:{address.space}:1",),
    )
    return replace(made, **fields)  # type: ignore[arg-type]


async def test_a_direct_reply(double: TelegramDouble, adapter: TelegramAdapter) -> None:
    await adapter.send(reply("**Hello** <Ada> & [more](https://x.org)", direct("ada", double)))
    (post,) = double.seen_by()
    assert post.text == "Hello <Ada> & more"
    assert [entity["type"] for entity in post.extra["entities"]] == ["bold", "text_link"]
    assert post.reply_to is None
    assert post.extra["preview"] is False
    assert [[button["text"] for button in row] for row in post.extra["markup"]["inline_keyboard"]] == [["👍", "👎"]]
    assert not double.violations


async def test_in_a_group_it_answers_the_message(double: TelegramDouble, adapter: TelegramAdapter) -> None:
    said = double.say("hi", place="group")
    await adapter.send(reply("hello", GROUP_ADDRESS, f"telegram:7000000001:{said}"))
    assert double.seen_by(place="group")[0].reply_to == said
    await adapter.send(reply("hello", GROUP_ADDRESS, f"telegram:7000000001:{GROUP}:999", number=2))
    assert double.seen_by(place="group")[1].reply_to is None  # it was deleted; the reply comes all the same


async def test_in_a_topic_it_stays_there(double: TelegramDouble, adapter: TelegramAdapter) -> None:
    said = double.say("hi", place="thread")
    await adapter.send(reply("hello", TOPIC_ADDRESS, f"telegram:7000000001:{said}"))
    assert double.seen_by(place="thread")[0].thread == str(TOPIC)
    await adapter.working(Heard(event_id="x", address=TOPIC_ADDRESS, person="p"))
    assert double.signs[0][0] == f"{FORUM}/{TOPIC}"


async def test_commands_and_failures_are_not_rated(double: TelegramDouble, adapter: TelegramAdapter) -> None:
    for number, reason in enumerate(("command", "failed", "cancelled")):
        await adapter.send(reply("x", direct("ada", double), number=number, finish_reason=reason))
    assert [post.extra["markup"] for post in double.seen_by()] == [None] * 3


async def test_a_long_reply_loses_nothing_and_sounds_once(double: TelegramDouble, adapter: TelegramAdapter) -> None:
    text = "\n\n".join(f"{number}. {'word ' * 40}" for number in range(45))
    await adapter.send(reply(text, direct("ada", double)))
    posts = double.seen_by()
    assert len(posts) == 3
    assert " ".join(" ".join(post.text for post in posts).split()) == " ".join(text.split())
    assert [post.extra["silent"] for post in posts] == [False, True, True]
    assert [bool(post.extra["markup"]) for post in posts] == [False, False, True]
    assert not double.violations


async def test_nobody_is_pinged(double: TelegramDouble, adapter: TelegramAdapter) -> None:
    await adapter.send(reply("@ada [you](tg://user?id=1001) @everyone", GROUP_ADDRESS))
    (post,) = double.seen_by(place="group")
    assert not post.extra["entities"]
    assert post.text.replace(JOINER, "") == "@ada you (tg://user?id=1001) @everyone"


async def test_text_that_telegram_cannot_read_is_sent_as_it_was(
    double: TelegramDouble, adapter: TelegramAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    from channels.telegram import messages
    from channels.telegram.render import Rendered

    monkeypatch.setattr(messages, "render", lambda text: Rendered("<oops>", text, 0))
    await adapter.send(reply("**Hello** @ada", direct("ada", double)))
    assert double.seen_by()[0].text == f"**Hello** @{JOINER}ada"


async def test_what_telegram_finds_empty_or_too_long_is_sent_as_it_was(
    double: TelegramDouble, adapter: TelegramAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    from channels.telegram import messages
    from channels.telegram.render import Rendered

    address = direct("ada", double)
    await adapter.send(reply("**\u200b**", address))
    assert double.seen_by()[0].text == "**\u200b**"
    network = Messages(adapter._api)
    number = await network.post(message(address))
    monkeypatch.setattr(messages, "render", lambda text: Rendered("x" * 4097, text, 0))
    await network.edit(number, message(address, "changed"))
    assert double.seen_by()[1].text == "changed"


async def test_drafts_become_the_reply_within_the_limits(double: TelegramDouble, adapter: TelegramAdapter) -> None:
    address = direct("ada", double)
    final = reply(" ".join(["word"] * 40), address)
    words = final.text.split()
    for count in range(1, 40):
        so_far = " ".join(words[:count])
        await adapter.draft(
            Draft(reply_id=final.id, address=address, in_reply_to=final.in_reply_to, text=so_far, person="p")
        )
    await adapter.send(final)
    (post,) = double.seen_by()
    assert post.text == final.text
    assert len(post.texts) >= 2
    assert post.extra["markup"]
    assert not double.violations
    await adapter.send(final)  # once more, as after a crash: nothing happens
    assert len(double.seen_by()) == 1


async def test_a_draft_that_somebody_deleted_is_posted_anew(double: TelegramDouble, adapter: TelegramAdapter) -> None:
    address = direct("ada", double)
    final = reply("hello world", address)
    await adapter.draft(Draft(reply_id=final.id, address=address, in_reply_to=final.in_reply_to, text="hello"))
    double.remove(double.posts[0])
    await adapter.send(final)
    assert [post.text for post in double.seen_by()] == ["hello world"]


async def test_twenty_replies_to_a_group_stay_below_its_limit(double: TelegramDouble, adapter: TelegramAdapter) -> None:
    network = Messages(adapter._api)
    group = network.budget(message(GROUP_ADDRESS), editing=False)
    slowest = min(group, key=lambda bucket: bucket.per_s)
    assert slowest.burst + 60 * slowest.per_s < 21
    edits = network.budget(message(GROUP_ADDRESS, final=False), editing=True)
    assert min(bucket.per_s for bucket in edits) == pytest.approx(1 / 3.5)
    to_ada = network.budget(message(direct("ada", double), final=False), editing=True)
    assert min(bucket.per_s for bucket in to_ada) == pytest.approx(1 / 1.1)


async def test_a_flood_wait_is_kept_to_the_second(double: TelegramDouble, adapter: TelegramAdapter) -> None:
    double.fault("post", "flood", wait_s=2)
    address = direct("ada", double)
    with pytest.raises(DeliveryLater) as caught:
        await adapter.send(reply("hello", address))
    assert (caught.value.retry_after_s, caught.value.flood) == (2, True)
    await adapter.send(reply("hello", address))  # the budget holds it back, whoever asks
    assert [post.text for post in double.seen_by()] == ["hello"]
    assert not double.violations


@pytest.mark.parametrize(
    "why", ["bot was blocked by the user", "user is deactivated", "bot can't initiate conversation with a user"]
)
async def test_what_is_forbidden_is_a_dead_letter(double: TelegramDouble, adapter: TelegramAdapter, why: str) -> None:
    double.chats.user("ada")
    double.forbid(why=why)
    with pytest.raises(DeliveryRefused, match=why):
        await adapter.send(reply("hello", direct("ada", double)))


async def test_a_chat_that_is_not_there_is_a_dead_letter(double: TelegramDouble, adapter: TelegramAdapter) -> None:
    with pytest.raises(DeliveryRefused, match="Chat not found"):
        await adapter.send(reply("hello", Address(channel="telegram", space="-5", direct=False)))
    gone = TOPIC_ADDRESS.model_copy(update={"thread": "5"})
    with pytest.raises(DeliveryRefused, match="thread not found"):
        await adapter.send(reply("hello", gone, number=2))


async def test_a_private_topic_that_is_gone_does_not_swallow_the_reply(
    double: TelegramDouble, adapter: TelegramAdapter
) -> None:
    await adapter.send(reply("hello", direct("ada", double).model_copy(update={"thread": "5"})))
    assert [post.text for post in double.seen_by()] == ["hello"]


async def test_an_unsure_send_is_repeated_once_and_marked(double: TelegramDouble, adapter: TelegramAdapter) -> None:
    final = reply("**hello**", direct("ada", double))
    double.fault("post", "late")
    with pytest.raises(DeliveryUnsure):
        await adapter.send(final)
    await adapter.send(final)
    assert [post.text for post in double.seen_by()] == ["hello", f"hello\n\n{REPEATED}"]
    double.fault("post", "drop")
    lost = reply("lost", direct("ada", double), number=2)
    with pytest.raises(DeliveryUnsure):
        await adapter.send(lost)
    await adapter.send(lost)
    assert [post.text for post in double.seen_by()][2:] == [f"lost\n\n{REPEATED}"]


async def test_the_mark_fits_the_fullest_message(double: TelegramDouble, adapter: TelegramAdapter) -> None:
    network = Messages(adapter._api)
    (part,) = network.split("😀" * 2000)
    await network.post(message(direct("ada", double), part.shown, repeated=True))
    assert double.seen_by()[0].text.endswith(REPEATED)


async def test_edits(double: TelegramDouble, adapter: TelegramAdapter) -> None:
    network, to_ada = Messages(adapter._api), direct("ada", double)
    number = await network.post(message(to_ada))
    await network.edit(number, message(to_ada))  # not modified
    with pytest.raises(MessageGone):
        await network.edit("99", message(to_ada))
    double.fault("edit", "late")
    with pytest.raises(DeliveryLater):
        await network.edit(number, message(to_ada, "changed"))
    await network.edit(number, message(to_ada, "changed", rateable=True))
    assert double.seen_by()[0].extra["markup"]
    await network.delete(number, message(to_ada))
    await network.delete(number, message(to_ada))
    assert not double.seen_by()
    assert await network.find(message(to_ada), datetime.now(UTC)) is None


async def test_a_group_that_became_a_supergroup_is_followed(double: TelegramDouble, adapter: TelegramAdapter) -> None:
    final = reply("hello world", GROUP_ADDRESS)
    await adapter.draft(Draft(reply_id=final.id, address=GROUP_ADDRESS, in_reply_to=final.in_reply_to, text="hello"))
    double.migrate(-1002000000099)
    await adapter.send(final)
    await adapter.send(reply("more", GROUP_ADDRESS, number=2))
    await adapter.working(Heard(event_id="x", address=GROUP_ADDRESS, person="p"))
    assert [post.text for post in double.posts if post.space == "-1002000000099"] == ["hello world", "more"]
    assert double.signs[0][0] == "-1002000000099"


def caused(error: TelegramError, cause: Exception) -> TelegramError:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (lambda: RetryAfter(7), DeliveryLater),
        (lambda: ChatMigrated(-5), DeliveryLater),
        (lambda: InvalidToken("The token `1:SECRET` was rejected by the server."), DeliveryLater),
        (lambda: Forbidden("Forbidden: bot was kicked from the group chat"), DeliveryRefused),
        (lambda: BadRequest("Not enough rights to send text messages to the chat"), DeliveryRefused),
        (lambda: caused(TimedOut(), httpx.ReadTimeout("")), DeliveryUnsure),
        (lambda: caused(TimedOut(), httpx.WriteTimeout("")), DeliveryUnsure),
        (lambda: caused(TimedOut(), httpx.ConnectTimeout("")), DeliveryLater),
        (lambda: caused(TimedOut(), httpx.PoolTimeout("")), DeliveryLater),
        (
            lambda: caused(NetworkError("httpx.ConnectError: bot1:SECRET"), httpx.ConnectError("")),
            DeliveryLater,
        ),
        (lambda: caused(NetworkError("httpx.ReadError: bot1:SECRET"), httpx.ReadError("")), DeliveryUnsure),
        (lambda: NetworkError("Bad Gateway (502)"), DeliveryUnsure),
        (lambda: TelegramError("Invalid server response"), DeliveryUnsure),
    ],
)
def test_errors_in_our_words(
    error: Callable[[], TelegramError], kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    translated = delivery_error(error())
    assert type(translated) is kind
    assert "SECRET" not in str(translated)
    harmless = delivery_error(error(), harmless=True)
    assert not isinstance(harmless, DeliveryUnsure)


async def test_a_flood_wait_for_a_sign_is_kept_by_signs_and_replies(
    double: TelegramDouble, adapter: TelegramAdapter
) -> None:
    double.fault("sign", "flood", wait_s=1)
    address = direct("ada", double)
    heard = Heard(event_id="x", address=address, person="p")
    for _ in range(3):
        with pytest.raises(DeliveryLater) as caught:
            await adapter.working(heard)
        assert 0 < caught.value.retry_after_s <= 1.01
    assert [call.method for call in double.calls] == ["sendChatAction"]
    await adapter.working(Heard(event_id="x", address=direct("bob", double), person="p"))
    await adapter.send(reply("hello", address))
    while True:
        try:
            await adapter.working(heard)
            break
        except DeliveryLater as error:
            await asyncio.sleep(error.retry_after_s)
    assert [space for space, _ in double.signs] == [direct("bob", double).space, address.space]
    assert not double.violations


async def test_signs_cost_replies_nothing(double: TelegramDouble, adapter: TelegramAdapter) -> None:
    address = direct("ada", double)
    for _ in range(5):
        await adapter.working(Heard(event_id="x", address=address, person="p"))
    assert adapter._pace.take(limits(address)) == 0
    assert len(double.signs) == 5
