"""The double is as strict as the Bot API: what a real bot would be refused, it refuses."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from telegram import Bot, InlineKeyboardButton, InlineKeyboardMarkup, ReplyParameters
from telegram.error import BadRequest, ChatMigrated, Conflict, Forbidden, InvalidToken, NetworkError, RetryAfter
from telegram.request import HTTPXRequest

from tests.platforms.telegram import GROUP, NAME, TOKEN, TelegramDouble
from tests.platforms.telegram_rates import Rates
from tests.platforms.telegram_text import BadText, read
from tests.waiting import until


@pytest.fixture
def double() -> Iterator[TelegramDouble]:
    double = TelegramDouble()
    double.start()
    yield double
    double.stop()


@pytest.fixture
async def bot(double: TelegramDouble) -> AsyncIterator[Bot]:
    bot = Bot(TOKEN, base_url=f"http://127.0.0.1:{double.port}/bot")
    async with bot:
        yield bot


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("a < b", 'Unsupported start tag "" at byte offset 2'),
        ("<b>x", 'Can\'t find end tag corresponding to start tag "b"'),
        ("x</b>", "Unexpected end tag at byte offset 1"),
        ("<b>x</i>", 'Unmatched end tag at byte offset 4, expected "</b>", found "</i>"'),
        ("<b><i>x</b></i>", 'Unmatched end tag at byte offset 7, expected "</i>", found "</b>"'),
        ("é<h1>x</h1>", 'Unsupported start tag "h1" at byte offset 2'),
        ("<b", "Unclosed start tag at byte offset 0"),
        ("<span>x</span>", 'Tag "span" must have class "tg-spoiler" at byte offset 0'),
        ("<p>x</p>", 'Unsupported start tag "p" at byte offset 0'),
    ],
)
def test_html_is_parsed_strictly(text: str, error: str) -> None:
    with pytest.raises(BadText) as caught:
        read(text, "HTML")
    assert str(caught.value) == f"can't parse entities: {error}"


def test_html_becomes_text_and_entities_in_utf16_units() -> None:
    parsed = read('😀<b>a<i>b</i></b> &lt;&amp;&nbsp; <a href="https://x.org">l</a>', "HTML")
    assert parsed.text == "😀ab <&&nbsp; l"
    assert [(e["type"], e["offset"], e["length"]) for e in parsed.entities] == [
        ("bold", 2, 2),
        ("italic", 3, 1),
        ("text_link", 14, 1),
    ]
    code = read('<pre><code class="language-py">x = 1</code></pre>', "HTML")
    assert code.entities == [{"type": "pre", "offset": 0, "length": 5, "language": "py"}]


def test_a_link_to_a_user_is_a_mention_that_pings() -> None:
    assert read('<a href="tg://user?id=5">x</a>', "HTML").entities[0]["type"] == "text_mention"


def test_length_counts_after_parsing() -> None:
    assert read("<b>" + "x" * 4096 + "</b>", "HTML")
    for text in ("x" * 4097, "😀" * 2049):
        with pytest.raises(BadText, match="message is too long"):
            read(text, None)
    with pytest.raises(BadText, match="MESSAGE_TOO_LONG"):
        read("x" * 4097, None, changed=True)


def test_what_cannot_be_seen_is_no_text() -> None:
    with pytest.raises(BadText, match="message text is empty"):
        read(" \n", "HTML")
    for text in ("<b> </b>", "<b>\u200b</b>"):
        with pytest.raises(BadText, match="message must be non-empty"):
            read(text, "HTML")
    with pytest.raises(BadText, match="message must be non-empty"):
        read("\u200b\u2060", None)


def test_rates_allow_a_short_burst_and_no_more() -> None:
    now = [0.0]
    violations: list[str] = []
    rates = Rates(violations, lambda: now[0])
    for _ in range(3):
        assert rates.check(1) is None
    assert not violations
    assert rates.check(1) is None
    assert len(violations) == 1
    rates.enforce = True
    assert rates.check(1) == 2
    now[0] = 10
    for _ in range(20):
        now[0] += 2.9
        assert rates.check(-5) is None
    assert rates.check(-5) == 5
    now[0] += 1
    rates.check(-5)
    assert "before the end of the wait" in violations[-1]


async def test_updates_wait_until_the_offset_confirms_them(double: TelegramDouble, bot: Bot) -> None:
    first = double.say("one")
    double.say("two")
    updates = await bot.get_updates(timeout=5)
    assert [update.message.text for update in updates if update.message] == ["one", "two"]
    assert [u.update_id for u in await bot.get_updates()] == [u.update_id for u in updates]
    assert not double.acknowledged
    left = await bot.get_updates(offset=updates[0].update_id + 1)
    assert len(left) == 1
    assert [name for name, _ in double.acknowledged] == [first]
    double.redeliver(first)
    assert (await bot.get_updates(offset=updates[1].update_id + 1))[0].update_id == updates[0].update_id


async def test_a_second_poller_ends_the_first(double: TelegramDouble, bot: Bot) -> None:
    first = asyncio.create_task(bot.get_updates(timeout=20))
    await until(double.connected)
    other = Bot(TOKEN, base_url=f"http://127.0.0.1:{double.port}/bot", get_updates_request=HTTPXRequest())
    async with other:
        second = asyncio.create_task(other.get_updates(timeout=20))
        with pytest.raises(Conflict, match="terminated by other getUpdates request"):
            await first
        double.say("hello")
        assert len(await second) == 1
    await bot.set_webhook("http://127.0.0.1:1/x", secret_token="s")
    with pytest.raises(Conflict, match="webhook is active"):
        await bot.get_updates()


async def test_privacy_mode_lets_through_what_is_meant_for_the_bot(double: TelegramDouble, bot: Bot) -> None:
    double.privacy = True
    double.say("chatter", place="group", mention=False)
    double.say("/ban@OtherBot x", place="group")
    double.say("hi", place="group")
    double.say("/help", place="group")
    mine = await bot.send_message(GROUP, "mine")
    double.say("answer", place="group", reply_to=f"{GROUP}:{mine.message_id}")
    texts = [update.message.text for update in await bot.get_updates() if update.message]
    assert texts == ["/help", "answer"]
    double.privacy = False
    double.say("chatter", place="group", mention=False)
    double.say("hi", place="group")
    updates = await bot.get_updates()
    assert [update.message.text for update in updates[2:] if update.message] == ["chatter", f"@{NAME} hi"]


async def test_refusals_have_the_texts_of_the_bot_api(double: TelegramDouble, bot: Bot) -> None:
    ada = double.chats.user("ada")["id"]
    with pytest.raises(BadRequest, match="Chat not found"):
        await bot.send_message(5, "x")
    with pytest.raises(BadRequest, match="Message to edit not found"):
        await bot.edit_message_text("x", ada, 99)
    sent = await bot.send_message(ada, "x")
    with pytest.raises(BadRequest, match="not modified"):
        await bot.edit_message_text("x", ada, sent.message_id)
    with pytest.raises(BadRequest, match="to be replied not found"):
        await bot.send_message(ada, "x", reply_parameters=ReplyParameters(99))
    await bot.send_message(ada, "x", reply_parameters=ReplyParameters(99, allow_sending_without_reply=True))
    with pytest.raises(BadRequest, match="thread not found"):
        await bot.send_message(GROUP, "x", message_thread_id=3)
    keyboard = InlineKeyboardMarkup([[InlineKeyboardButton("a", callback_data="é" * 33)]])
    with pytest.raises(BadRequest, match="Button_data_invalid"):
        await bot.send_message(GROUP, "x", reply_markup=keyboard)
    with pytest.raises(BadRequest, match="Bot_commands_too_much"):
        await bot.set_my_commands([(f"c{number}", "x") for number in range(101)])
    double.forbid()
    with pytest.raises(Forbidden, match="blocked"):
        await bot.send_message(ada, "x")
    double.migrate(-1002000000009)
    with pytest.raises(ChatMigrated):
        await bot.send_message(GROUP, "x")
    stranger = Bot("7000000001:wrong", base_url=f"http://127.0.0.1:{double.port}/bot")
    with pytest.raises(InvalidToken):
        await stranger.get_me()
    await stranger.request.shutdown()


async def test_faults(double: TelegramDouble, bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PTB_TIMEDELTA", "true")  # without it the SDK warns whenever it makes a RetryAfter
    ada = double.chats.user("ada")["id"]
    double.fault("post", "flood", wait_s=2)
    with pytest.raises(RetryAfter):
        await bot.send_message(ada, "x")
    await bot.send_message(ada, "x")
    assert "before the end of the wait" in double.violations[0]
    for kind in ("drop", "error", "late"):
        double.fault("post", kind)  # type: ignore[arg-type]
        with pytest.raises(NetworkError):
            await bot.send_message(ada, kind)
    assert [post.text for post in double.seen_by()] == ["x", "late"]
    double.fault("post", "refuse")
    with pytest.raises(Forbidden):
        await bot.send_message(ada, "x")
