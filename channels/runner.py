"""Runs one adapter: inbound accept, outbound delivery loop, the only send-retry, drafts, shutdown.

Order: replies to one address are sent one after the other; a reply that must wait holds up its own address only.
"""

import asyncio
import contextlib
import logging
import os
import socket
import unicodedata
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from channels.base import Adapter
from core import commands
from core.dialogue import Address, outbox_name
from core.errors import DeliveryError, DeliveryLater, DeliveryRefused, InputError, StoreUnavailable
from core.events import MessageEvent
from core.settings import Inbox as InboxSettings
from core.store import Delivery, Store
from core.store.outbox import PEER_TTL_S

log = logging.getLogger(__name__)
T = TypeVar("T")

BLOCK_MS = 1000
LOOK_S = 2  # between two looks for replies that were left behind
REMEMBERED = 1000
FINISH_S = 5  # for what is being sent when the process ends
# What nobody types on purpose: control characters but for line breaks and tabs.
KEPT_CONTROLS = "\n\t"


class Runner:
    """Carries events from an adapter to the store and replies from the store to the adapter."""

    def __init__(self, adapter: Adapter, store: Store, limits: InboxSettings) -> None:
        self._adapter = adapter
        self._store = store
        self._limits = limits
        self._outbox = store.outbox(outbox_name(adapter.name, adapter.via))
        self._consumer = f"{socket.gethostname()}-{os.getpid()}"
        self._lanes: dict[Address, asyncio.Queue[Delivery]] = {}
        self._lane_tasks: set[asyncio.Task[None]] = set()
        self._in_hand: set[str] = set()
        self._settled_entries: OrderedDict[str, None] = OrderedDict()
        self._sent: OrderedDict[str, None] = OrderedDict()
        # Of its own: what waits for a frozen Redis in accept must not keep replies from being read.
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="delivery")
        self._closing = asyncio.Event()

    async def run(self) -> None:
        """Run until the adapter's conversation ends or ``stop`` is called; then close everything in order."""
        outbound = asyncio.create_task(self._deliver(), name="delivery")
        drafts = asyncio.create_task(self._pass_drafts(), name="drafts")
        inbound = asyncio.create_task(self._adapter.run(self.accept), name="inbound")
        closing = asyncio.create_task(self._closing.wait(), name="closing")
        try:
            done, _ = await asyncio.wait({inbound, closing, outbound}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()  # a defect ends the process; a supervisor starts another
        finally:
            self._closing.set()
            inbound.cancel()
            closing.cancel()
            await asyncio.gather(outbound, drafts, return_exceptions=True)
            if self._lane_tasks:
                await asyncio.wait(self._lane_tasks, timeout=FINISH_S)
            for lane in self._lane_tasks:
                lane.cancel()  # what was not sent stays in the outbox
            await asyncio.gather(inbound, *self._lane_tasks, return_exceptions=True)
            await self._adapter.close()
            await self._leave()
            self._threads.shutdown(wait=False)

    def stop(self) -> None:
        """End ``run``."""
        self._closing.set()

    async def accept(self, event: MessageEvent) -> bool:
        """Check and store an event; see channels.base.Accept."""
        event = event.model_copy(update={"text": clean(event.text, self._limits.max_chars)})
        if not event.text and not event.attachments:
            raise InputError("empty", "The message is empty. Write something first.")
        accepted = await asyncio.to_thread(self._store.inbox.accept, event)
        if accepted == "accepted" and commands.parse(event.text) is commands.TABLE["stop"]:
            # The inbox keeps order, so the command itself waits behind the reply that it is to end.
            await asyncio.to_thread(self._store.inbox.request_stop, event.person)
        if accepted == "full":
            raise InputError("too_many", "I am still working on your earlier messages. Wait for my answer, then go on.")
        return accepted == "accepted"

    async def _deliver(self) -> None:
        await self._inherit()
        look_at = 0.0
        while not self._closing.is_set():
            found = await self._patiently(lambda: self._outbox.read(self._consumer, BLOCK_MS))
            self._dispatch(found or [])
            await asyncio.sleep(0)  # the lanes first: reading on would compete with them for the interpreter
            now = asyncio.get_running_loop().time()
            if found is None:  # while Redis was away nobody could give a sign of life: peers need time for one
                look_at = now + PEER_TTL_S
            elif now >= look_at:
                look_at = now + LOOK_S
                # Ours: an answer of Redis that was lost on its way here was read all the same.
                self._dispatch(await self._patiently(lambda: self._outbox.unacknowledged(self._consumer)) or [])
                self._dispatch(await self._patiently(lambda: self._outbox.take_over(self._consumer)) or [])

    async def _inherit(self) -> None:
        """Before anything new, take what was read and not sent: by us, or by a process whose place we take.

        Such a process may still count as living for a moment; one that really lives keeps its replies.
        """
        loop = asyncio.get_running_loop()
        give_up = loop.time() + PEER_TTL_S + 1
        while not self._closing.is_set():
            self._dispatch(await self._patiently(lambda: self._outbox.unacknowledged(self._consumer)) or [])
            self._dispatch(await self._patiently(lambda: self._outbox.take_over(self._consumer)) or [])
            waiting = await self._patiently(lambda: self._outbox.peers_pending(self._consumer))
            if waiting is False or loop.time() > give_up:
                return
            await self._pause()

    def _dispatch(self, deliveries: list[Delivery]) -> None:
        for delivery in deliveries:
            if delivery.entry in self._in_hand or delivery.entry in self._settled_entries:
                continue
            self._in_hand.add(delivery.entry)
            address = delivery.reply.address
            if address in self._lanes:
                self._lanes[address].put_nowait(delivery)
                continue
            lane: asyncio.Queue[Delivery] = asyncio.Queue()
            lane.put_nowait(delivery)
            self._lanes[address] = lane
            task = asyncio.create_task(self._drive(address, lane))
            self._lane_tasks.add(task)
            task.add_done_callback(self._lane_tasks.discard)

    async def _drive(self, address: Address, lane: "asyncio.Queue[Delivery]") -> None:
        """Send what is in this lane, in order, then end."""
        try:
            while not lane.empty():
                delivery = lane.get_nowait()
                refused = await self._send(delivery)
                while not await self._settled(delivery, refused) and not self._closing.is_set():
                    pass  # Redis is away; the reply must not be sent again meanwhile
                _remember(self._settled_entries, delivery.entry)
                self._in_hand.discard(delivery.entry)
        finally:
            del self._lanes[address]

    async def _settled(self, delivery: Delivery, refused: str | None) -> bool:
        def settle() -> bool:
            if refused is None:
                self._outbox.acknowledge(delivery)
            else:
                self._outbox.bury(delivery, refused)
            return True

        return bool(await self._patiently(settle))

    async def _send(self, delivery: Delivery) -> str | None:
        """Send a reply, however often it takes; return None, or the reason why it can never be sent."""
        reply = delivery.reply
        while True:
            try:
                _remember(self._sent, reply.id)
                await self._adapter.send(reply)
                return None
            except DeliveryLater as error:
                log.warning("reply %s waits %.1f s: %s", reply.id, error.retry_after_s, error)
                await asyncio.sleep(error.retry_after_s)
            except DeliveryRefused as error:
                log.error("reply %s is a dead letter: %s", reply.id, error)
                return str(error)
            except (DeliveryError, OSError) as error:
                log.warning("reply %s failed, again in 1 s: %s", reply.id, error)
                await asyncio.sleep(1)
            except Exception as error:  # a defect of the adapter must not stop the others or loop for ever
                log.exception("reply %s is a dead letter", reply.id)
                return f"{type(error).__name__}: {error}"

    async def _pass_drafts(self) -> None:
        """Hand partial text to the adapter; a draft that comes after its reply is dropped."""
        loop = asyncio.get_running_loop()
        while not self._closing.is_set():
            try:
                with self._outbox.drafts() as feed:
                    while not self._closing.is_set():
                        draft = await loop.run_in_executor(self._threads, feed.next, BLOCK_MS / 1000)
                        if draft and draft.reply_id not in self._sent:
                            await self._adapter.draft(draft)
            except StoreUnavailable:
                await self._pause()
            except Exception:
                log.exception("a draft could not be shown")

    async def _patiently(self, call: Callable[[], T]) -> T | None:
        """Run a blocking store call in a thread; None (after a pause) if Redis is away."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, call)
        except StoreUnavailable as error:
            log.warning("delivery waits: %s", error)
            await self._pause()
            return None

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), timeout=0.5)

    async def _leave(self) -> None:
        try:
            await asyncio.to_thread(self._outbox.leave, self._consumer)
        except StoreUnavailable:
            log.info("Redis is away; this process's sign of life runs out by itself")


def _remember(known: OrderedDict[str, None], name: str) -> None:
    known[name] = None
    while len(known) > REMEMBERED:
        known.popitem(last=False)


def clean(text: str, max_chars: int) -> str:
    """Return the text as it may enter the store; raises InputError if it is too long.

    Lone surrogates (from invalid UTF-8) become the replacement character, control characters go, the ends are
    trimmed, and the rest is brought to Unicode's NFC, so that the same words are the same text.
    """
    if len(text) > max_chars:
        raise InputError(
            "too_long", f"The message has {len(text):,} characters; I can take {max_chars:,}. Please send less at once."
        )
    text = text.replace("\r\n", "\n").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    kept = (c for c in text if c in KEPT_CONTROLS or unicodedata.category(c) != "Cc")
    return unicodedata.normalize("NFC", "".join(kept)).strip()
