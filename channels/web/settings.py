"""The section [web], the API key, and the rule that only loopback may be served without one."""

import ipaddress

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.errors import SettingsError
from core.sections import Section
from core.settings import env_file

MIN_KEY = 16


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
    """Return WEB_API_KEY from the environment or .env, or None if it is empty or not set.

    Raises SettingsError if it could be guessed.
    """
    secrets = _Secrets(_env_file=env_file())
    key = secrets.web_api_key.get_secret_value().strip()
    if 0 < len(key) < MIN_KEY:
        raise SettingsError(
            f"WEB_API_KEY has fewer than {MIN_KEY} characters, so it could be guessed. Set it to a long random text "
            "(openssl rand -hex 24), or remove it and make a key with `rapport keys add NAME`."
        )
    return key or None


def is_loopback(host: str) -> bool:
    """Say whether only this machine can reach a server that listens on (or is called by) this host name."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def refuse_open_door(web: Web, *, has_key: bool) -> None:
    """Raise SettingsError if others could reach the bot without a key. ``has_key``: WEB_API_KEY, or a named one."""
    if not has_key and not is_loopback(web.host):
        raise SettingsError(
            f"[web] host is {web.host!r}, which others can reach, and WEB_API_KEY is not set. Make a key with "
            "`rapport keys add NAME`, or set WEB_API_KEY in the environment or .env to a long random text (openssl "
            "rand -hex 24), or set host to 127.0.0.1."
        )
