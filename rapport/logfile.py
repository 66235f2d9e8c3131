"""Log files of child processes, kept small."""

import logging
from logging.handlers import RotatingFileHandler
from pathlib import Path

from rapport.supervisor import Say

LARGEST = 5_000_000


def log_file(path: Path) -> Say:
    """Return a function that adds a line to this file; it may be called from any thread."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handler = RotatingFileHandler(path, maxBytes=LARGEST, backupCount=1, encoding="utf-8", delay=True)

    def say(line: str) -> None:
        handler.handle(logging.makeLogRecord({"msg": line}))

    return say
