"""Logging for every process: one line an event, as text or JSON, to standard error; secrets never pass."""

import json
import logging
import os
import re
import sys
from datetime import UTC, datetime

from core.settings import Log

SECRET_VARIABLES = re.compile(r"(TOKEN|SECRET|PASSWORD|API_KEY|REDIS_URL)$")
URL_PASSWORD = re.compile(r"(\w+://[^\s/:@]*:)[^\s/@]+@")


class _Redacting(logging.Formatter):
    """Formats a record, then takes the values of secret variables and passwords in addresses out of it."""

    def __init__(self, as_json: bool, process: str) -> None:
        super().__init__(f"%(asctime)s %(levelname).1s {process} %(name)s: %(message)s", "%H:%M:%S")
        self._as_json = as_json
        self._process = process
        found = (value for name, value in os.environ.items() if SECRET_VARIABLES.search(name))
        self._secrets = [value for value in found if len(value) >= 8]

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        if self._as_json:
            fields = {
                "at": datetime.fromtimestamp(record.created, UTC).isoformat(),
                "level": record.levelname,
                "process": self._process,
                "logger": record.name,
                "message": record.getMessage(),
            }
            if record.exc_info:
                fields["error"] = self.formatException(record.exc_info)
            text = json.dumps(fields)
        for secret in self._secrets:
            text = text.replace(secret, "[secret]")
        return URL_PASSWORD.sub(r"\1[secret]@", text)


def set_up(settings: Log, process: str) -> None:
    """Send all logs of this process to standard error in the configured form."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Redacting(settings.format == "json", process))
    logging.basicConfig(level=settings.level, handlers=[handler], force=True)
    for noisy in ("httpx", "httpcore", "urllib3", "celery.worker.strategy", "celery.app.trace"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
