"""Accept, claim, commit: the guarantees of the path. One atomic script each; see lua/.

accept   at most once per event id; a message is in the inbox before its platform is acknowledged
claim    a lease with a fencing token; the inbox is looked at, not emptied
commit   only with the lease still held: answered events out, history and outbox in
sweep    inboxes that wait without a lease are woken again
"""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import redis
from pydantic import ValidationError

from core.dialogue import Turn
from core.errors import LeaseLost
from core.events import Heard, MessageEvent, Reply, event_of
from core.sections import Access, DeadLetters
from core.sections import History as HistorySettings
from core.sections import Inbox as InboxSettings
from core.store import keys, limits
from core.store.connection import script, translated
from core.store.limits import Limits, Refusal
from core.store.outbox import ONE_PROCESS_TTL_S
from core.store.queues import Queues

log = logging.getLogger(__name__)

MAX_EVENTS = 20  # of one claim; a longer burst is answered in more turns
Accepted = Literal["accepted", "duplicate"]
LeaseState = Literal["held", "lost", "stop"]
WakeUp = Callable[[str], str]


@dataclass(frozen=True)
class Claim:
    """A lease on one person's inbox: what waits there, and what was said last.

    ``attempt`` counts from 1 and says how often the head of this inbox was tried, crashes included.
    """

    person: str
    token: str
    attempt: int
    raw_events: tuple[str, ...]
    events: tuple[MessageEvent, ...]
    history: tuple[Turn, ...]

    @property
    def event_ids(self) -> tuple[str, ...]:
        """The ids of the events, for logs."""
        return tuple(event.id for event in self.events)


class Inbox:
    """The inboxes of all persons. Thread-safe. ``wake_up`` makes the Celery message for a person."""

    def __init__(
        self,
        client: "redis.Redis",
        settings: InboxSettings,
        history: HistorySettings,
        letters: DeadLetters,
        limits: Limits,
        access: Access,
        queues: Queues,
        wake_up: WakeUp,
    ) -> None:
        self._redis = client
        self._settings = settings
        self._history = history
        self._letters = letters
        self._limits = limits
        self._access = access
        self._queues = queues
        self._wake_up = wake_up
        self._accept = script(client, "accept")
        self._claim = script(client, "claim")
        self._commit = script(client, "commit")
        self._defer = script(client, "defer")
        self._renew = script(client, "renew")
        self._sweep = script(client, "sweep")
        self._break = script(client, "break")
        self._bury = script(client, "bury")

    @property
    def _lease_ms(self) -> int:
        return int(self._settings.lease_s * 1000)

    def accept(self, event: MessageEvent) -> Accepted | Refusal:
        """Store the event and wake a worker; a second call with the same event id changes nothing.

        Raises StoreUnavailable: then the platform must not be acknowledged.
        """
        if not self._access.admits(event.person):
            return Refusal("denied", first=False)
        done = self._take_in(event, self._limits.of(event), free=limits.is_free(event))
        if isinstance(done, Refusal) and self._limits.is_urgent(event):
            if done.first:  # nobody is told of this refusal, so the next one must be
                with translated():
                    self._redis.delete(keys.slowed(event.person))
            done = self._take_in(event, (), free=True)
        return done

    def _take_in(self, event: MessageEvent, buckets: Sequence[limits.Limit], *, free: bool) -> Accepted | Refusal:
        person = event.person
        state, *rest = self._accept(
            [
                keys.seen(event.id),
                keys.inbox(person),
                keys.lease(person),
                keys.WAITING,
                self._queues.of(person),
                keys.later(person),
                keys.slowed(person),
                keys.LINE,
                keys.outbox(event.address.outbox),
                *(bucket.key for bucket in buckets),
            ],
            [
                event.model_dump_json(exclude_defaults=True),
                int(self._settings.seen_days * 86400),
                self._settings.max_waiting + (limits.SPARE if free else 0),
                person,
                max(self._lease_ms, 2000),  # a wake-up that is not taken by then was lost
                self._wake_up(person),
                int(event.quiet_s * 1000),
                keys.heard(event.address.outbox),
                Heard(event_id=event.id, address=event.address, person=person).model_dump_json(),
                limits.TOLD_MS,
                0 if free or event.address.channel == limits.OWN_MACHINE else self._settings.max_people,
                limits.CROWDED_MS,
                *(number for bucket in buckets for number in (bucket.interval_ms, bucket.burst)),
            ],
        )
        if state in ("full", "slow", "crowded"):
            which, wait_ms, first = map(int, rest)
            return Refusal(state, buckets[which - 1].whose if which else "person", wait_ms / 1000, bool(first))
        return cast(Accepted, state)

    def waits(self, person: str) -> bool:
        """Tell whether anything of this person is not answered yet."""
        with translated():
            return bool(self._redis.exists(keys.inbox(person)))

    def holds(self, event: MessageEvent) -> bool:
        """Tell whether this event is not answered yet."""
        with translated():
            raws = cast(list[str], self._redis.lrange(keys.inbox(event.person), 0, -1))
        return any(held.id == event.id for raw in raws if (held := event_of(raw)))

    def place(self, person: str) -> int:
        """Return which number a person is in the line of those whom no worker has begun with; 0: not in it."""
        with translated():
            ahead = cast(int | None, self._redis.zrank(keys.LINE, person))
        return 0 if ahead is None else ahead + 1

    def claim(self, person: str, worker: str) -> Claim | None:
        """Return a claim, or None if nothing waits, another has the lease, or it is too early to try again."""
        while True:
            answer = self._claim(
                [
                    keys.inbox(person),
                    keys.lease(person),
                    keys.WAITING,
                    keys.attempts(person),
                    keys.history(person),
                    keys.later(person),
                    keys.leases(worker),
                    keys.FENCE,
                    keys.stop(person),
                    keys.LINE,
                ],
                [person, worker, self._lease_ms, MAX_EVENTS, self._history.prompt_turns],
            )
            if not answer:
                return None
            claim = self._readable(person, *answer)
            if claim:
                return claim

    def commit(
        self,
        claim: Claim,
        answered: int,
        turns: Sequence[Turn],
        reply: Reply,
        *,
        erase: bool,
        go_on: bool,
        decisions: Sequence[str] = (),
        notice: Reply | None = None,
        notice_pause_s: int = 3600,
        unanswered: bool = False,
    ) -> Claim | None:
        """Write an answer to the first ``answered`` events of the claim.

        Returns the next claim if more waits and ``go_on`` is set, else None; the lease is then given back. With
        ``erase`` the history goes first. ``decisions`` are counted; ``notice`` goes into its outbox unless one about
        this person did within ``notice_pause_s``. ``unanswered``: the reply is but an apology, so the events and turns
        become a dead letter. Raises LeaseLost if the lease is no longer ours, or if this very
        commit was applied before: in both cases nothing is written and nothing is to be done.
        """
        person = claim.person
        written = [turn.model_dump_json(exclude_defaults=True) for turn in turns]
        answer = self._commit(
            [
                keys.inbox(person),
                keys.lease(person),
                keys.WAITING,
                keys.attempts(person),
                keys.history(person),
                keys.outbox(reply.address.outbox),
                keys.leases(_worker_of(claim.token)),
                keys.stop(person),
                keys.feedback(person),
                keys.told(person),
                keys.COUNTS,
                keys.outbox(notice.address.outbox if notice else reply.address.outbox),
                keys.trouble(person),
                keys.DEAD,
                keys.DEAD_EVER,
            ],
            [
                person,
                claim.token,
                answered,
                claim.raw_events[answered - 1],
                reply.model_dump_json(),
                int(erase),
                self._history.max_turns,
                int(self._history.ttl_days * 86400),
                int(go_on),
                self._lease_ms,
                MAX_EVENTS,
                self._history.prompt_turns,
                ONE_PROCESS_TTL_S if reply.address.via else 0,
                notice.model_dump_json() if notice else "",
                notice_pause_s,
                self._letter(claim, answered, written) if unanswered else "",
                self._letters.keep,
                len(decisions),
                *decisions,
                *written,
            ],
        )
        state, *rest = answer
        if state == "lost":
            raise LeaseLost(f"the lease on {person} was lost; its answer is thrown away")
        if state == "waiting":
            self.wake([person])
        if state != "more":
            return None
        following = self._readable(person, claim.token, *rest)
        if following is None:
            self.wake([person])
        return following

    def _letter(self, claim: Claim, answered: int, turns: Sequence[str]) -> str:
        with translated():
            trouble = cast(str | None, self._redis.get(keys.trouble(claim.person)))
        reason = f"no answer after {claim.attempt - 1} attempts: {trouble or 'the worker ended in mid-answer'}"
        return json.dumps(
            {"person": claim.person, "reason": reason, "events": claim.raw_events[:answered], "turns": turns}
        )

    def _readable(self, person: str, token: str, attempt: int, raws: list[str], turns: list[str]) -> Claim | None:
        """Return the claim up to the first event that cannot be read; if that is its head, bury it: None."""
        events: list[MessageEvent] = []
        for raw in raws:
            try:
                events.append(MessageEvent.model_validate_json(raw))
            except ValidationError as error:
                if events:
                    break
                log.error("an event of %s cannot be read and is a dead letter: %s", person, error)
                letter = json.dumps({"person": person, "reason": "the event cannot be read", "events": [raw]})
                self._bury(
                    [
                        keys.inbox(person),
                        keys.lease(person),
                        keys.WAITING,
                        keys.attempts(person),
                        keys.DEAD,
                        keys.DEAD_EVER,
                        keys.leases(_worker_of(token)),
                    ],
                    [person, token, raw, letter, self._letters.keep],
                )
                return None
        history = tuple(turn for turn in map(read_turn, turns) if turn)
        return Claim(person, token, int(attempt), tuple(raws[: len(events)]), tuple(events), history)

    def defer(self, claim: Claim, delay_s: float, *, count: bool = True, why: str = "") -> None:
        """Give the lease back unanswered; the inbox is tried again after the delay, by whom it may be.

        ``count=False`` takes the attempt back: nothing was wrong with the message. ``why`` is kept for the dead
        letter that may become of it.
        """
        self._defer(
            [
                keys.lease(claim.person),
                keys.WAITING,
                keys.leases(_worker_of(claim.token)),
                keys.later(claim.person),
                keys.attempts(claim.person),
                keys.trouble(claim.person),
            ],
            [claim.person, claim.token, int(delay_s * 1000), int(not count), " ".join(why.split())[:200]],
        )

    def renew(self, claims: Sequence[Claim]) -> list[LeaseState]:
        """Renew the leases of these claims; return for each what became of it."""
        if not claims:
            return []
        both = [key for claim in claims for key in (keys.lease(claim.person), keys.stop(claim.person))]
        states = self._renew(both, [self._lease_ms, *(claim.token for claim in claims)])
        return cast(list[LeaseState], states)

    def request_stop(self, person: str) -> None:
        """Ask whoever is answering this person now to stop; it says nothing about later messages."""
        with translated():
            self._redis.set(keys.stop(person), 1, px=self._lease_ms)

    def sweep(self) -> int:
        """Wake the inboxes that wait without a lease; return how many. Dead letters that are too old are dropped."""
        pause_ms = max(self._lease_ms, 2000)
        kept_ms = int(self._letters.keep_days * 86_400_000)
        queues = self._queues.all
        full, due = self._sweep([keys.WAITING, keys.DEAD, keys.LINE, *queues], [pause_ms, keys.LEASE_PREFIX, kept_ms])
        persons = [person for person in due if self._queues.of(person) not in full]
        self.wake(persons)
        return len(persons)

    def wake(self, persons: Sequence[str]) -> None:
        """Send a wake-up for each person."""
        if persons:
            with translated():
                together = self._redis.pipeline(transaction=False)
                for person in persons:
                    together.lpush(self._queues.of(person), self._wake_up(person))
                together.execute()

    def break_leases(self, worker: str) -> int:
        """Take all leases from a dead worker and make its inboxes due at once; return how many."""
        return int(self._break([keys.leases(worker), keys.WAITING], [worker, keys.LEASE_PREFIX]))


def read_turn(raw: str) -> Turn | None:
    """Return the turn, or None if a release that we do not know wrote it."""
    try:
        return Turn.model_validate_json(raw)
    except ValidationError:
        log.warning("a turn that cannot be read is left out of a history")
        return None


def _worker_of(token: str) -> str:
    return token.rpartition("|")[0]
