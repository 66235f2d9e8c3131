"""What of a reply is at the network already: one record for each of the messages that it is split into."""

from datetime import UTC, datetime
from typing import cast

import redis
from pydantic import Field

from core.dialogue import Record
from core.errors import LeaseLost
from core.process import process_name
from core.store import keys
from core.store.connection import script, translated

TTL_S = 3 * 86400  # a reply is sent or a dead letter long before


class Sent(Record):
    """One message. ``message`` is the network's id of it; None: a send began whose outcome was not seen.

    ``digest`` stands for the text that it shows, ``final`` for its last version, ``repeats`` counts the earlier
    ones that may stand beside it.
    """

    message: str | None = None
    digest: str = ""
    final: bool = False
    repeats: int = 0
    at: datetime = Field(default_factory=lambda: datetime.now(UTC))


class Parts:
    """The progress of one channel's replies. Thread-safe."""

    def __init__(self, client: "redis.Redis", channel: str) -> None:
        self._redis = client
        self._channel = channel
        self._mark = script(client, "mark")

    def mark(self, reply_id: str, number: int, sent: Sent | None) -> None:
        """Write the record of one message as ``save`` does; raises LeaseLost if another process sends now."""
        both = [keys.parts(self._channel, reply_id), keys.courier(self._channel)]
        if not self._mark(both, [process_name(), number, sent.model_dump_json() if sent else "", TTL_S]):
            raise LeaseLost("another process of this channel sends now")

    def check(self) -> None:
        """Raise LeaseLost if another process sends now."""
        with translated():
            holder = self._redis.get(keys.courier(self._channel))
        if holder not in (None, process_name()):
            raise LeaseLost("another process of this channel sends now")

    def load(self, reply_id: str) -> dict[int, Sent]:
        """Return what is known of the messages of a reply, by number."""
        with translated():
            found = cast(dict[str, str], self._redis.hgetall(keys.parts(self._channel, reply_id)))
        return {int(number): Sent.model_validate_json(raw) for number, raw in found.items()}

    def save(self, reply_id: str, number: int, sent: Sent | None) -> None:
        """Write the record of one message, whoever sends now; None: there is no such message any more."""
        key = keys.parts(self._channel, reply_id)
        with translated():
            if sent is None:
                self._redis.hdel(key, str(number))
                return
            both = self._redis.pipeline()
            both.hset(key, str(number), sent.model_dump_json())
            both.expire(key, TTL_S)
            both.execute()
