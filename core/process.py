"""What this process is: its name, unmistakable among all that share a Redis, and the release that it runs.

Hosts and process numbers can be alike, so they are no name.
"""

import os
import secrets
import socket
import tomllib
from functools import cache
from pathlib import Path

VARIABLE = "RAPPORT_PROCESS_ID"  # a supervisor that must know the name gives it
PROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"


@cache
def process_name() -> str:
    """Return the name that the supervisor gave, or one of our own."""
    return os.environ.get(VARIABLE) or f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"


@cache
def release() -> str:
    """Return the version of this Rapport."""
    try:
        return str(tomllib.loads(PROJECT.read_text("utf-8"))["project"]["version"])
    except (OSError, KeyError, tomllib.TOMLDecodeError):  # an image may have left the file out
        return "unknown"
