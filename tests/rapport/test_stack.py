import errno
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from core import settings
from core.errors import SettingsError, StoreUnavailable
from rapport import stack
from rapport.stack import PrivateRedis, answers, connect, find_server, running_url
from tests.waiting import eventually


def nothing(line: str) -> None:
    """Nobody listens."""


def put(url: str, value: str) -> None:
    with connect(url) as client:
        client.set("said", value)


def got(url: str) -> str | None:
    with connect(url) as client:
        return client.get("said")


def test_what_was_said_survives_a_restart(tmp_path: Path) -> None:
    with PrivateRedis(tmp_path, nothing) as private:
        put(private.url, "hello")
        with connect(private.url) as client:
            assert client.config_get("maxmemory*")["maxmemory-policy"] == "noeviction"
        pid = private.pid
        assert pid
    assert not psutil.pid_exists(pid)
    assert running_url(tmp_path) is None
    with PrivateRedis(tmp_path, nothing) as private:
        assert got(private.url) == "hello"


def test_what_was_answered_is_with_the_kernel_at_once_and_on_the_disk_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []

    def fsync(file: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{file}"))
        os.fdatasync(file)

    monkeypatch.setattr(stack, "SYNC_S", 0.05)
    monkeypatch.setattr("os.fsync", fsync)
    with PrivateRedis(tmp_path, nothing) as private:
        with connect(private.url) as client:
            # With "everysec" it holds back answered writes while the disk is busy, and kill -9 loses them.
            assert client.config_get("appendfsync") == {"appendfsync": "no"}
        (written,) = (tmp_path / "redis" / "appendonlydir").glob("*.incr.aof")
        eventually(lambda: str(written) in synced)
    assert not private._syncing.is_alive()


def test_nobody_else_can_open_the_socket(tmp_path: Path) -> None:
    with PrivateRedis(tmp_path, nothing) as private:
        path = Path(private.url.removeprefix("unix://"))
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["d" * 120, "with space and ünicode"])
def test_a_path_that_no_socket_address_can_hold_gives_a_port_with_a_password(tmp_path: Path, name: str) -> None:
    data = tmp_path / name
    data.mkdir()
    with PrivateRedis(data, nothing) as private:
        assert private.url.startswith("redis://:")
        assert "127.0.0.1" in private.url
        put(private.url, "hello")
        stranger = private.url.replace(private.url.split("@")[0], "redis://", 1).replace("@", "")
        assert not answers(stranger)
        assert running_url(data) == private.url
    with PrivateRedis(data, nothing) as private:
        assert got(private.url) == "hello"


def test_a_server_that_is_killed_comes_back_where_it_stood(tmp_path: Path) -> None:
    with PrivateRedis(tmp_path, nothing) as private:
        put(private.url, "hello")
        with connect(private.url) as client:
            client.bgrewriteaof()  # also with a child of its own at work
        first = private.pid
        assert first
        os.kill(first, signal.SIGKILL)
        eventually(lambda: private.pid not in (None, first) and answers(private.url))
        assert got(private.url) == "hello"


def test_a_second_start_joins_and_takes_over_when_the_first_has_ended(tmp_path: Path) -> None:
    notes: list[str] = []
    with PrivateRedis(tmp_path, nothing) as first:
        second = PrivateRedis(tmp_path, notes.append)
        second.__enter__()
        assert second.url == first.url
        assert second.pid is None
        assert notes == ["Another Rapport runs on this data folder; joining its Redis."]
        put(first.url, "hello")
    eventually(lambda: second.pid and answers(second.url))
    assert got(second.url) == "hello"
    second.__exit__(None, None, None)
    assert not answers(second.url)


def test_after_a_kill_of_everything_the_stale_socket_is_no_hindrance(tmp_path: Path) -> None:
    program = f"""
import threading
from pathlib import Path
from rapport.stack import PrivateRedis
with PrivateRedis(Path({str(tmp_path)!r}), print) as private:
    print(private.pid, flush=True)
    threading.Event().wait()
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=settings.ROOT) as owner:
        assert owner.stdout
        server = int(owner.stdout.readline())
        url = running_url(tmp_path)
        assert url
        put(url, "hello")
        os.kill(server, signal.SIGSTOP)  # so that it cannot tidy up when its owner dies
        owner.kill()
    os.kill(server, signal.SIGKILL)
    assert (tmp_path / "redis" / "redis.sock").exists()
    with PrivateRedis(tmp_path, nothing) as private:
        assert got(private.url) == "hello"


def test_the_server_ends_in_peace_when_its_owner_is_killed(tmp_path: Path) -> None:
    program = f"""
import threading
from pathlib import Path
from rapport.stack import PrivateRedis
with PrivateRedis(Path({str(tmp_path)!r}), print) as private:
    print(private.pid, flush=True)
    threading.Event().wait()
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=settings.ROOT) as owner:
        assert owner.stdout
        server = int(owner.stdout.readline())
        owner.kill()
    eventually(lambda: not psutil.pid_exists(server) or psutil.Process(server).status() == psutil.STATUS_ZOMBIE)
    assert not (tmp_path / "redis" / "redis.sock").exists()


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    broken = tmp_path / "redis" / "appendonlydir"
    broken.mkdir(parents=True)
    (broken / "appendonly.aof.manifest").write_text("this is no manifest\n")
    with pytest.raises(StoreUnavailable, match=r"did not start:(.|\n)*manifest"):
        PrivateRedis(tmp_path, nothing).__enter__()


def test_an_old_server_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = tmp_path / "redis-server"
    old.write_text("#!/bin/sh\necho 'Redis server v=5.0.14 sha=00000000:0 malloc=jemalloc bits=64'\n")
    old.chmod(0o755)
    assert stack.server_version(old) == "5.0.14"
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    binary, version = find_server()
    assert binary != old
    assert tuple(int(part) for part in version.split(".")) >= (6, 2)


def test_a_new_one_on_the_path_goes_before_the_bundled_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new = tmp_path / "redis-server"
    new.write_text("#!/bin/sh\necho 'Redis server v=8.0.1 sha=00000000:0 malloc=jemalloc bits=64'\n")
    new.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert find_server() == (new, "8.0.1")


def test_no_part_of_a_password_is_shown_by_an_address_that_is_none() -> None:
    with pytest.raises(SettingsError, match="Encode special characters of the password, / as %2F") as caught:
        connect("redis://:se/cret@host")
    assert "'se'" not in str(caught.value)
    assert "cret" not in str(caught.value)


def test_a_server_that_cannot_be_prepared_is_told_at_once_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes = stack._write_private

    def full(path: Path, text: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(stack, "_write_private", full)
    with pytest.raises(StoreUnavailable, match="No space left on device"):
        PrivateRedis(tmp_path, nothing).__enter__()
    monkeypatch.setattr(stack, "_write_private", writes)
    with PrivateRedis(tmp_path, nothing) as private:
        monkeypatch.setattr(stack, "_write_private", full)
        first = private.pid
        assert first
        os.kill(first, signal.SIGKILL)
        eventually(lambda: private._child.deaths >= 2)
        monkeypatch.setattr(stack, "_write_private", writes)
        eventually(lambda: private.pid not in (None, first) and answers(private.url))


def test_a_data_folder_that_cannot_be_made_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAPPORT_STACK__DATA", "/proc/no-such-place")
    with pytest.raises(SettingsError, match=r"\[stack\] data: /proc/no-such-place cannot be made"):
        stack.data_folder(settings.load())
