"""A crowd that writes to a running Rapport through the doubles of the networks and the web channel, and keeps a ledger.

Every message has a number and a mark with it (bench/marks.py), which its reply repeats: so what was answered,
when, and how often is read off what people see. When somebody writes is decided in bench/load.py; here nothing waits
for a reply. People of Slack are spread over eight workspaces, each of which has limits of its own.
"""

import asyncio
import json
import logging
import re
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from random import Random
from typing import Any, cast

import aiohttp
import redis

from bench.marks import MARK
from core.store import keys
from core.store.inbox import read_turn
from tests.platforms.base import Double, Post
from tests.platforms.discord import DiscordDouble
from tests.platforms.slack import Slack
from tests.platforms.telegram import TelegramDouble
from tests.platforms.telegram_chats import BOT_ID

# Where people write. A bot may write some 20 messages a second at Telegram, 45 at Discord, and 5 in a Slack workspace:
# these shares carry 200 a second, so that the machine is the limit and not the rules of a network.
SHARES = {"web": 0.55, "slack": 0.15, "telegram": 0.1, "discord": 0.2}
TEAMS = ("T0ONE", *(f"T0{word}" for word in ("TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT")))
LOOK_S = 0.02
KEPT_POSTS = 1000  # a double looks through all of them at some calls
NOT_TAKEN = "did not take that message"
NUMBER_IN_LINE = re.compile(r"you are number \d+")
SAID = (
    "good morning, how are you today?",
    "I finally passed my exam!",
    "my order is three weeks late and nobody answers me",
    "I don't understand how this works",
    "my cat died yesterday",
    "thank you so much, that helped",
    "what should I cook tonight?",
    "I am so nervous about tomorrow",
)


@dataclass
class Message:
    """One message and what became of it. ``due``: when the schedule has it, ``sent``: when it was really written."""

    number: int
    network: str
    person: str
    due: float
    sent: float = 0.0
    event_id: str = ""
    answers: dict[str, float] = field(default_factory=dict)  # what answered it -> when
    refused: str = ""
    told_number: bool = False

    @property
    def latency_s(self) -> float:
        """Seconds from its due time to its first answer."""
        return min(self.answers.values()) - self.due


@dataclass(frozen=True)
class Ledger:
    """What became of the messages. ``taken``: stored; the others were refused, by a word to the person or a status.

    ``lost``: taken, and nobody saw an answer; ``doubled``: answered, or in a history, more than once; ``reordered``:
    answered after a later message of the same person; ``unheard``: neither taken nor refused.
    """

    written: int
    taken: int
    refused: int
    lost: int
    doubled: int
    reordered: int
    unheard: int


class Crowd:
    """``people`` persons over all networks. ``folder`` has the logs of the channels, ``<network>.log``."""

    def __init__(self, people: int, seed: int, folder: Path) -> None:
        self._random = Random(seed)
        self._people = people
        self._folder = folder
        slack = Slack()
        for team in TEAMS[1:]:
            slack.add_workspace(team, team.title())
        self.doubles: dict[str, Double] = {"slack": slack, "telegram": TelegramDouble(), "discord": DiscordDouble()}
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.web_port = free.getsockname()[1]
        self.messages: dict[int, Message] = {}
        self.told_numbers: set[str] = set()  # places at Slack whose status said a number
        self._queues: dict[str, SimpleQueue[Message | None]] = {name: SimpleQueue() for name in self.doubles}
        self._threads = [threading.Thread(target=self._write, args=[name]) for name in self.doubles]
        self._collector = threading.Thread(target=self._collect)
        self._web = asyncio.new_event_loop()
        self._threads.append(threading.Thread(target=self._web.run_forever))
        self._streams: set[asyncio.Task[None]] = set()
        self._closing = threading.Event()
        self._arrived = False

    def start(self) -> None:
        """Open the doubles; after this ``environment`` is complete."""
        logging.getLogger("aiohttp.server").disabled = True  # a call that a process breaks off is no error of a double
        for double in self.doubles.values():
            double.start()

    @property
    def environment(self) -> dict[str, str]:
        """What the processes of Rapport need to know of the networks."""
        every = {"RAPPORT_WEB__PORT": str(self.web_port), "WEB_API_KEY": ""}
        for double in self.doubles.values():
            every |= double.environment
        return every

    def arrive(self) -> bool:
        """Tell whether all channels are there; the first time they are, people may write."""
        if not all(double.connected() for double in self.doubles.values()):
            return False
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", self.web_port)):
                return False
        for thread in [*self._threads, self._collector]:
            thread.start()
        self._arrived = True
        self._session = asyncio.run_coroutine_threadsafe(self._open_session(), self._web).result(10)
        return True

    def say(self, due: float) -> Message:
        """Have somebody write at once; return the message without waiting for anything."""
        network = self._random.choices(list(SHARES), list(SHARES.values()))[0]
        person = f"p{self._random.randrange(max(1, int(self._people * SHARES[network])))}"
        message = Message(len(self.messages) + 1, network, person, due)
        self.messages[message.number] = message
        if network == "web":
            self._web.call_soon_threadsafe(self._begin_stream, message)
        else:
            self._queues[network].put(message)
        return message

    def stop(self) -> None:
        """End everything here."""
        if self._arrived:
            self._closing.set()
            self._collector.join()
            asyncio.run_coroutine_threadsafe(self._close_session(), self._web).result(10)
            self._web.call_soon_threadsafe(self._web.stop)
            for queue in self._queues.values():
                queue.put(None)
            for thread in self._threads:
                thread.join()
        logging.getLogger("asyncio").disabled = True  # of a poll that breaks off a task is left
        for double in self.doubles.values():
            double.stop()

    def check(self, messages: Iterable[Message], url: str) -> Ledger:
        """Return what became of these messages, by what people saw, the store's marks and the histories."""
        messages = list(messages)
        with redis.Redis.from_url(url, decode_responses=True) as client:
            together = client.pipeline(transaction=False)
            for message in messages:
                together.exists(keys.seen(message.event_id))
            seen = together.execute()
            remembered = _in_histories(client)
        refused = self._refused()
        taken = [message for message, known in zip(messages, seen, strict=True) if known]
        others = [message for message, known in zip(messages, seen, strict=True) if not known]
        turned_away = sum(bool(message.refused) or message.event_id in refused for message in others)
        return Ledger(
            written=len(messages),
            taken=len(taken),
            refused=turned_away,
            # Who calls and got no reply in time finds it in the history.
            lost=sum(not (one.answers or (one.network == "web" and remembered[one.number])) for one in taken),
            doubled=sum(len(message.answers) > 1 or remembered[message.number] > 1 for message in messages),
            reordered=_reordered(taken),
            unheard=len(others) - turned_away,
        )

    @property
    def violations(self) -> list[str]:
        """What the bot did against the rules of the networks."""
        return [text for double in self.doubles.values() for text in double.violations]

    def _refused(self) -> set[str]:
        """Return the ids of the events that the channels refused, by their logs."""
        logs = [(self._folder / f"{name}.log").read_text("utf-8", "replace") for name in self.doubles]
        return {found for log in logs for found in re.findall(r"event (\S+) is refused", log)}

    def _write(self, network: str) -> None:
        """Write what is due at one network: its double is told from one thread."""
        double = self.doubles[network]
        while message := self._queues[network].get():
            message.sent = time.monotonic()
            who = message.person
            how = {"team": TEAMS[int(who[1:]) % len(TEAMS)]} if network == "slack" else {}
            identity = double.say(_text(message), user=who, **how)
            if network == "telegram":
                identity = f"{BOT_ID}:{identity}"
            elif network == "discord":
                identity = f"{cast(DiscordDouble, double).place('direct', who)}:{identity}"
            message.event_id = f"{network}:{identity}"

    def _collect(self) -> None:
        """Note what people see, and have the doubles forget it."""
        at = dict.fromkeys(self.doubles, 0)
        unread: dict[str, list[Post]] = {name: [] for name in self.doubles}
        while not self._closing.wait(LOOK_S):
            for name, double in self.doubles.items():
                new = double.posts[at[name] :]
                at[name] += len(new)
                unread[name] = [post for post in unread[name] + new if not self._read(name, post)]
                if at[name] > 2 * KEPT_POSTS:
                    at[name] -= double.run(_forget(double))
            slack = cast(Slack, self.doubles["slack"])
            self.told_numbers |= {
                place for (place, _), text in list(slack.statuses.items()) if NUMBER_IN_LINE.search(text)
            }

    def _read(self, network: str, post: Post) -> bool:
        """Note what a post answers; False if it does not say so (yet): it may be a draft."""
        text = post.text
        marks = MARK.findall(text)
        when = post.at if len(post.texts) == 1 else time.monotonic()
        for mark in marks:
            if message := self.messages.get(int(mark[1:])):
                message.answers[f"{network} {post.space} {post.id}"] = when
        return bool(marks) or NOT_TAKEN in text

    async def _open_session(self) -> aiohttp.ClientSession:
        no_limit = aiohttp.ClientTimeout(total=None)
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=no_limit)

    async def _close_session(self) -> None:
        for stream in list(self._streams):
            stream.cancel()
        await asyncio.gather(*self._streams, return_exceptions=True)
        await self._session.close()

    def _begin_stream(self, message: Message) -> None:
        message.sent = time.monotonic()
        task = self._web.create_task(self._stream(message))
        self._streams.add(task)
        task.add_done_callback(self._streams.discard)

    async def _stream(self, message: Message) -> None:
        """Say something over the web channel and listen until the reply is there.

        A server may close a connection in the moment in which it is used again. So the message is sent once more with
        its id, as a caller should.
        """
        message.event_id = f"web:api:n{message.number}:{message.person}"
        body = {"message": _text(message), "user": message.person, "id": f"n{message.number}"}
        while not (message.answers or message.refused):
            try:
                await self._listen(message, body)
            except aiohttp.ClientError:
                await asyncio.sleep(LOOK_S)

    async def _listen(self, message: Message, body: dict[str, str]) -> None:
        url = f"http://127.0.0.1:{self.web_port}/chat/stream"
        async with self._session.post(url, json=body) as response:
            if response.status != 200:
                message.refused = (await response.json())["error"]["code"]
                return
            event = ""
            async for raw in response.content:
                line = raw.decode().strip()
                if line.startswith("event: "):
                    event = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    self._note(message, event, json.loads(line.removeprefix("data: ")))

    @staticmethod
    def _note(message: Message, event: str, data: dict[str, Any]) -> None:
        if event == "busy" and data["place"]:
            message.told_number = True
        elif event == "reply" and f"№{message.number}" in MARK.findall(data["response"]):
            message.answers[data["id"]] = time.monotonic()
        elif event == "error":
            message.refused = data["error"]["code"]  # of a message that was taken; its answer is in the history


async def _forget(double: Double) -> int:
    """Drop what a double need not remember; return how many posts."""
    gone = len(double.posts) - KEPT_POSTS
    del double.posts[:gone]
    double.calls.clear()
    double.signs.clear()
    double.acknowledged.clear()
    return gone


def _text(message: Message) -> str:
    return f"{SAID[message.number % len(SAID)]} №{message.number}"


def _in_histories(client: "redis.Redis") -> dict[int, int]:
    """Return how often the bot's turns of all histories answer each message."""
    answered: dict[int, int] = defaultdict(int)
    for key in client.scan_iter(keys.history("*"), count=1000):
        for turn in filter(None, map(read_turn, cast(list[str], client.lrange(key, 0, -1)))):
            for mark in MARK.findall(turn.text) if turn.role == "assistant" else ():
                answered[int(mark[1:])] += 1
    return answered


def _reordered(messages: Iterable[Message]) -> int:
    """Return how many messages were answered before an earlier one of the same person.

    Over HTTP each comes on a connection of its own, and which of two is first is not defined.
    """
    newest: dict[tuple[str, str], float] = defaultdict(float)
    wrong = 0
    for message in messages:  # in the order in which they were written
        if message.answers and message.network != "web":
            who, when = (message.network, message.person), min(message.answers.values())
            wrong += when < newest[who] - LOOK_S
            newest[who] = max(newest[who], when)
    return wrong
