"""The invite link, and what is said before the first start."""

from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import discord
import pytest

from channels.discord.invite import application_of, invite, link, permissions
from channels.discord.settings import credentials
from core.errors import SettingsError
from tests.channels.path import surroundings
from tests.conftest import forget_settings
from tests.platforms.discord import DiscordDouble


@pytest.fixture
def double(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[DiscordDouble]:
    double = DiscordDouble()
    with surroundings(double, monkeypatch):
        yield double


def test_the_link_asks_for_what_is_needed_and_no_more() -> None:
    asked = parse_qs(urlsplit(link("42", threads=False)).query)
    assert asked["client_id"] == ["42"]
    assert asked["scope"] == ["bot applications.commands"]
    wanted = discord.Permissions(
        view_channel=True, send_messages=True, send_messages_in_threads=True, read_message_history=True
    )
    assert discord.Permissions(int(asked["permissions"][0])) == wanted
    with_threads = discord.Permissions(int(parse_qs(urlsplit(link("42", threads=True)).query)["permissions"][0]))
    assert with_threads.create_public_threads
    assert not with_threads.administrator
    assert all(why for _, _, why in permissions(threads=True))


def test_the_application_is_asked_for(double: DiscordDouble) -> None:
    text = invite()
    assert f"client_id={double.world.bot['id']}" in text
    assert "Read Message History" in text
    assert double.token not in text


def test_what_is_set_up_wrongly_is_said(double: DiscordDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    double.rest.interactions_endpoint = "https://example.org/hook"
    monkeypatch.setenv("RAPPORT_DISCORD__MESSAGE_CONTENT", "true")
    forget_settings()
    assert "Interactions Endpoint URL" in invite()
    assert "Message Content Intent is off" in invite()
    double.grant_message_content()
    assert "Message Content Intent" not in invite()


@pytest.mark.usefixtures("double")
def test_threads_without_the_intent_are_said_to_need_mentions(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "mention me in each message" not in invite()
    monkeypatch.setenv("RAPPORT_DISCORD__THREADS", "true")
    forget_settings()
    assert "mention me in each message" in invite()


def test_without_discord_the_token_holds_the_application(
    double: DiscordDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISCORD_API_URL", "http://127.0.0.1:9/api")
    text = invite()
    assert f"client_id={double.world.bot['id']}" in text
    assert "not checked" in text


def test_a_token_that_discord_refuses_is_named(double: DiscordDouble) -> None:
    double.token = "reset"
    with pytest.raises(SettingsError, match="Reset Token"):
        invite()


@pytest.mark.parametrize("token", ["", "abc", "client-secret-of-the-application"])
def test_what_is_no_token_is_said_at_the_start(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCORD_BOT_TOKEN", token)
    with pytest.raises(SettingsError, match="DISCORD_BOT_TOKEN"):
        credentials()


def test_a_token_without_an_application_is_said() -> None:
    with pytest.raises(SettingsError):
        application_of("!!!.abc.def")


def test_addresses_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCORD_BOT_TOKEN", "MTIzNDU2Nzg5MDEyMzQ1Njc4.Gabcde.abcdefghijklmnopqrstuvwxyz")
    monkeypatch.setenv("DISCORD_API_URL", "discord.local")
    with pytest.raises(SettingsError, match="DISCORD_API_URL"):
        credentials()
    monkeypatch.setenv("DISCORD_API_URL", "http://discord.local/api/v10/")
    assert credentials().api_url == "http://discord.local/api/v10"
    assert "abcdefghij" not in repr(credentials())
