"""Dead letters: replies that could not be delivered, messages that could not be answered; kept until somebody looks.

They are written by the scripts that give something up (lua/settle.lua, bury.lua, commit.lua), in one step with all
else that changes then. At most ``[dead_letters] keep`` are kept, for ``keep_days``; the workers' sweep drops older
ones.
"""

import json
import logging
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, cast

import redis

from core.events import Letter, event_of
from core.settings import CHANNELS
from core.store import keys
from core.store.connection import script, translated
from core.store.inbox import WakeUp
from core.store.outbox import ONE_PROCESS_TTL_S
from core.store.queues import Queues

AT_ONCE = 100  # letters read in one round trip where all of them need not be held
UNKNOWN = "unknown"  # the channel of a letter that does not say it

log = logging.getLogger(__name__)


class Letters:
    """The dead letters of all channels. Thread-safe."""

    def __init__(self, client: "redis.Redis", queues: Queues, wake_up: WakeUp) -> None:
        self._redis = client
        self._queues = queues
        self._wake_up = wake_up
        self._resend = script(client, "resend")
        self._reopen = script(client, "reopen")

    def count(self) -> tuple[int, int]:
        """Return how many letters are kept, and how many there ever were."""
        with translated():
            both = self._redis.pipeline()
            both.xlen(keys.DEAD)
            both.get(keys.DEAD_EVER)
            kept, ever = both.execute()
        return int(kept), int(ever or 0)

    def all(self) -> list[Letter]:
        """Return all letters, oldest first."""
        with translated():
            entries = cast(list[tuple[str, dict[str, str]]], self._redis.xrange(keys.DEAD))
        return [_letter(entry, fields.get("letter") or json.dumps(fields)) for entry, fields in entries]

    def tally(self) -> Counter[tuple[str, str]]:
        """Return how many letters there are of each channel (or UNKNOWN) and kind: "message" or "reply"."""
        tally: Counter[tuple[str, str]] = Counter()
        after = "-"
        while True:
            with translated():
                found = self._redis.xrange(keys.DEAD, min=after, count=AT_ONCE)
            entries = cast(list[tuple[str, dict[str, str]]], found)
            if not entries:
                return tally
            tally.update(_whence(fields.get("letter", "")) for _, fields in entries)
            after = f"({entries[-1][0]}"

    def of(self, person: str) -> list[Letter]:
        """Return the letters that hold something that this person wrote or was to read."""
        return [letter for letter in self.all() if letter.person == person]

    def replay(self, letter: Letter) -> bool:
        """Put it back on the path: a reply into its outbox, messages into their inbox. False: it is gone already.

        The reply keeps its id, so what of it is known to be at its network is not sent again (for ``parts.TTL_S``).
        Messages get a reply with an id of its own, as the apology has theirs. Raises ValueError for a letter that
        cannot be replayed: nobody knows where it belongs.
        """
        if letter.reply is not None:
            if not letter.outbox:
                raise ValueError("it names no outbox")
            via = letter.outbox.partition(".")[2]
            written = letter.written.isoformat() if letter.written else ""
            return bool(
                self._resend(
                    [keys.DEAD, keys.outbox(letter.outbox)],
                    [letter.id, letter.reply, letter.since.isoformat(), ONE_PROCESS_TTL_S if via else 0, written],
                )
            )
        person = letter.person
        if not person or not letter.events:
            raise ValueError("it names no person or holds no message")
        return bool(
            self._reopen(
                [
                    keys.DEAD,
                    keys.inbox(person),
                    keys.lease(person),
                    keys.WAITING,
                    self._queues.of(person),
                    keys.history(person),
                ],
                [
                    letter.id,
                    person,
                    self._wake_up(person),
                    len(letter.turns),
                    *letter.turns,
                    *map(_once_more, letter.events),
                ],
            )
        )

    def purge(self, letters: Sequence[Letter]) -> int:
        """Erase these letters; return how many were still there."""
        if not letters:
            return 0
        with translated():
            return int(self._redis.xdel(keys.DEAD, *(letter.id for letter in letters)))

    def drop(self, person: str) -> int:
        """Erase the letters of a person; return how many."""
        return self.purge(self.of(person))


def oldest(letter: Letter) -> datetime:
    """Return when the oldest thing in this letter was said: a letter may be young and what it holds be old."""
    said = [event.sent_at for raw in letter.events if (event := event_of(raw))]
    return min([letter.since, letter.written or letter.since, *said])


def _letter(entry: str, raw: str) -> Letter:
    """Return the letter; one that cannot be read is still its person's, can be erased, and not be replayed."""
    try:
        return Letter.model_validate(json.loads(raw) | {"id": entry})
    except (ValueError, TypeError):  # a newer release may write them in another way
        log.warning("the dead letter %s cannot be read", entry)
    person = ""
    with suppress(ValueError, TypeError, AttributeError):
        person = str(json.loads(raw).get("person", ""))
    return Letter(id=entry, reason="the letter cannot be read", person=person, reply=raw)


def _whence(raw: str) -> tuple[str, str]:
    """Return channel and kind, said as often as somebody asks: so without a word on letters that cannot be read."""
    try:
        fields: Any = json.loads(raw)
        channel = str(fields.get("outbox") or "").partition(".")[0] or str(fields.get("person", "")).partition(":")[0]
        kind = "message" if fields.get("reply") is None else "reply"
    except (ValueError, AttributeError):
        return UNKNOWN, "reply"
    return channel if channel in CHANNELS else UNKNOWN, kind


def _once_more(raw: str) -> str:
    """Return the event with its number of replays counted up."""
    try:
        fields: Any = json.loads(raw)
        return json.dumps(fields | {"again": int(fields.get("again", 0)) + 1})
    except (ValueError, TypeError, AttributeError):
        return raw
