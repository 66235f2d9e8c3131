"""The pulse of a worker: wake-ups for nobody that go the way of all others, and what follows when they do not arrive.

That a process runs and renews its leases says nothing about Celery's consumer: its connection is another one, and what
it waits for may never come. So a worker lives as long as what is put into a queue of its own comes out of its pool.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from core.errors import StoreUnavailable
from core.store import Workers

log = logging.getLogger(__name__)

PULSE_S = 1.0
# Celery notices a dead connection by itself within 7 s (app.py); what takes longer than this it never will.
MISSED = 10
MISSED_AT_START = 30  # the consumer has to be started, on a machine that may be busy


class Pulse:
    """Sends pulses from a thread of its own and calls ``on_stalled``, once, when ``MISSED`` in a row went unfelt.

    A pulse is missed only if Redis took it at once and a thread of the pool was free. Pulses are counted, not timed:
    a process that stood still, a Redis that was away and a clock that jumps are no fault of the consumer.
    ``message`` makes a wake-up for nobody.
    """

    def __init__(
        self,
        workers: Workers,
        worker_id: str,
        message: Callable[[], str],
        threads: int,
        on_stalled: Callable[[], None],
    ) -> None:
        self._workers = workers
        self._worker_id = worker_id
        self._message = message
        self._threads = threads
        self._on_stalled = on_stalled
        self._busy = 0
        self._missed = 0
        self._felt = False
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self.stalled = False
        threading.Thread(target=self._watch, name="pulse", daemon=True).start()

    @property
    def beats(self) -> bool:
        """Has a pulse come through, and none been missed for long since?"""
        return self._felt and not self.stalled

    def feel(self) -> None:
        """Take note of a pulse that came through."""
        self._felt = True
        self._missed = 0

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Have a thread of the pool count as taken while the block runs: pulses wait like everything else."""
        with self._lock:
            self._busy += 1
        try:
            yield
        finally:
            with self._lock:
                self._busy -= 1

    def close(self) -> None:
        """Send no more: a worker that ends takes nothing off its queue."""
        self._closing.set()

    def _watch(self) -> None:
        while not self._closing.is_set():
            if self._missed >= (MISSED if self._felt else MISSED_AT_START):
                self.stalled = True
                log.critical("this worker takes nothing off its queue, though Redis answers, and ends")
                self._on_stalled()
                return
            if not self._sent():
                self._missed = 0
            elif self._busy < self._threads:
                self._missed += 1
            else:
                self._missed = 0
            self._closing.wait(PULSE_S)

    def _sent(self) -> bool:
        began = time.monotonic()
        try:
            self._workers.send_pulse(self._worker_id, self._message())
        except StoreUnavailable:
            return False
        return time.monotonic() - began < PULSE_S
