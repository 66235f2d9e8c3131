"""What one worker process owns, built once: store, models, Responder, and the thread that keeps its leases.

Here a claim becomes a commit. What an answer says is decided in core/responder.py; how models run, in engine/.
"""

import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Protocol

from core import commands, logs
from core.dialogue import Completion, Prompt
from core.errors import EngineBroken, EngineFull, LeaseLost, RapportError, StoreUnavailable
from core.process import release
from core.responder import Answer, ReadMood, Responder
from core.settings import Settings
from core.store import Claim, Store, WorkerSign, keys
from workers.app import NOBODY, WakeUps, listen_to
from workers.drafts import DraftSender
from workers.pulse import Pulse

log = logging.getLogger(__name__)

STOP = commands.TABLE["stop"]
TURNS_PER_DRAIN = 10  # then the thread is given back, so that one talkative person cannot hold it
COMMIT_RETRY_S = 30
# The engine itself ends a generation at [generation] timeout_s; one that says nothing so much later hangs.
HANG_GRACE_S = 15


class RunningGeneration(Protocol):
    """A generation that can be awaited and cancelled."""

    def result(self, timeout_s: float | None = None) -> Completion:
        """Return the completion; raises TimeoutError if there is none in time."""

    def cancel(self) -> None:
        """End it; the result then is what was written so far."""


# The last argument is the person who is answered, for an engine that is fair between people.
Submit = Callable[[Prompt, Callable[[str], None], str], RunningGeneration]


@dataclass
class _Work:
    """A claim being worked on."""

    claim: Claim
    generation: RunningGeneration | None = None
    lost: bool = False
    stop: bool = False

    def cancel(self) -> None:
        if self.generation:
            self.generation.cancel()


@dataclass
class Models:
    """The models of this process, as callables, and their names for the sign of life."""

    read_mood: ReadMood  # raises TimeoutError if the model hangs
    submit: Submit
    count_tokens: Callable[..., int]
    budget: int
    close: Callable[[], None]
    names: dict[str, str] = field(default_factory=dict)


class Runtime:
    """Owns everything of a worker process. ``drain`` may be called from many threads.

    ``on_broken`` is called once when an engine cannot go on, from a thread that drains: the process must end then.
    Without a ``pulse``, wake-ups come some other way than through Celery.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        models: Models,
        worker_id: str,
        on_broken: Callable[[], None] = lambda: None,
        pulse: Pulse | None = None,
    ) -> None:
        self._settings = settings
        self._store = store
        self._models = models
        self._worker_id = worker_id
        self._on_broken = on_broken
        self._broken = False
        self._pulse = pulse
        self._sign = _sign(worker_id, models.names, settings.worker.serves, ready=True)
        self._working: dict[str, _Work] = {}
        self._lock = threading.Lock()
        self._current = threading.local()
        self._drafts = DraftSender(store)
        self._responder = Responder(
            settings,
            read_mood=models.read_mood,
            generate=self._generate,
            count_tokens=models.count_tokens,
            budget=models.budget,
            all_turns=store.people.history,
            letters=store.letters.of,
            status=store.brief,
        )
        self._closing = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="lease-keeper", daemon=True)
        self._keeper.start()

    @classmethod
    def start(
        cls, settings: Settings, redis_url: str, on_broken: Callable[[], None], on_stalled: Callable[[], None]
    ) -> "Runtime":
        """Load the models and return the running runtime; raises RapportError if something is missing.

        ``on_stalled`` is called once when no wake-up reaches this process any more.
        """
        from workers.models import load_models

        worker_id = (
            os.environ.get("RAPPORT_WORKER_ID") or f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        )
        wake_ups = WakeUps()
        store = Store(redis_url, settings, wake_ups)
        began = time.monotonic()
        names = {"chat_model": settings.generation.model, "encoder": settings.sentiment.model}
        with _announced(
            store, _sign(worker_id, names, settings.worker.serves, ready=False), settings.inbox.lease_s / 3
        ):
            models = load_models(settings)
        log.info("models are loaded after %.1f s: %s", time.monotonic() - began, models.names)
        queue = keys.pulse(worker_id)
        listen_to(queue)
        pulse = Pulse(store.workers, worker_id, lambda: wake_ups.for_nobody(queue), settings.worker.threads, on_stalled)
        return cls(settings, store, models, worker_id, on_broken, pulse)

    @property
    def broken(self) -> bool:
        """Has an engine given up, or do no wake-ups come, so that another process must take over?"""
        return self._broken or bool(self._pulse and self._pulse.stalled)

    def wake(self, person: str) -> None:
        """Do what a wake-up says."""
        assert self._pulse is not None
        if person == NOBODY:
            self._pulse.feel()
        else:
            with self._pulse.busy():
                self.drain(person)

    def take_no_more(self) -> None:
        """Know that no wake-ups will come: the process is about to end."""
        if self._pulse:
            self._pulse.close()

    def drain(self, person: str) -> None:
        """Answer this person's waiting turns, one after the other, as long as the lease is ours."""
        claim: Claim | None = None
        try:
            claim = self._store.inbox.claim(person, self._worker_id)
            for turn in range(TURNS_PER_DRAIN):
                if claim is None:
                    return
                with logs.about(*claim.event_ids):
                    claim = self._work(claim, go_on=turn + 1 < TURNS_PER_DRAIN)
        except (LeaseLost, StoreUnavailable) as error:
            with logs.about(*claim.event_ids if claim else ()):
                level = logging.INFO if isinstance(error, LeaseLost) else logging.WARNING
                log.log(level, "%s; whoever has the lease, or the sweeper, goes on with %s", error, person)

    def close(self) -> None:
        """End the threads and models; leases that are still held run out."""
        self.take_no_more()
        self._closing.set()
        self._keeper.join(timeout=5)
        self._drafts.close()
        self._models.close()
        try:
            self._store.workers.gone(self._worker_id)
        except StoreUnavailable:
            log.info("Redis is away; this worker's sign of life runs out by itself")
        self._store.close()

    def _work(self, claim: Claim, go_on: bool) -> Claim | None:
        with self._held(claim) as work:
            answer = self._answer(work)
            if work.lost:
                raise LeaseLost(f"the lease on {claim.person} was lost; its answer is thrown away")
            return self._commit(claim, answer, go_on) if answer else None

    def _answer(self, work: _Work) -> Answer | None:
        """Return the answer, or None when the claim was given back to be tried again later."""
        claim = work.claim
        conf = self._settings.inbox
        self._current.work = work
        try:
            if claim.attempt > conf.max_attempts:
                log.error("%s: giving up after %d attempts", claim.person, claim.attempt - 1)
                return self._responder.apologise(claim.events)
            return self._responder.respond(claim.events, claim.history, self._drafts.send)
        except EngineFull:
            self._store.inbox.defer(claim, conf.retry_s, count=False)
        except (EngineBroken, TimeoutError) as error:
            self._break(error)  # first, as Redis may be away
            # It may be the message that hangs a model, so that costs an attempt.
            self._store.inbox.defer(claim, 0, count=isinstance(error, TimeoutError), why=str(error))
        except StoreUnavailable:
            raise
        except Exception as error:
            # Whatever went wrong must cost this person's turn one attempt and nobody else anything.
            if not isinstance(error, RapportError):
                log.exception("unexpected error while answering %s", claim.person)
            delay_s = conf.retry_s * 2 ** (min(claim.attempt, conf.max_attempts) - 1)
            log.warning("attempt %d for %s failed (%s); again in %.0f s", claim.attempt, claim.person, error, delay_s)
            self._store.inbox.defer(claim, delay_s, why=f"{type(error).__name__}: {error}")
        return None

    def _break(self, error: EngineBroken | TimeoutError) -> None:
        with self._lock:
            known, self._broken = self._broken, True
        if not known:
            log.critical("the engine is broken, this worker ends: %s", error)
            self._on_broken()

    def _generate(self, prompt: Prompt, on_text: Callable[[str], None]) -> Completion:
        work: _Work = self._current.work
        work.generation = self._models.submit(prompt, on_text, work.claim.person)
        if work.stop or work.lost:  # said while it was being submitted
            work.cancel()
        patience_s = self._settings.generation.timeout_s + HANG_GRACE_S
        try:
            return work.generation.result(patience_s)
        except TimeoutError:
            raise TimeoutError(f"The chat model hangs: no completion within {patience_s:.0f} s.") from None

    def _commit(self, claim: Claim, answer: Answer, go_on: bool) -> Claim | None:
        """Commit, through a Redis that is away for a while: until the fence would refuse it anyway."""
        give_up = time.monotonic() + COMMIT_RETRY_S
        self._drafts.forget(answer.reply.id)
        while True:
            try:
                if answer.erase:
                    self._store.letters.drop(claim.person)
                return self._store.inbox.commit(
                    claim,
                    answer.answered,
                    answer.turns,
                    answer.reply,
                    erase=answer.erase,
                    go_on=go_on,
                    decisions=answer.decisions,
                    notice=answer.notice,
                    notice_pause_s=int(self._settings.safety.notify_pause_h * 3600),
                    unanswered=answer.unanswered,
                )
            except StoreUnavailable as error:
                if time.monotonic() > give_up or self._closing.wait(0.2):
                    raise
                log.warning("commit for %s: %s; trying again", claim.person, error)

    @contextmanager
    def _held(self, claim: Claim) -> Iterator[_Work]:
        """Have the lease renewed while the block runs."""
        # A /stop that was said before this began waits behind what it is about.
        work = _Work(claim, stop=any(commands.parse(event.text) is STOP for event in claim.events[1:]))
        with self._lock:
            self._working[claim.token] = work
        try:
            yield work
        finally:
            with self._lock:
                self._working.pop(claim.token, None)

    def _keep(self) -> None:
        """Renew leases, give signs of life, sweep. One thread, so that none of it waits for a model."""
        pause_s = min(self._settings.inbox.sweep_s, self._settings.inbox.lease_s / 3)
        while True:
            try:
                self._renew()
                self._store.workers.beat(self._sign.model_copy(update={"ready": self._ready}))
                self._store.inbox.sweep()
            except StoreUnavailable as error:
                log.warning("leases cannot be renewed: %s", error)
            except Exception:
                log.exception("unexpected error in the lease keeper")
            if self._closing.wait(pause_s):
                return

    @property
    def _ready(self) -> bool:
        return self._pulse is None or self._pulse.beats

    def _renew(self) -> None:
        with self._lock:
            working = list(self._working.values())
        states = self._store.inbox.renew([work.claim for work in working])
        for work, state in zip(working, states, strict=True):
            if state == "stop":
                work.stop = True
            # A commit that has just gone through also looks like a lost lease; cancelling is then harmless.
            work.lost = work.lost or state == "lost"
            if work.lost or work.stop:
                work.cancel()


def _sign(worker_id: str, names: dict[str, str], serves: str, *, ready: bool) -> WorkerSign:
    where = {"id": worker_id, "host": socket.gethostname(), "version": release()}
    return WorkerSign(pid=os.getpid(), ready=ready, serves=serves, **where, **names)


@contextmanager
def _announced(store: Store, sign: WorkerSign, pause_s: float) -> Iterator[None]:
    """Give signs of life while the block runs: loading models takes longer than a sign lives."""
    done = threading.Event()

    def beat() -> None:
        while True:
            with suppress(StoreUnavailable):
                store.workers.beat(sign)
            if done.wait(pause_s):
                return

    thread = threading.Thread(target=beat, name="loading", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()  # so that it does not take back the sign of the loaded worker
