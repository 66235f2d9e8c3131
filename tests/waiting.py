"""Waiting for a condition: tests never sleep for a fixed time."""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(condition: Callable[[], T], timeout_s: float = 20) -> T:
    """Return the first true value of the condition; fail if there is none in time."""
    end = time.monotonic() + timeout_s
    pause = threading.Event()
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, "the condition did not come true in time"
        pause.wait(0.02)


async def until(condition: Callable[[], object], timeout_s: float = 20) -> None:
    """The same in an event loop."""
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.02)
