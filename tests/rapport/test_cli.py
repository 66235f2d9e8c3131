"""Wrong settings and missing parts: one line that says what to do, exit code 1, no traceback. And what it prints."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from core import settings
from tests.channels.path import surroundings
from tests.platforms.discord import DiscordDouble
from tests.platforms.telegram import TelegramDouble


def rapport(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "rapport", *arguments]
    return subprocess.run(command, cwd=settings.ROOT, capture_output=True, text=True, input="", timeout=60, check=False)


def said(*arguments: str) -> str:
    """Run a command that must succeed; return its output."""
    ended = rapport(*arguments)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def the_error(*arguments: str) -> str:
    """Run a command that must fail; return its one line."""
    ended = rapport(*arguments)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.count("\n") == 1, ended.stderr
    return ended.stderr


@pytest.fixture(autouse=True)
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAPPORT_STACK__DATA", str(tmp_path / "data"))


@pytest.mark.parametrize("command", ["chat", "up"])
def test_an_unknown_key_is_named_with_its_section_and_a_remedy(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('[generation]\nmodle = "x"\n')
    monkeypatch.setenv("RAPPORT_SETTINGS", str(file))
    error = the_error(command)
    assert error.startswith("rapport: ")
    assert "[generation]" in error
    assert "modle" in error
    assert "Remove it or correct its name." in error


def test_a_value_of_the_wrong_kind_is_named_with_the_variable_it_came_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAPPORT_INBOX__LEASE_S", "soon")
    error = the_error("chat")
    assert "[inbox] lease_s" in error
    assert "RAPPORT_INBOX__LEASE_S" in error


@pytest.mark.parametrize("command", ["chat", "up"])
def test_a_missing_model_folder_is_told_before_anything_starts(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAPPORT_GENERATION__MODEL", "models/no-such-model")
    error = the_error(command)
    assert '[generation] model = "models/no-such-model": there is no such folder. Restore it' in error
    assert not (tmp_path / "data").exists()


def test_a_redis_that_is_away_ends_the_conversation_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).touch()
    monkeypatch.setenv("RAPPORT_GENERATION__MODEL", str(tmp_path))
    monkeypatch.setenv("RAPPORT_SENTIMENT__MODEL", str(tmp_path))
    monkeypatch.setenv("REDIS_URL", f"unix://{tmp_path}/nothing.sock")
    assert "Redis does not answer. Start it, correct REDIS_URL" in the_error("chat")


def test_a_worker_alone_needs_redis_url() -> None:
    assert "REDIS_URL is not set" in the_error("worker")


def test_a_channel_that_is_half_configured_is_not_left_out_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).touch()
    monkeypatch.setenv("RAPPORT_GENERATION__MODEL", str(tmp_path))
    monkeypatch.setenv("RAPPORT_SENTIMENT__MODEL", str(tmp_path))
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-1")
    assert "slack is half configured: SLACK_APP_TOKEN or SLACK_SIGNING_SECRET is not set." in the_error("up")


def test_a_door_that_is_open_to_others_needs_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).touch()
    monkeypatch.setenv("RAPPORT_GENERATION__MODEL", str(tmp_path))
    monkeypatch.setenv("RAPPORT_SENTIMENT__MODEL", str(tmp_path))
    monkeypatch.setenv("RAPPORT_WEB__HOST", "0.0.0.0")
    assert "WEB_API_KEY" in the_error("up")


def test_help_names_every_command() -> None:
    said = rapport("--help")
    assert said.returncode == 0
    for command in ("chat", "up", "worker", "doctor"):
        assert command in said.stdout


def test_a_mistyped_option_is_no_verdict_on_how_rapport_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", f"unix://{tmp_path}/nothing.sock")
    assert rapport("status", "--jsn").returncode == 3
    assert rapport("status").returncode == 2


def test_slacks_manifest_is_printed_for_socket_mode_or_for_an_address() -> None:
    by_socket = json.loads(said("slack", "manifest"))
    assert by_socket["settings"]["socket_mode_enabled"] is True
    by_http = json.loads(said("slack", "manifest", "--url", "https://bot.example.org"))
    assert "https://bot.example.org/hooks/slack" in json.dumps(by_http)


def test_telegrams_check_says_what_the_bot_may(monkeypatch: pytest.MonkeyPatch) -> None:
    with surroundings(TelegramDouble(), monkeypatch):
        assert "@RapportTestBot" in said("telegram", "check")
    monkeypatch.setenv("TELEGRAM_BOT_TOKEN", "")
    assert "@BotFather" in the_error("telegram", "check")


def test_discords_link_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    with surroundings(DiscordDouble(), monkeypatch):
        assert "https://discord.com/oauth2/authorize?client_id=" in said("discord", "invite")
