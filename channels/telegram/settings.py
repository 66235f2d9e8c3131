"""The section [telegram], the token, and what is derived from it."""

import hashlib
import hmac
import re
from dataclasses import dataclass, field

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.errors import SettingsError
from core.sections import Section
from core.settings import env_file

API_URL = "https://api.telegram.org"
TOKEN = re.compile(r"\d+:[\w-]{20,}")


class Telegram(Section):
    """Which bots are answered, and how messages come in."""

    other_bots: bool = False
    webhook_url: str = Field("")

    @field_validator("webhook_url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        # Plain HTTP serves a Bot API server of one's own; Telegram's own one refuses it with a clear word.
        if url and not re.match(r"https?://[^/\s]+", url):
            raise ValueError("must be the full public address, such as https://bot.example.org/hooks/telegram")
        return url


class _Secrets(BaseSettings):
    """From the environment or .env, never from settings.toml."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, env_file_encoding="utf-8")

    telegram_bot_token: SecretStr = SecretStr("")
    telegram_api_url: str = API_URL


@dataclass(frozen=True)
class Credentials:
    """The bot's token and where its API is. ``secret`` is what Telegram sends with each call of our webhook."""

    token: str = field(repr=False)
    api_url: str = API_URL

    @property
    def secret(self) -> str:
        """Derived from the token, so that adapter and web process agree without one more setting."""
        return hmac.new(self.token.encode(), b"rapport: secret of the webhook", hashlib.sha256).hexdigest()


def credentials() -> Credentials:
    """Return what TELEGRAM_BOT_TOKEN and TELEGRAM_API_URL say; raises SettingsError."""
    secrets = _Secrets(_env_file=env_file())
    token = secrets.telegram_bot_token.get_secret_value().strip()
    if not token:
        raise SettingsError(
            "TELEGRAM_BOT_TOKEN is not set. Get a token from @BotFather in Telegram (/newbot) and put it into .env; "
            "docs/telegram.md has the steps."
        )
    if not TOKEN.fullmatch(token):
        raise SettingsError(
            "TELEGRAM_BOT_TOKEN does not look like a token (digits, a colon, 35 letters and digits). "
            "Copy it again from @BotFather (/mybots, your bot, API Token)."
        )
    url = secrets.telegram_api_url.strip().rstrip("/") or API_URL
    if not re.match(r"https?://[^/\s]+", url):
        raise SettingsError(f"TELEGRAM_API_URL must begin with https:// or http://; remove it to use {API_URL}.")
    return Credentials(token, url)
