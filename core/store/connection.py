"""The connection to Redis, its errors in our terms, and the loading of the Lua scripts."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis
from redis.backoff import ExponentialBackoff
from redis.connection import parse_url
from redis.retry import Retry

from core.errors import SettingsError, StoreUnavailable

LUA = Path(__file__).parent / "lua"


def connect(url: str) -> "redis.Redis":
    """Return a client that fails instead of hanging: at once if Redis is away, within 20 s if it is frozen.

    Nothing is sent yet. Changes of state are scripts that may be sent twice, so a call that broke off is repeated.
    Raises SettingsError if the address is not valid.
    """
    with _understood():
        return _client(url)


def tls_options(url: str) -> dict[str, Any]:
    """Return how the connection to a rediss:// address is secured, in redis-py's words; {} for any other address.

    Certificate and host name are checked unless the address itself says otherwise. Raises SettingsError if it is not
    valid.
    """
    if not url.startswith("rediss://"):
        return {}
    with _understood():
        told: dict[str, Any] = parse_url(url)  # type: ignore[no-untyped-call]
    return {"ssl_cert_reqs": "required"} | {name: value for name, value in told.items() if name.startswith("ssl_")}


@contextmanager
def _understood() -> Iterator[None]:
    try:
        yield
    except ValueError:  # its text may hold a part of the password
        raise SettingsError(
            "REDIS_URL is not a valid address. It reads redis://:PASSWORD@HOST:PORT/0, rediss:// for TLS, or "
            "unix:///PATH; encode special characters of the password, / as %2F."
        ) from None


def _client(url: str) -> "redis.Redis":
    return redis.Redis.from_url(
        url,
        decode_responses=True,
        # These find a connection that fell silent without a close, whatever lies between: no TCP keepalive is needed.
        socket_timeout=5,  # longer than any blocking command here
        socket_connect_timeout=2,
        health_check_interval=5,  # what idled so long is asked for a PONG before it is used, and so is a subscription
        retry=Retry(ExponentialBackoff(cap=0.5, base=0.05), retries=3),
    )


@contextmanager
def translated() -> Iterator[None]:
    """Raise StoreUnavailable for every error of Redis; its text names no credentials."""
    try:
        yield
    except redis.RedisError as error:
        raise StoreUnavailable(f"Redis: {type(error).__name__}: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or ["no reason given"])[0][:200]


def script(client: "redis.Redis", name: str) -> Callable[..., Any]:
    """Return the script ``lua/<name>.lua`` as a callable ``(keys, args)``."""
    registered = client.register_script((LUA / f"{name}.lua").read_text("utf-8"))

    def call(keys: list[str], args: list[Any]) -> Any:
        with translated():
            return registered(keys=keys, args=args)

    return call
