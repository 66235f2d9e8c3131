"""What whoever sets the bot up is told, and refused."""

import subprocess
import sys

import pytest
from telegram import Bot

from channels.telegram import make_adapter
from channels.telegram.check import check
from channels.telegram.settings import Credentials, Telegram, credentials
from core import settings
from core.errors import SettingsError
from tests.conftest import ROOT, forget_settings
from tests.platforms.telegram import TOKEN, TelegramDouble


async def told(**section: str) -> tuple[bool, str]:
    fine, lines = await check(Telegram(**section), credentials())
    return fine, "\n".join(lines)


async def test_a_fresh_bot(double: TelegramDouble) -> None:
    double.privacy = True
    double.say("hello")
    fine, lines = await told()
    assert fine
    assert "Bot: Rapport (@RapportTestBot), https://t.me/RapportTestBot" in lines
    assert "Privacy mode is on" in lines
    assert "/setprivacy, your bot, Disable" in lines
    assert "by polling; no webhook is set" in lines
    assert "1 update; it keeps them for 24 hours" in lines


async def test_what_botfather_can_change(double: TelegramDouble) -> None:
    double.methods.me |= {"has_topics_enabled": True}
    _, lines = await told()
    assert "Privacy mode is off" in lines
    assert "Topics in private chats: yes" in lines
    double.methods.me |= {"can_join_groups": False}
    assert "/setjoingroups, Enable" in (await told())[1]


async def test_a_webhook(double: TelegramDouble) -> None:
    other = Bot(TOKEN, base_url=f"http://127.0.0.1:{double.port}/bot")
    async with other:
        await other.set_webhook("http://127.0.0.1:1/hooks/telegram")
    fine, lines = await told()
    assert not fine
    assert "a webhook at 127.0.0.1 is set" in lines
    assert (await told(webhook_url="http://127.0.0.1:1/hooks/telegram"))[0]
    double.updates.fail("Connection refused")
    assert "Connection refused" in (await told(webhook_url="http://127.0.0.1:1/hooks/telegram"))[1]
    fine, taken = await check(Telegram(), credentials(), take_over=True)
    assert fine
    assert "Delivery: by polling; no webhook is set." in taken
    assert "Telegram learns it when the channel starts" in (await told(webhook_url="https://bot.example/x"))[1]


async def test_what_does_not_work(double: TelegramDouble) -> None:
    fine, lines = await check(Telegram(), Credentials("7000000001:wrong", double.environment["TELEGRAM_API_URL"]))
    assert not fine
    assert "Telegram refuses TELEGRAM_BOT_TOKEN" in lines[0]
    fine, lines = await check(Telegram(), Credentials(TOKEN, "http://127.0.0.1:1"))
    assert not fine
    assert "cannot be reached at http://127.0.0.1:1 (ConnectError)" in lines[0]
    assert TOKEN not in "".join(lines)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("TELEGRAM_BOT_TOKEN", "", "TELEGRAM_BOT_TOKEN is not set. Get a token from @BotFather"),
        ("TELEGRAM_BOT_TOKEN", "hunter2", "does not look like a token"),
        ("TELEGRAM_API_URL", "api.telegram.org", "must begin with https://"),
        ("RAPPORT_TELEGRAM__WEBHOOK_URL", "bot.example.org", "full public address"),
        ("RAPPORT_TELEGRAM__OTHER_BOTS", "perhaps", r"\[telegram\] other_bots"),
    ],
)
def test_settings_that_cannot_work(
    double: TelegramDouble, redis_url: str, monkeypatch: pytest.MonkeyPatch, name: str, value: str, text: str
) -> None:
    monkeypatch.setenv(name, value)
    forget_settings()
    with pytest.raises(SettingsError, match=text) as caught:
        make_adapter()
    assert "hunter2" not in str(caught.value)


def test_the_token_shows_nowhere(double: TelegramDouble) -> None:
    made = credentials()
    assert TOKEN not in repr(made)
    assert made.secret != Credentials("7000000001:another-token-of-this-bot").secret


def test_the_process_is_light(double: TelegramDouble, redis_url: str) -> None:
    """Less than 120 MB with the adapter made; and a web process without a webhook does not import the SDK."""
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from channels.telegram import make_adapter, make_hook\n"
        "assert make_hook() is None\n"
        "print('telegram' in sys.modules)\n"
        "make_adapter()\n"
        "status = dict(line.split(':', 1) for line in Path('/proc/self/status').read_text().splitlines())\n"
        "print(int(status['VmHWM'].split()[0]) // 1024)\n"
    )
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    imported, megabytes = out.split()
    assert imported == "False"
    assert int(megabytes) < 120


def test_the_section_is_known() -> None:
    assert "telegram" in settings.CHANNEL_SECTIONS
    with pytest.raises(ValueError, match="bogus"):
        Telegram(bogus=1)  # type: ignore[call-arg]
