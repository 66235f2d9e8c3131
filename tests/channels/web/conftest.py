"""Servers and a browser for the tests of the web channel."""

import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from redis import Redis

from tests.channels.web.stack import RedisServer, Stack, echo

KEY = "a-key-of-this-test"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    # What an attacker's name server would say.
    "--host-resolver-rules=MAP rebound.example 127.0.0.1",
]


@pytest.fixture(scope="session")
def web_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def shared_stack(web_redis: RedisServer) -> Iterator[Stack]:
    stack = Stack(web_redis.url(0))
    stack.start_worker()
    yield stack
    stack.close()


@pytest.fixture
def stack(shared_stack: Stack) -> Stack:
    """The stack that most tests share, with different users, and with the script back at the beginning."""
    shared_stack.script = echo
    return shared_stack


@pytest.fixture
def client(stack: Stack) -> Iterator[httpx.Client]:
    with stack.client() as client:
        yield client


@pytest.fixture
def locked(shared_locked: Stack) -> Stack:
    """A channel that others can reach, with a key; nobody has tried a wrong one yet."""
    shared_locked.adapter._attempts._full_at.clear()
    return shared_locked


@pytest.fixture(scope="session")
def shared_locked(web_redis: RedisServer) -> Iterator[Stack]:
    stack = Stack(web_redis.url(1), key=KEY, host="0.0.0.0")
    stack.start_worker()
    yield stack
    stack.close()


@pytest.fixture
def make_stack(web_redis: RedisServer) -> Iterator[Callable[..., Stack]]:
    """Make stacks with settings of their own; without a worker until it is started."""
    made: list[Stack] = []

    def make(**options: Any) -> Stack:
        with Redis.from_url(web_redis.url(2)) as client:
            client.flushdb()
        stack = Stack(web_redis.url(2), **options)
        made.append(stack)
        return stack

    yield make
    for stack in made:
        stack.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        reason = "no Chromium is installed (Debian: apt-get install chromium), so the chat page is not tested"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser, stack: Stack) -> Iterator[Callable[..., Page]]:
    """Open the page as a new person; whatever goes wrong in it fails the test."""
    wrong: list[str] = []
    contexts = []

    def make(address: str = stack.base, **options: Any) -> Page:
        context = browser.new_context(**options)
        context.set_default_timeout(15_000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(address)
        return page

    yield make
    for context in contexts:
        context.close()
    assert not wrong
