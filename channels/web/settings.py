"""The section [web], the API key, and the rule that only loopback may be served without one."""

import ipaddress

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.errors import SettingsError
from core.sections import Section
from core.settings import env_file


class Web(Section):
    """Where the web channel listens, and how long a request waits for its reply."""

    host: str = Field("127.0.0.1", min_length=1)
    port: int = Field(8080, ge=1, le=65535)
    reply_timeout_s: float = Field(150, gt=0)


class _Secrets(BaseSettings):
    """Secrets of this channel: from the environment or .env, never from settings.toml."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, env_file_encoding="utf-8")

    web_api_key: SecretStr = SecretStr("")


def api_key() -> str | None:
    """Return WEB_API_KEY from the environment or .env, or None if it is empty or not set."""
    secrets = _Secrets(_env_file=env_file())
    return secrets.web_api_key.get_secret_value().strip() or None


def is_loopback(host: str) -> bool:
    """Say whether only this machine can reach a server that listens on (or is called by) this host name."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def refuse_open_door(web: Web, key: str | None) -> None:
    """Raise SettingsError if others could reach the bot without a key."""
    if key is None and not is_loopback(web.host):
        raise SettingsError(
            f"[web] host is {web.host!r}, which others can reach, and WEB_API_KEY is not set. Set WEB_API_KEY in the "
            "environment or .env to a long random text (openssl rand -hex 24), or set host to 127.0.0.1."
        )
