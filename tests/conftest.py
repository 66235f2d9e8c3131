"""What all tests share: the shipped settings, nothing of the developer's own environment, and a real Redis."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from core import settings
from rapport.stack import answers, connect, find_server
from rapport.supervisor import Launch, spawn
from tests.waiting import eventually

ROOT = Path(__file__).parent.parent
PRIVATE = ("_TOKEN", "_SECRET", "_API_KEY", "_API_URL", "_GATEWAY_URL")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--crash", choices=["short", "full"], default="short", help="how much tests/crash does")


@dataclass(frozen=True)
class RedisServer:
    """A server that lives as long as the session."""

    url: str
    pid: int


@pytest.fixture(scope="session", autouse=True)
def clean_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Take settings and secrets of whoever runs the tests out of sight."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("RAPPORT_") or name.endswith(PRIVATE) or name == "REDIS_URL":
                patch.delenv(name)
        patch.setenv("RAPPORT_SETTINGS", str(ROOT / "settings.toml"))
        patch.setenv("RAPPORT_ENV_FILE", str(tmp_path_factory.mktemp("no-secrets") / ".env"))
        yield


@pytest.fixture(autouse=True)
def fresh_settings() -> Iterator[None]:
    """Let no test see settings that another one read."""
    forget_settings()
    yield
    forget_settings()


def forget_settings() -> None:
    settings.load.cache_clear()
    settings.load_section.cache_clear()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A real server, the one that Rapport itself would start; it keeps nothing on the disk."""
    folder = tmp_path_factory.mktemp("redis")
    url = f"unix://{folder}/redis.sock"
    options = ["--port", "0", "--unixsocket", f"{folder}/redis.sock", "--dir", str(folder), "--save", ""]
    launch = Launch((str(find_server()[0]), *options))
    with spawn(launch, folder, stdout=subprocess.DEVNULL) as process:
        eventually(lambda: answers(url))
        yield RedisServer(url, process.pid)
        process.kill()


@pytest.fixture
def redis_url(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of an empty Redis, which is also what REDIS_URL says."""
    with connect(redis_server.url) as client:
        client.flushall()
    monkeypatch.setenv("REDIS_URL", redis_server.url)
    forget_settings()
    return redis_server.url
