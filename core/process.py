"""The name of this process, unmistakable among all that share a Redis: hosts and process numbers can be alike."""

import os
import secrets
import socket
from functools import cache

VARIABLE = "RAPPORT_PROCESS_ID"  # a supervisor that must know the name gives it


@cache
def process_name() -> str:
    """Return the name that the supervisor gave, or one of our own."""
    return os.environ.get(VARIABLE) or f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
