"""People who write over the web channel's HTTP, as programs do that want an answer: who is cut off asks again.

A message counts as said once the channel has told that it is safe. The next one is written only then, so that the
order of what a person said is known.
"""

import asyncio
import json
import random
import threading
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import aiohttp

AGAIN_S = 0.1
ANSWERED_BEFORE = 409


@dataclass(frozen=True)
class Heard:
    """A reply that reached somebody."""

    reply: str
    text: str
    reason: str
    at: float


@dataclass
class People:
    """Write from a thread of their own. ``said`` is in order; times are of the monotonic clock."""

    url: str
    said: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    accepted: dict[str, float] = field(default_factory=dict)
    heard: dict[str, list[Heard]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        self._writing: set[asyncio.Task[None]] = set()
        self._listening: set[asyncio.Task[None]] = set()
        self._failed: list[BaseException] = []
        self._stopping = False
        self._numbers: dict[str, int] = defaultdict(int)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="people")
        self._thread.start()
        self._session = asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(10)

    def write(self, names: Sequence[str], messages: int, pause_s: float = 0.3, words: str = "", seed: int = 0) -> None:
        """Each of them begins to write so many messages with pauses (twice as long as said at most, none at least)."""
        for name in names:
            pauses = random.Random(f"{name} {seed}")
            self._loop.call_soon_threadsafe(self._begin, self._write(name, messages, pause_s, words, pauses))

    def say(self, name: str, words: str = "") -> str:
        """One message; return its text. It is written as soon as this person has nothing else to write."""
        text = self._text(name, words)
        self._loop.call_soon_threadsafe(self._begin, self._say(name, text))
        return text

    @property
    def done(self) -> bool:
        """Tell whether all that is to be written is accepted."""
        if self._failed:
            raise self._failed[0]
        return not self._writing and not self._starting()

    def answered(self, text: str) -> bool:
        return bool(self.heard.get(text))

    @property
    def unheard(self) -> list[str]:
        return [text for text in list(self.accepted) if not self.heard.get(text)]

    def stop_writing(self) -> None:
        """Whoever writes finishes what is being sent and writes no more."""
        self._stopping = True

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _starting(self) -> bool:
        """Tell whether something was asked for that the thread has not begun with."""
        asked = threading.Event()
        self._loop.call_soon_threadsafe(asked.set)
        asked.wait(5)
        return bool(self._writing)

    async def _open(self) -> aiohttp.ClientSession:
        self._turns: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=2)
        return aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0, force_close=True))

    async def _close(self) -> None:
        tasks = [*self._writing, *self._listening]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._session.close()

    def _begin(self, coroutine, listening: bool = False) -> None:  # type: ignore[no-untyped-def]
        tasks = self._listening if listening else self._writing
        task = self._loop.create_task(coroutine)
        tasks.add(task)
        task.add_done_callback(lambda done: self._ended(done, tasks))

    def _ended(self, task: "asyncio.Task[None]", tasks: "set[asyncio.Task[None]]") -> None:
        tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self._failed.append(error)

    def _text(self, name: str, words: str) -> str:
        self._numbers[name] += 1
        return f"{name}-{self._numbers[name]:03d} {words}".strip()

    async def _write(self, name: str, messages: int, pause_s: float, words: str, pauses: random.Random) -> None:
        for _ in range(messages):
            await asyncio.sleep(pauses.uniform(0, 2 * pause_s))
            if self._stopping:
                return
            await self._say(name, self._text(name, words))

    async def _say(self, name: str, text: str) -> None:
        async with self._turns[name]:
            response = await self._post(name, text)
            self.said[name].append(text)
            self.accepted[text] = time.monotonic()
        self._begin(self._listen(name, text, response), listening=True)

    async def _post(self, name: str, text: str) -> aiohttp.ClientResponse | None:
        """Send it until it is accepted; None: it was answered before, and nobody listened."""
        body = {"user": name, "message": text, "id": text.replace(" ", "_")}
        while True:
            try:
                response = await self._session.post(f"{self.url}/chat/stream", json=body)
            except (aiohttp.ClientError, OSError, TimeoutError):
                await asyncio.sleep(AGAIN_S)
                continue
            if response.status == 200:
                return response
            said = await _read(response)
            if response.status == ANSWERED_BEFORE:
                return None
            assert response.status in (429, 503), f"{text}: {response.status} {said}"
            await asyncio.sleep(AGAIN_S)

    async def _listen(self, name: str, text: str, response: aiohttp.ClientResponse | None) -> None:
        while response:
            try:
                async for event, data in _events(response):
                    if event == "reply":
                        said = Heard(data["id"], data["response"], data["finish_reason"], time.monotonic())
                        self.heard[text].append(said)
                        return
            except (aiohttp.ClientError, OSError):
                pass
            finally:
                response.close()
            await asyncio.sleep(AGAIN_S)
            response = await self._post(name, text)


async def _read(response: aiohttp.ClientResponse) -> str:
    try:
        return await response.text()
    except (aiohttp.ClientError, OSError):
        return "(cut off)"
    finally:
        response.close()


async def _events(response: aiohttp.ClientResponse) -> AsyncIterator[tuple[str, dict[str, str]]]:
    event = ""
    async for raw in response.content:
        line = raw.decode().rstrip("\n")
        if line.startswith("event: "):
            event = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield event, json.loads(line.removeprefix("data: "))
