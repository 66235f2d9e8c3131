"""Runs one adapter: inbound accept, outbound delivery loop, the only send-retry, shutdown.

Any process of a channel accepts; one of them, the courier, sends. Order: replies to one address are sent one after
the other; a reply that must wait holds up its own address only. What people see before the reply is in live.py.
"""

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from channels.base import Adapter
from channels.incoming import error_of, readable
from channels.live import Live
from core import commands, logs
from core.dialogue import Address, outbox_name
from core.errors import (
    DeliveryError,
    DeliveryLater,
    DeliveryRefused,
    DeliveryUnsure,
    InputError,
    LeaseLost,
    StoreUnavailable,
)
from core.events import MessageEvent
from core.process import process_name
from core.sections import Inbox as InboxSettings
from core.store import Bucket, Delivery, Refusal, Store
from core.store.outbox import COURIER_TTL_S

log = logging.getLogger(__name__)
T = TypeVar("T")

BLOCK_MS = 1000
RENEW_S = 1.0
LOOK_S = 2  # between two looks for replies that were left behind
REMEMBERED = 1000
FINISH_S = 8.0  # for what is being sent when the process ends; a supervisor waits a little longer
UNSURE_S = 3600.0  # for a reply to which the network has no answer, while it has one to others
FIRST_PAUSE_S, LAST_PAUSE_S = 1.0, 60.0  # between attempts, doubled each time
TOLD_AT_ONCE, TOLD_S = 3, 20.0  # how often a person is told that a message is too long or empty


class Runner:
    """Carries events from an adapter to the store and replies from the store to the adapter."""

    def __init__(self, adapter: Adapter, store: Store, limits: InboxSettings) -> None:
        self._adapter = adapter
        self._store = store
        self._limits = limits
        self._outbox = store.outbox(outbox_name(adapter.name, adapter.via))
        self._consumer = process_name()
        self._lanes: dict[Address, asyncio.Queue[Delivery]] = {}
        self._lane_tasks: set[asyncio.Task[None]] = set()
        self._in_hand: set[str] = set()
        self._settled_entries: OrderedDict[str, None] = OrderedDict()
        # Of its own: what waits for a frozen Redis in accept must not keep replies from being read.
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="delivery")
        self._closing = asyncio.Event()
        self._courier_until = 0.0
        self._got_through = 0.0
        self._leading = asyncio.Lock()
        self._live = Live(adapter, store, self._outbox, self._threads, self._is_courier, self._lanes.__contains__)

    async def run(self) -> None:
        """Run until the adapter's conversation ends or ``stop`` is called; then close everything in order."""
        outbound = asyncio.create_task(self._deliver(), name="delivery")
        live = asyncio.create_task(self._live.listen(), name="live")
        inbound = asyncio.create_task(self._adapter.run(self.accept), name="inbound")
        closing = asyncio.create_task(self._closing.wait(), name="closing")
        try:
            done, _ = await asyncio.wait({inbound, closing, outbound}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()  # a defect ends the process; a supervisor starts another
        finally:
            self._closing.set()
            for task in (inbound, closing):
                task.cancel()
            await asyncio.gather(outbound, return_exceptions=True)
            await self._finish()
            await asyncio.gather(inbound, return_exceptions=True)
            await self._adapter.close()
            await self._leave()
            self._threads.shutdown(wait=False)
            live.cancel()

    async def _finish(self) -> None:
        """Finish what is being sent; no more is begun, and what was not sent stays in the outbox."""
        until = asyncio.get_running_loop().time() + FINISH_S
        ends = {*self._lane_tasks, asyncio.create_task(self._live.finish())}
        while ends and (left := until - asyncio.get_running_loop().time()) > 0:
            _, ends = await asyncio.wait(ends, timeout=min(left, 1))
            if ends:
                await self._lead()  # nobody else may send meanwhile
        for task in ends:
            task.cancel()
        await asyncio.gather(*ends, return_exceptions=True)

    def stop(self) -> None:
        """End ``run``."""
        self._closing.set()

    async def accept(self, event: MessageEvent) -> bool:
        """Check and store an event; see channels.base.Accept."""
        with logs.about(event.id):
            return await self._accept(event)

    async def _accept(self, event: MessageEvent) -> bool:
        if not self._store.admits(event.person):  # before all else, so that nothing they send makes us write
            raise error_of(Refusal("denied", first=False))
        try:
            event = readable(event, self._limits.max_chars)
        except InputError as error:
            error.told = await self._told_lately(event)
            raise
        if datetime.now(UTC) - event.sent_at > timedelta(hours=self._limits.stale_hours):
            log.warning("event %s is not answered: it is older than inbox.stale_hours", event.id)
            return False
        try:
            accepted = await asyncio.to_thread(self._store.inbox.accept, event)
        except StoreUnavailable as error:
            log.warning("event %s cannot be stored now: %s", event.id, error)
            raise
        if accepted == "accepted" and commands.parse(event.text) is commands.TABLE["stop"]:
            # The inbox keeps order, so the command itself waits behind the reply that it is to end.
            await asyncio.to_thread(self._store.inbox.request_stop, event.person)
        if isinstance(accepted, Refusal):
            log.info("event %s is refused: %s", event.id, accepted)
            raise error_of(accepted)
        return accepted == "accepted"

    async def _told_lately(self, event: MessageEvent) -> bool:
        """Tell whether this person was told so often what to change that they are not told again just now."""
        told = Bucket(f"told:{event.person}", per_s=1 / TOLD_S, burst=TOLD_AT_ONCE)
        return bool(await asyncio.to_thread(self._store.pace(self._adapter.name).take, [told]))

    async def _deliver(self) -> None:
        look_at = 0.0
        while not self._closing.is_set():
            if not await self._lead(renew=self._is_due()):
                await self._pause()
                continue
            self._dispatch(await self._patiently(lambda: self._outbox.read(self._consumer, BLOCK_MS)) or [])
            await asyncio.sleep(0)  # the lanes first: reading on would compete with them for the interpreter
            now = asyncio.get_running_loop().time()
            if (
                now >= look_at and self._is_courier()
            ):  # ours: an answer of Redis that was lost on its way here was read all the same
                look_at = now + LOOK_S
                self._dispatch(await self._patiently(self._inherited) or [])

    def _inherited(self) -> list[Delivery]:
        """Return what is read and not acknowledged: by us, by one before us, or by one whose read came too late."""
        self._outbox.inherit(self._consumer)
        return self._outbox.unacknowledged(self._consumer)

    async def _lead(self, *, renew: bool = True) -> bool:
        """Become or stay the courier; on becoming it, first take what an earlier one read and did not send.

        Without ``renew``, do nothing if it is so. Many replies that find together that time ran out on this process
        must not each ask for it: that took so long that time ran out again.
        """
        async with self._leading:
            was = self._is_courier()
            if was and not renew:
                return True
            asked_at = asyncio.get_running_loop().time()
            if not await self._patiently(lambda: self._outbox.lead(self._consumer)):
                return False
            if not was:
                left = await self._patiently(self._inherited)
                if left is None:
                    return False
                log.info("this process sends the replies of %s now", self._adapter.name)
                self._courier_until = asked_at + COURIER_TTL_S
                self._dispatch(left)
                self._live.look_soon()
            self._courier_until = asked_at + COURIER_TTL_S
            return True

    def _is_due(self) -> bool:
        """Is it time to say again that this process sends? Not for each reply: that is a question to Redis for each."""
        return asyncio.get_running_loop().time() > self._courier_until - COURIER_TTL_S + RENEW_S

    def _is_courier(self) -> bool:
        return asyncio.get_running_loop().time() < self._courier_until

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
        """Send what is in this lane, in order, then end. If this process may send no more, the rest is left."""
        try:
            while not lane.empty() and not self._closing.is_set() and await self._lead(renew=False):
                delivery = lane.get_nowait()
                with logs.about(*delivery.reply.in_reply_to):
                    if not await self._deliver_one(delivery):
                        lane.put_nowait(delivery)
                        return
        finally:
            del self._lanes[address]
            while not lane.empty():
                self._in_hand.discard(lane.get_nowait().entry)

    async def _deliver_one(self, delivery: Delivery) -> bool:
        """Send a reply and take it out of the outbox; False if it is not for us to send any more."""
        try:
            refused = await self._send(delivery)
        except LeaseLost as error:
            log.warning("reply %s is left: %s", delivery.reply.id, error)
            self._courier_until = 0
            return False
        while not await self._settled(delivery, refused) and not self._closing.is_set():
            pass  # Redis is away; the reply must not be sent again meanwhile
        _remember(self._settled_entries, delivery.entry)
        self._in_hand.discard(delivery.entry)
        return True

    async def _settled(self, delivery: Delivery, refused: str | None) -> bool:
        def settle() -> bool:
            if refused is None:
                self._outbox.acknowledge(delivery)
            else:
                self._outbox.bury(delivery, refused)
            return True

        return bool(await self._patiently(settle))

    async def _send(self, delivery: Delivery) -> str | None:
        """Send a reply, however often it takes; return None, or the reason why it can never be sent.

        Raises LeaseLost if it is not for us to send any more, be it that this process ends.
        """
        reply = delivery.reply
        pause_s = FIRST_PAUSE_S
        began = asyncio.get_running_loop().time()
        while True:
            try:
                await self._live.make_way(reply)
                await self._adapter.send(reply)
                self._got_through = asyncio.get_running_loop().time()
                return None
            except DeliveryRefused as error:
                log.error("reply %s is a dead letter: %s", reply.id, error)
                return str(error)
            except DeliveryLater as error:
                wait_s = error.retry_after_s if error.flood else max(error.retry_after_s, pause_s)
                log.warning("reply %s waits %.1f s: %s", reply.id, wait_s, error)
            except (DeliveryError, StoreUnavailable, OSError) as error:
                if isinstance(error, DeliveryUnsure) and self._alone_fails(since=began):
                    return f"{error}; it failed for an hour, while others got through, and may have arrived"
                wait_s = pause_s
                log.warning("reply %s failed, again in %.1f s: %s", reply.id, wait_s, error)
            except LeaseLost:
                raise
            except Exception as error:  # a defect of the adapter must not stop the others or loop for ever
                log.exception("reply %s is a dead letter", reply.id)
                return f"{type(error).__name__}: {error}"
            pause_s = min(2 * pause_s, LAST_PAUSE_S)
            await self._pause(wait_s)
            if self._closing.is_set() or not await self._lead(renew=False):
                raise LeaseLost("it is left for who sends next")

    def _alone_fails(self, since: float) -> bool:
        """Tell whether the network has no answer to one reply alone: it must not silence its place for ever."""
        return asyncio.get_running_loop().time() - since > UNSURE_S and self._got_through > since

    async def _patiently(self, call: Callable[[], T]) -> T | None:
        """Run a blocking store call in a thread; None (after a pause) if Redis is away."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, call)
        except StoreUnavailable as error:
            log.warning("delivery waits: %s", error)
            await self._pause()
            return None

    async def _pause(self, seconds: float = 0.5) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), timeout=seconds)

    async def _leave(self) -> None:
        try:
            await asyncio.to_thread(self._outbox.resign, self._consumer)
        except StoreUnavailable:
            log.info("Redis is away; that this process sends runs out by itself")


def _remember(known: OrderedDict[str, None], name: str) -> None:
    known[name] = None
    while len(known) > REMEMBERED:
        known.popitem(last=False)
