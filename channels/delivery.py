"""How a reply becomes messages of a network: its parts, one after the other, each exactly once as far as can be known.

Shared by the networks that keep what is posted (Slack, Telegram, Discord). What one message looks like and how it is
posted is each network's (``Network``); when to try again is the runner's.
"""

import asyncio
import contextlib
import hashlib
import logging
from collections import OrderedDict
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol, TypeVar

from channels.text import Part
from core.dialogue import Address
from core.errors import DeliveryLater, DeliveryRefused, DeliveryUnsure, StoreUnavailable
from core.events import Draft, Reply
from core.store import Bucket, Sent, Store

log = logging.getLogger(__name__)
K = TypeVar("K")
V = TypeVar("V")
Known = dict[int, Sent]

REMEMBERED = 1000
MOST_REPEATS = 3  # of one message, where nobody can tell whether it arrived; a crash costs one
NOTE_TTL_S = 30 * 86400  # how long a reaction to a reply, or an answer to it, is recognised
# For one change of a draft: longer than a network takes to answer, and less than the reply waits for it.
DRAFT_ENDS_S = 12.0
TICK_S = 1.0
FROZEN_S = 3.0  # with the tick, less than the right to send lasts
ROUNDING_S = 0.001  # Redis says whole milliseconds
# Nothing that a model wrote: there is nothing to rate. In a crisis nobody is asked for applause.
UNRATED = ("command", "failed", "cancelled", "safety")


class MessageGone(DeliveryRefused):
    """The message that was to be edited is not there any more."""


@dataclass(frozen=True)
class Message:
    """One message of a network, as it shall be.

    ``text`` is this part of the reply's Markdown, ``shown`` the same with code fences closed and opened again.
    ``key`` (25 characters) is the same for each attempt. ``repeated``: an earlier attempt may have arrived.
    ``last``: no part follows. ``rateable``: the person may be asked how it was, if it is the last one.
    """

    address: Address
    reply_id: str
    number: int
    text: str
    shown: str
    final: bool
    last: bool
    in_reply_to: tuple[str, ...]
    rateable: bool = False
    repeated: bool = False

    @property
    def key(self) -> str:
        """What makes this message unmistakable at the network, whoever sends it and however often."""
        return f"{self.reply_id[:20]}-{self.number:04d}"


class Network(Protocol):
    """What one message costs and how it gets to its place. Errors are those of ``Adapter.send``."""

    can_tell: bool
    """Whether posting a key again does no harm, or ``find`` finds for sure. If neither, a message in doubt is
    repeated once, with a mark."""

    def split(self, text: str) -> list[Part]:
        """Return the parts that are a message each."""

    def budget(self, message: Message, *, editing: bool) -> Sequence[Bucket]:
        """Return the limits that this counts against.

        The first is held when the network says that it is too much, the last as well when it says so for all places.
        """

    async def post(self, message: Message) -> str:
        """Post it; return the network's id of it."""

    async def edit(self, message_id: str, message: Message) -> None:
        """Change a posted message into this one; raises MessageGone as well."""

    async def delete(self, message_id: str, message: Message) -> None:
        """Take a posted message away; no error if it is gone."""

    async def find(self, message: Message, since: datetime) -> str | None:
        """Look for a message whose posting broke off; None if it is not there, or if the network cannot tell."""


class Delivery:
    """Sends replies and shows drafts, remembering in Redis what is at the network already.

    Every write is marked before it and confirmed after it: whoever goes on after a crash knows what was sent, and
    which single message may have been sent.
    """

    def __init__(self, network: Network, store: Store, channel: str) -> None:
        self._network = network
        self._parts = store.parts(channel)
        self._pace = store.pace(channel)
        self._notes = store.notes(channel)
        # What we know better than Redis, as it was away when we wanted to write it: by reply and number.
        self._unwritten: OrderedDict[tuple[str, int], Sent | None] = OrderedDict()
        self._not_before: OrderedDict[str, float] = OrderedDict()
        self._lines: dict[str, asyncio.Lock] = {}  # one for each workspace at most

    async def send(self, reply: Reply) -> None:
        """Bring the reply to its place; call again after an error.

        Raises LeaseLost if another process sends now, else see channels.base.Adapter.send.
        """
        if not reply.text.strip():
            raise DeliveryRefused("the reply is empty")
        rateable = reply.finish_reason not in UNRATED
        # In a thread: an /export full of odd mark-up takes seconds to be split, and all else on the network would wait.
        messages = await asyncio.to_thread(self._messages, reply, final=True, rateable=rateable)
        known = await self._load(reply.id)
        for message in messages:
            await self._bring(message, known)
        await self._take_back(messages[-1], known)

    async def draft(self, draft: Draft) -> bool:
        """Show the text so far if the budget allows it now, and tell whether it stands there.

        A final message always goes before.
        """
        loop = asyncio.get_running_loop()
        if not draft.text.strip() or loop.time() < self._not_before.get(draft.reply_id, 0):
            return False
        try:
            messages = await asyncio.to_thread(self._messages, draft, final=False, rateable=False)
            known = await self._load(draft.reply_id)
            for message in messages:
                await self._bring(message, known)
            return bool(messages)
        except DeliveryLater as error:
            _remember(self._not_before, draft.reply_id, loop.time() + error.retry_after_s)
        except TimeoutError:
            log.info("a draft of %s came too late to be shown", draft.reply_id)
        except (DeliveryUnsure, DeliveryRefused):
            _remember(self._not_before, draft.reply_id, float("inf"))  # the reply itself settles it
            raise
        return False

    def _messages(self, said: Reply | Draft, *, final: bool, rateable: bool) -> list[Message]:
        try:
            parts = self._network.split(said.text)
        except ValueError:  # nothing in it can be seen
            parts = [Part(said.text, said.text)] if final else []
        reply_id = said.id if isinstance(said, Reply) else said.reply_id
        return [
            Message(
                address=said.address,
                reply_id=reply_id,
                number=number,
                text=part.text,
                shown=part.shown,
                final=final,
                last=number == len(parts) - 1,
                in_reply_to=said.in_reply_to,
                rateable=rateable,
            )
            for number, part in enumerate(parts)
        ]

    async def _bring(self, message: Message, known: Known) -> None:
        """Have this message at its place; do nothing if it is there."""
        sent = known.get(message.number)
        digest = _digest(message)
        if sent and sent.message:
            late = sent.final and not message.final  # a draft that comes after its reply
            if late or (sent.digest == digest and sent.final == message.final):
                return
        if sent and not sent.message:
            sent = await self._found(message, known, sent)
        repeats = sent.repeats if sent else 0
        message = replace(message, repeated=repeats > 0)
        message_id = sent.message if sent else None
        if message_id and not await self._edited(message_id, message):
            message_id = None
        if not message_id:
            message_id = await self._posted(message, known, sent)
        if message.final:  # noted first: a message that is known to be there is not looked at again
            name = f"reply:{message.address.space}:{message_id}"
            await asyncio.to_thread(self._notes.put, name, message.reply_id, NOTE_TTL_S)
        await self._save(message, known, Sent(message=message_id, digest=digest, final=message.final, repeats=repeats))

    async def _found(self, message: Message, known: Known, sent: Sent) -> Sent:
        """Return what became of a message whose posting broke off; if it is not found, it shall be posted once more."""
        found = await self._network.find(message, sent.at)
        if not found and sent.repeats == MOST_REPEATS and not self._network.can_tell:
            await self._save(message, known, sent.model_copy(update={"repeats": MOST_REPEATS - 1}))  # for a replay
            raise DeliveryRefused("it may have arrived, and so may its repeats: whether they did cannot be known")
        return sent.model_copy(update={"message": found, "repeats": sent.repeats if found else sent.repeats + 1})

    async def _posted(self, message: Message, known: Known, before: Sent | None) -> str:
        await self._admit(message, editing=False)
        before = before if before and not before.message else None  # else it is no doubt that it leaves
        doubted = before or Sent()
        try:
            await asyncio.to_thread(self._parts.mark, message.reply_id, message.number, doubted)
        except StoreUnavailable:  # whether it was noted or not: nothing is posted
            _remember(self._unwritten, (message.reply_id, message.number), known.get(message.number))
            raise
        try:
            return await self._network.post(message)
        except (DeliveryLater, DeliveryRefused) as error:
            await self._save(message, known, known.get(message.number) if before else None)
            await self._heed(error, message, editing=False)
            raise

    async def _edited(self, message_id: str, message: Message) -> bool:
        """Edit; return False if there is nothing left to be edited."""
        await self._admit(message, editing=True)
        await asyncio.to_thread(self._parts.check)
        try:
            editing = self._network.edit(message_id, message)
            await (editing if message.final else _unless_frozen(editing))
        except MessageGone:
            return False
        except DeliveryLater as error:
            await self._heed(error, message, editing=True)
            raise
        return True

    async def _take_back(self, last: Message, known: Known) -> None:
        """Delete what a draft showed beyond the end of the reply."""
        for number, sent in sorted(known.items()):
            if number > last.number:
                if sent.message:
                    await self._admit(last, editing=True)
                    await self._network.delete(sent.message, last)
                await asyncio.to_thread(self._parts.save, last.reply_id, number, None)

    async def _admit(self, message: Message, *, editing: bool) -> None:
        """Wait until the budget allows it; a draft does not wait but raises DeliveryLater."""
        buckets = self._network.budget(message, editing=editing)
        if not message.final:
            if wait_s := await asyncio.to_thread(self._pace.take, buckets, spare=1):
                raise DeliveryLater("the budget is for final messages now", wait_s)
            return
        while True:
            wait_s = await self._wait_in_line(buckets)
            if not wait_s:
                return
            await asyncio.sleep(wait_s)

    async def _wait_in_line(self, buckets: Sequence[Bucket]) -> float:
        """Take from the buckets; return 0, or the seconds to wait for one that is not shared with all others.

        For the widest, which is the last, those who wait stand in line: if all of them asked Redis each time that it
        has room for one, a crowd would ask thousands of times a second and nothing else would get done.
        """
        if not buckets:
            return 0
        widest = buckets[-1]
        soon_s = widest.interval_ms / 1000 + ROUNDING_S
        async with self._lines.setdefault(widest.name, asyncio.Lock()):
            while True:
                wait_s = await asyncio.to_thread(self._pace.take, buckets)
                if not 0 < wait_s <= soon_s:
                    return wait_s
                await asyncio.sleep(wait_s)

    async def _heed(self, error: Exception, message: Message, *, editing: bool) -> None:
        """After a refusal for flooding, all processes of the channel wait."""
        buckets = self._network.budget(message, editing=editing)
        if not isinstance(error, DeliveryLater) or not error.flood or not buckets:
            return
        for bucket in {buckets[0], buckets[-1]} if error.everywhere else buckets[:1]:
            with contextlib.suppress(StoreUnavailable):  # the wait itself is the runner's
                await asyncio.to_thread(self._pace.hold, bucket, error.retry_after_s)

    async def _load(self, reply_id: str) -> Known:
        """Return what is known of the reply's messages. Read anew each time: another process may have sent."""
        known = await asyncio.to_thread(self._parts.load, reply_id)
        for (reply, number), sent in self._unwritten.items():
            if reply == reply_id:
                known.pop(number, None)
                known.update({number: sent} if sent else {})
        return known

    async def _save(self, message: Message, known: Known, sent: Sent | None) -> None:
        known.pop(message.number, None)
        known.update({message.number: sent} if sent else {})
        place = (message.reply_id, message.number)
        # A draft of a process that stood still must not undo what its successor has noted of the reply.
        write = self._parts.save if message.final else self._parts.mark
        try:
            await asyncio.to_thread(write, *place, sent)
        except StoreUnavailable:
            _remember(self._unwritten, place, sent)
            raise
        self._unwritten.pop(place, None)


async def _unless_frozen(editing: Coroutine[Any, Any, None]) -> None:
    """Wait for the edit of a draft, also on a slow network; raises TimeoutError if it takes too long.

    A process that stood still must not wake up and put an old draft over the final text of its successor. One on a
    slow network must not go on before the network is done: else the draft comes after its own reply.
    """
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(editing)
    try:
        until = loop.time() + DRAFT_ENDS_S
        while (ticked_at := loop.time()) < until:
            done, _ = await asyncio.wait({task}, timeout=TICK_S)
            if done:
                return task.result()
            if loop.time() - ticked_at > FROZEN_S:
                break
        raise TimeoutError
    finally:
        task.cancel()


def _remember(known: OrderedDict[K, V], name: K, value: V) -> None:
    known[name] = value
    known.move_to_end(name)
    while len(known) > REMEMBERED:
        known.popitem(last=False)


def _digest(message: Message) -> str:
    return hashlib.sha256(message.shown.encode()).hexdigest()[:16]
