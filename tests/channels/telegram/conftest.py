"""The real adapter against the double, with a real Redis."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from channels.telegram import make_adapter
from channels.telegram.adapter import TelegramAdapter
from core.errors import RapportError
from core.events import Address, MessageEvent, Reply
from tests.conftest import forget_settings
from tests.platforms.telegram import TelegramDouble
from tests.waiting import until


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> Iterator[TelegramDouble]:
    double = TelegramDouble()
    double.start()
    for name, value in double.environment.items():
        monkeypatch.setenv(name, value)
    yield double
    double.stop()


class Listening:
    """An adapter that runs, and what it has handed over. ``error`` is raised instead of taking the next events."""

    def __init__(self, adapter: TelegramAdapter) -> None:
        self.adapter = adapter
        self.events: list[MessageEvent] = []
        self.errors: list[RapportError] = []
        self.open = asyncio.Event()
        self.open.set()
        self._task: asyncio.Task[None] | None = None

    @property
    def texts(self) -> list[str]:
        return [event.text for event in self.events]

    async def accept(self, event: MessageEvent) -> bool:
        await self.open.wait()
        if self.errors:
            raise self.errors.pop(0)
        known = event.id in {one.id for one in self.events}
        self.events.append(event)
        return not known

    def start(self) -> "Listening":
        self._task = asyncio.create_task(self.adapter.run(self.accept))
        return self

    async def heard(self, count: int) -> list[MessageEvent]:
        await until(lambda: len(self.events) >= count or (self._task and self._task.done()))
        if self._task and self._task.done():
            self._task.result()
        return self.events

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
            await self.adapter.close()


@pytest.fixture
async def make_listening(double: TelegramDouble, redis_url: str) -> AsyncIterator[Callable[..., Listening]]:
    """Make adapters with settings of their own."""
    made: list[Listening] = []

    def make(**settings: Any) -> Listening:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in settings.items():
                patch.setenv(f"RAPPORT_TELEGRAM__{name.upper()}", str(value))
            forget_settings()
            adapter = make_adapter()
        assert isinstance(adapter, TelegramAdapter)
        made.append(Listening(adapter))
        return made[-1]

    yield make
    for one in made:
        await one.stop()


@pytest.fixture
async def listening(double: TelegramDouble, make_listening: Callable[..., Listening]) -> Listening:
    """One that polls."""
    one = make_listening().start()
    await until(double.connected)
    return one


@pytest.fixture
async def adapter(double: TelegramDouble, redis_url: str) -> AsyncIterator[TelegramAdapter]:
    """One that only sends."""
    made = make_adapter()
    assert isinstance(made, TelegramAdapter)
    yield made
    await made.close()


def direct(user: str, double: TelegramDouble) -> Address:
    return Address(channel="telegram", space=str(double.chats.user(user)["id"]))


def reply(text: str, address: Address, *in_reply_to: str, number: int = 1, **fields: Any) -> Reply:
    events = in_reply_to or (f"telegram:7000000001:{address.space}:1",)
    given = {"id": f"{number:032x}", "person": "telegram:-:1001"} | fields
    return Reply(address=address, text=text, in_reply_to=events, **given)
