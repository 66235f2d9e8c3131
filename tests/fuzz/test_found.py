"""What fuzzing found, each as small as it could be made. What took too long is an example of its target instead."""

import json
from pathlib import Path

import pytest

from channels.discord.parse import made_at
from channels.slack import markup
from channels.slack import parse as slack
from channels.telegram import parse as telegram
from core import remote, settings
from core.errors import SettingsError
from tests.fuzz.networks import SLACK_ME, TELEGRAM_ME
from tests.fuzz.table import PAYLOADS


@pytest.mark.parametrize("ts", ["1e300", "inf", "-1e300"])
def test_a_time_that_no_calendar_has_is_a_value_error_in_slack(ts: str) -> None:
    payload = json.loads((PAYLOADS / "slack" / "direct.json").read_text("utf-8"))
    payload["event"]["ts"] = ts
    with pytest.raises(ValueError, match="calendar"):
        slack.parse(payload, SLACK_ME)


@pytest.mark.parametrize("date", [2**63, -(10**30), 10**400, float("inf")])
def test_and_in_telegram(date: float) -> None:
    update = json.loads((PAYLOADS / "telegram" / "direct.json").read_text("utf-8"))
    update["message"]["date"] = date
    with pytest.raises(ValueError, match="calendar"):
        telegram.parse(update, TELEGRAM_ME)


@pytest.mark.parametrize("snowflake", ["9" * 30, "9" * 400])
def test_and_in_discord(snowflake: str) -> None:
    with pytest.raises(ValueError, match="64 bits"):
        made_at(snowflake)


def test_a_code_that_is_no_character_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="no character"):
        markup.emoji_in([{"type": "emoji", "name": "x", "unicode": "f" * 20}])


@pytest.mark.parametrize("file", ["settings.toml", ".env"])
def test_a_file_that_is_not_utf8_is_named(file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "settings.toml").write_text("", "utf-8")
    (tmp_path / file).write_bytes(b"# caf\xe9\n")
    monkeypatch.setenv("RAPPORT_SETTINGS", str(tmp_path / "settings.toml"))
    monkeypatch.setenv("RAPPORT_ENV_FILE", str(tmp_path / ".env"))
    with pytest.raises(SettingsError, match=rf"{file} is not UTF-8 text, from its byte 5 on"):
        settings.load()


@pytest.mark.parametrize(
    "address", ["http://gpu-1:sk-123#m", "http://a:sk-123@gpu\u2100#m", "http://[sk-123#m", "http://gpu-1:sk-123@x:y#m"]
)
def test_a_key_in_the_wrong_place_of_an_address_is_not_told(address: str) -> None:
    with pytest.raises(ValueError, match=r"write http|does not belong") as error:
        remote.parse(address)
    assert "sk-123" not in str(error.value)
    assert error.value.__suppress_context__ or error.value.__context__ is None
