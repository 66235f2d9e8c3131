"""What people see before the reply is there: signs of life, and text that is being written. All of it may be lost.

Sending the reply itself is the runner's.
"""

import asyncio
import contextlib
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from channels.base import Adapter
from core import logs
from core.dialogue import Address
from core.errors import DeliveryError, DeliveryLater, LeaseLost, StoreUnavailable
from core.events import Draft, Heard, Reply
from core.store import Outbox, Store

log = logging.getLogger(__name__)

LISTEN_S = 1.0
PAUSE_S = 0.5
REMEMBERED = 1000
LONGEST_SIGN_S = 600.0  # who has waited for so long does not believe in it any more
DRAFT_ENDS_S = 15.0  # longer than a network takes to answer one call


@dataclass
class _Sign:
    """A sign of life that is being given; ``event_id`` is the newest message that it is about."""

    event_id: str
    task: asyncio.Task[None]


class Live:
    """Listens to the news of one channel.

    ``leads`` says whether this process is the one that sends, ``sends`` whether a reply to an address is on its way.
    """

    def __init__(
        self,
        adapter: Adapter,
        store: Store,
        outbox: Outbox,
        threads: Executor,
        leads: Callable[[], bool],
        sends: Callable[[Address], bool],
    ) -> None:
        self._adapter = adapter
        self._store = store
        self._outbox = outbox
        self._threads = threads
        self._leads = leads
        self._sends = sends
        self._closing = threading.Event()
        self._newest: dict[str, Draft] = {}
        self._drafting: dict[str, asyncio.Task[None]] = {}
        self._signs: dict[tuple[Address, str], _Sign] = {}
        self._looking: asyncio.Task[None] | None = None
        self._answered: OrderedDict[str, None] = OrderedDict()
        self._newcomers = asyncio.Lock()

    async def listen(self) -> None:
        """Show what happens until ``finish`` is called."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._threads, self._listen, loop)

    async def finish(self) -> None:
        """Show nothing new; wait for what is being shown, as in ``make_way``."""
        self._closing.set()
        self._newest.clear()
        for sign in self._signs.values():
            sign.task.cancel()
        if self._drafting:
            await asyncio.wait(self._drafting.values(), timeout=DRAFT_ENDS_S)
        for task in self._drafting.values():
            task.cancel()

    def _listen(self, loop: asyncio.AbstractEventLoop) -> None:
        """Hand the news over, in a thread: a Redis that does not answer must not hold up the event loop."""
        while not self._closing.is_set():
            try:
                with self._outbox.news() as feed:
                    loop.call_soon_threadsafe(self.look_soon)
                    while not self._closing.is_set():
                        if news := feed.next(LISTEN_S):
                            loop.call_soon_threadsafe(self._show, news)
            except StoreUnavailable:
                self._closing.wait(PAUSE_S)
            except Exception:
                if self._closing.is_set() or loop.is_closed():
                    return
                log.exception("what happens on %s could not be shown", self._adapter.name)
                self._closing.wait(PAUSE_S)

    def look_soon(self) -> None:
        """Give a sign to those who wait already: when they wrote, nobody listened, or not the one that sends."""
        if self._adapter.sign_s and not self._closing.is_set() and (not self._looking or self._looking.done()):
            self._looking = asyncio.create_task(self._look())

    async def _look(self) -> None:
        since = datetime.now(UTC) - timedelta(seconds=LONGEST_SIGN_S)
        try:
            waiting = await asyncio.get_running_loop().run_in_executor(self._threads, self._outbox.waiting, since)
        except StoreUnavailable:
            return  # it is looked again when Redis is back
        for heard in waiting:
            self._show(heard)

    async def make_way(self, reply: Reply) -> None:
        """The reply comes now: nothing of it is shown here any more, and what is being shown is waited for."""
        self._answered[reply.id] = None
        while len(self._answered) > REMEMBERED:
            self._answered.popitem(last=False)
        self._newest.pop(reply.id, None)
        self._end_sign(reply)
        if task := self._drafting.get(reply.id):
            # Not cancelled: whether a call that broke off was obeyed is hard to know.
            await asyncio.wait({task}, timeout=DRAFT_ENDS_S)
            task.cancel()

    def _show(self, news: Draft | Heard) -> None:
        if self._closing.is_set() or not self._leads():
            return
        if isinstance(news, Heard):
            self._begin_sign(news)
            if sign := self._signs.get((news.address, news.person)):
                sign.event_id = news.event_id
        elif news.reply_id not in self._answered:
            if news.person and not news.text:
                self._begin_sign(Heard(event_id=news.in_reply_to[-1], address=news.address, person=news.person))
            self._newest[news.reply_id] = news
            if news.reply_id not in self._drafting:
                self._drafting[news.reply_id] = asyncio.create_task(self._show_drafts(news.reply_id))

    async def _show_drafts(self, reply_id: str) -> None:
        """Show the newest text until there is none that is newer."""
        try:
            while draft := self._newest.pop(reply_id, None):
                # Of an earlier reply, that is: it must not come to stand below what was said later.
                if self._sends(draft.address):
                    continue
                with logs.about(*draft.in_reply_to):
                    await self._show_one(draft)
        finally:
            del self._drafting[reply_id]

    async def _show_one(self, draft: Draft) -> None:
        try:
            if await self._adapter.draft(draft) and draft.text:
                self._end_sign(draft)
        except (DeliveryError, LeaseLost, StoreUnavailable) as error:
            log.info("a draft was not shown: %s", error)
        except Exception:
            log.exception("a draft could not be shown")

    async def _may_sign(self, *, first: bool) -> bool:
        """Tell whether a sign may be given now. First ones wait for their turn; of renewals some are left out."""
        pace, budget = self._store.pace(self._adapter.name), self._adapter.sign_budget
        with contextlib.suppress(StoreUnavailable):
            if not first:
                return not await asyncio.to_thread(pace.take, [budget], spare=int(budget.burst * 2 / 3))
            async with self._newcomers:  # in line: a crowd must not ask Redis all at once for the next sign
                while True:
                    wait_s = await asyncio.to_thread(pace.take, [budget])
                    if not wait_s:
                        return True
                    await asyncio.sleep(wait_s)
        return True

    def _begin_sign(self, heard: Heard) -> None:
        who = (heard.address, heard.person)
        if self._adapter.sign_s and who not in self._signs:
            with logs.about(heard.event_id):  # the task inherits it
                self._signs[who] = _Sign(heard.event_id, asyncio.create_task(self._keep_signing(heard)))

    def _end_sign(self, seen: Draft | Reply) -> None:
        """End the sign that this makes needless; one of what was said after that goes on."""
        who = (seen.address, seen.person)
        if (sign := self._signs.get(who)) and sign.event_id in seen.in_reply_to:
            sign.task.cancel()
            del self._signs[who]

    async def _keep_signing(self, heard: Heard) -> None:
        until = asyncio.get_running_loop().time() + LONGEST_SIGN_S
        try:
            waits, first = True, True
            while waits and asyncio.get_running_loop().time() < until:
                pause_s = self._adapter.sign_s
                try:
                    if await self._may_sign(first=first):
                        with contextlib.suppress(StoreUnavailable):
                            place = await asyncio.to_thread(self._store.inbox.place, heard.person)
                            heard = heard.model_copy(update={"place": place})
                        await self._adapter.working(heard)
                    first = False
                except DeliveryError as error:
                    log.info("no sign of life could be given: %s", error)
                    if isinstance(error, DeliveryLater):
                        pause_s = max(pause_s, error.retry_after_s)
                except Exception:
                    log.exception("no sign of life could be given")
                await asyncio.sleep(pause_s)
                with contextlib.suppress(StoreUnavailable):
                    waits = await asyncio.to_thread(self._store.inbox.waits, heard.person)
        finally:
            who = (heard.address, heard.person)
            if (sign := self._signs.get(who)) and sign.task is asyncio.current_task():
                del self._signs[who]
