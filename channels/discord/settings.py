"""The section [discord], the bot's token, and where Discord is."""

import re
from dataclasses import dataclass, field

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.errors import SettingsError
from core.sections import Section
from core.settings import env_file

TOKEN = re.compile(r"[\w-]{18,}\.[\w-]{4,}\.[\w-]{12,}")


class Discord(Section):
    """What the bot reads beyond mentions, direct messages and commands, and whether it opens threads."""

    message_content: bool = False
    threads: bool = False
    other_bots: bool = False


class _Secrets(BaseSettings):
    """From the environment or .env, never from settings.toml."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, env_file_encoding="utf-8")

    discord_bot_token: SecretStr = SecretStr("")
    discord_api_url: str = ""
    discord_gateway_url: str = ""


@dataclass(frozen=True)
class Credentials:
    """The bot's token; addresses of a stand-in for Discord, or nothing."""

    token: str = field(repr=False)
    api_url: str = ""
    gateway_url: str = ""


def credentials() -> Credentials:
    """Return what DISCORD_BOT_TOKEN, DISCORD_API_URL and DISCORD_GATEWAY_URL say now; raises SettingsError."""
    secrets = _Secrets(_env_file=env_file())
    token = secrets.discord_bot_token.get_secret_value().strip()
    if not token:
        raise SettingsError(
            "DISCORD_BOT_TOKEN is not set. Make an application at https://discord.com/developers/applications, "
            "press Reset Token on its Bot page and put the token into .env; docs/discord.md has the steps."
        )
    if not TOKEN.fullmatch(token):
        raise SettingsError(
            "DISCORD_BOT_TOKEN does not look like a bot's token (three parts with dots between them). On the Bot page "
            "of your application press Reset Token and copy it again; the client secret or public key will not do."
        )
    api_url, gateway_url = secrets.discord_api_url.strip().rstrip("/"), secrets.discord_gateway_url.strip()
    if api_url and not re.match(r"https?://[^/\s]+", api_url):
        raise SettingsError("DISCORD_API_URL must begin with https:// or http://; remove it to use Discord's own.")
    if gateway_url and not re.match(r"wss?://[^/\s]+", gateway_url):
        raise SettingsError("DISCORD_GATEWAY_URL must begin with wss:// or ws://; remove it to use Discord's own.")
    return Credentials(token, api_url, gateway_url)
