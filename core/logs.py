"""Logging for every process: one line an event, as text or JSON, to standard error; secrets never pass.

What concerns messages is logged within ``about``, so that their ids are on the line; what they say never is.
"""

import json
import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from urllib.parse import unquote

from core.sections import Log
from core.settings import variables

SHORTEST = 4  # what is shorter guards nothing, and ordinary words would go with it
SECRET_VARIABLES = re.compile(r"(TOKEN|SECRET|PASSWORD|API_KEY|REDIS_URL)$", re.IGNORECASE)
URL_PASSWORD = re.compile(r"(\w+://[^\s/:@]*:)[^\s/@]+@")
# Of one address that may be wrong: a password that should have been encoded holds "/", "#" or "@".
PASSWORD = re.compile(r"^\w+://[^/:@]*:(.+)@|[?&]password=([^&]+)")
# They say much, and some of it, at DEBUG, is what people write.
NOISY = ("httpx", "httpcore", "httpx2", "httpcore2", "openai", "urllib3", "celery.worker.strategy", "celery.app.trace")
# Libraries whose DEBUG lines hold what networks say, and so what people write.
TALKATIVE = ("aiohttp", "discord", "openai", "slack_bolt", "slack_sdk", "telegram", "uvicorn")
_events: ContextVar[tuple[str, ...]] = ContextVar("events", default=())


@contextmanager
def about(*event_ids: str) -> Iterator[None]:
    """Have what this task or thread logs while the block runs say that it concerns these messages."""
    token = _events.set(event_ids)
    try:
        yield
    finally:
        _events.reset(token)


class _Redacting(logging.Formatter):
    """Formats a record, then takes the values of secret variables and passwords in addresses out of it."""

    def __init__(self, as_json: bool, process: str) -> None:
        super().__init__(f"%(asctime)s %(levelname).1s {process} %(name)s: %(message)s", "%H:%M:%S")
        self._as_json = as_json
        self._process = process
        self._secrets = _secrets()

    def format(self, record: logging.LogRecord) -> str:
        if not self._as_json:
            return self._redacted(super().format(record))
        fields: dict[str, str | list[str]] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "process": self._process,
            "logger": record.name,
            "message": self._redacted(record.getMessage()),
        }
        if events := _events.get():
            fields["events"] = [self._redacted(event) for event in events]
        if record.exc_info:
            fields["error"] = self._redacted(self.formatException(record.exc_info))
        return json.dumps(fields)  # only now: what it escapes would not be recognised as a secret

    def _redacted(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "[secret]")
        return URL_PASSWORD.sub(r"\1[secret]@", text)


def _secrets() -> list[str]:
    """Return what must not be logged, the longest first: one may be a part of another."""
    values = [value for name, value in variables().items() if SECRET_VARIABLES.search(name)]
    passwords = [match[1] or match[2] for value in values for match in PASSWORD.finditer(value)]
    listed = [part for value in values for part in value.split(",")]  # tokens of several workspaces
    found = {value.strip() for value in (*values, *listed, *passwords, *map(unquote, passwords))}
    return sorted((value for value in found if len(value) >= SHORTEST), key=len, reverse=True)


def set_up(settings: Log, process: str) -> None:
    """Send all logs of this process to standard error in the configured form."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Redacting(settings.format == "json", process))
    logging.basicConfig(level=settings.level, handlers=[handler], force=True)
    for noisy in NOISY:
        logging.getLogger(noisy).setLevel(logging.WARNING)
    for talkative in TALKATIVE:
        logging.getLogger(talkative).setLevel(max(logging.getLevelName(settings.level), logging.INFO))
