"""Log files of child processes, kept small."""

import threading
from pathlib import Path

from rapport.supervisor import Say

LARGEST = 5_000_000


def log_file(path: Path) -> Say:
    """Return a function that adds a line to this file; it may be called from any thread.

    The file is opened for each line: several Rapports on one data folder write to it, and any of them may set a
    file aside that has grown too large.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = threading.Lock()

    def say(line: str) -> None:
        with lock, path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
            if file.tell() > LARGEST:
                path.replace(path.with_suffix(".old.log"))

    return say
