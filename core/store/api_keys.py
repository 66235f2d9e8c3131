"""The named keys of the web channel: what opens it to whom. A key itself is never kept, only its SHA-256.

A key has 256 random bits, so nobody finds it by trying, and a hash that is slow on purpose (as for passwords, which
people choose) would only cost each request time.
"""

import hashlib
import re
import secrets
from datetime import UTC, datetime
from typing import cast

import redis
from pydantic import AwareDatetime, BaseModel, ValidationError

from core.errors import InputError
from core.store import keys
from core.store.connection import translated

MARK = "rapport_"  # so that those who look for secrets in code know one when they see it
NAME = re.compile(r"[A-Za-z0-9._-]{1,40}")


class ApiKey(BaseModel):
    """What is known of a key: its SHA-256 in hexadecimal digits, and since when there is one."""

    sha256: str
    made: AwareDatetime


class ApiKeys:
    """The keys by name. Thread-safe."""

    def __init__(self, client: "redis.Redis") -> None:
        self._redis = client

    def add(self, name: str) -> str:
        """Make a key and return it; it cannot be had again.

        Raises:
            InputError: the name cannot be used, or there is a key of this name.
        """
        if not NAME.fullmatch(name):
            raise InputError("usage", f"{name!r} is no name for a key. Use up to 40 letters, digits, '.', '_' and '-'.")
        key = MARK + secrets.token_urlsafe(32)
        raw = ApiKey(sha256=digest(key), made=datetime.now(UTC)).model_dump_json()
        with translated():
            added = self._redis.hsetnx(keys.API_KEYS, name, raw)
            # Redis may have been asked twice, if its first answer was lost.
            if not added and self._redis.hget(keys.API_KEYS, name) != raw:
                raise InputError("usage", f"There is a key {name} already. Remove it first, or take another name.")
        return key

    def remove(self, name: str) -> bool:
        """Throw a key away; return whether there was one of this name."""
        with translated():
            return bool(self._redis.hdel(keys.API_KEYS, name))

    def all(self) -> dict[str, ApiKey]:
        """Return what is known of the keys, by name."""
        with translated():
            found = cast(dict[str, str], self._redis.hgetall(keys.API_KEYS))
        return {name: key for name, raw in sorted(found.items()) if (key := _read(raw))}


def digest(key: str | bytes) -> str:
    """Return what is kept of a key and compared: its SHA-256."""
    return hashlib.sha256(key.encode() if isinstance(key, str) else key).hexdigest()


def _read(raw: str) -> ApiKey | None:
    try:
        return ApiKey.model_validate_json(raw)
    except ValidationError:
        return None
