"""What people see before the reply is there: signs of life, and text that is being written. All of it may be lost.

Sending the reply itself is the runner's.
"""

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Executor

from channels.base import Adapter
from core.dialogue import Address
from core.errors import DeliveryError, StoreUnavailable
from core.events import Draft, Heard
from core.store import Outbox, Store

log = logging.getLogger(__name__)

LISTEN_S = 1.0
PAUSE_S = 0.5
REMEMBERED = 1000
DRAFT_ENDS_S = 15.0  # longer than a network takes to answer one call


class Live:
    """Listens to the news of one channel. ``leads`` says whether this process is the one that sends."""

    def __init__(
        self, adapter: Adapter, store: Store, outbox: Outbox, threads: Executor, leads: Callable[[], bool]
    ) -> None:
        self._adapter = adapter
        self._store = store
        self._outbox = outbox
        self._threads = threads
        self._leads = leads
        self._newest: dict[str, Draft] = {}
        self._drafting: dict[str, asyncio.Task[None]] = {}
        self._signs: dict[Address, asyncio.Task[None]] = {}
        self._answered: OrderedDict[str, None] = OrderedDict()

    async def listen(self) -> None:
        """Show what happens until cancelled."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                try:
                    with self._outbox.news() as feed:
                        while True:
                            news = await loop.run_in_executor(self._threads, feed.next, LISTEN_S)
                            if news and self._leads():
                                self._show(news)
                except StoreUnavailable:
                    await asyncio.sleep(PAUSE_S)
                except Exception:
                    log.exception("what happens on %s could not be shown", self._adapter.name)
                    await asyncio.sleep(PAUSE_S)
        finally:
            for task in [*self._signs.values(), *self._drafting.values()]:
                task.cancel()

    async def make_way(self, reply_id: str, address: Address) -> None:
        """The reply comes now: nothing of it is shown here any more, and what is being shown is waited for."""
        self._answered[reply_id] = None
        while len(self._answered) > REMEMBERED:
            self._answered.popitem(last=False)
        self._newest.pop(reply_id, None)
        self._end_sign(address)
        if task := self._drafting.get(reply_id):
            # Not cancelled: whether a call that broke off was obeyed is hard to know.
            await asyncio.wait({task}, timeout=DRAFT_ENDS_S)
            task.cancel()

    def _show(self, news: Draft | Heard) -> None:
        if isinstance(news, Heard):
            self._begin_sign(news)
        elif news.reply_id not in self._answered:
            if news.text:
                self._end_sign(news.address)
            elif news.person:
                self._begin_sign(Heard(event_id=news.in_reply_to[-1], address=news.address, person=news.person))
            self._newest[news.reply_id] = news
            if news.reply_id not in self._drafting:
                self._drafting[news.reply_id] = asyncio.create_task(self._show_drafts(news.reply_id))

    async def _show_drafts(self, reply_id: str) -> None:
        """Show the newest text until there is none that is newer."""
        try:
            while draft := self._newest.pop(reply_id, None):
                await self._adapter.draft(draft)
        except DeliveryError as error:
            log.info("a draft was not shown: %s", error)
        except Exception:
            log.exception("a draft could not be shown")
        finally:
            del self._drafting[reply_id]

    def _begin_sign(self, heard: Heard) -> None:
        if self._adapter.sign_s and heard.address not in self._signs:
            self._signs[heard.address] = asyncio.create_task(self._keep_signing(heard))

    def _end_sign(self, address: Address) -> None:
        if sign := self._signs.pop(address, None):
            sign.cancel()

    async def _keep_signing(self, heard: Heard) -> None:
        try:
            waits = True
            while waits:
                try:
                    await self._adapter.working(heard)
                except DeliveryError as error:
                    log.info("no sign of life could be given: %s", error)
                except Exception:
                    log.exception("no sign of life could be given")
                await asyncio.sleep(self._adapter.sign_s)
                with contextlib.suppress(StoreUnavailable):
                    waits = await asyncio.to_thread(self._store.inbox.waits, heard.person)
        finally:
            if self._signs.get(heard.address) is asyncio.current_task():
                del self._signs[heard.address]
