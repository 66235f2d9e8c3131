"""What is kept of a person outside the inbox: history and ratings. The history is written by the commit."""

from typing import Literal, cast

import redis

from core.dialogue import Turn
from core.sections import Access
from core.sections import History as HistorySettings
from core.store import keys
from core.store.connection import translated
from core.store.inbox import read_turn

Verdict = Literal["up", "down"]


class People:
    """Histories by person. Thread-safe."""

    def __init__(self, client: "redis.Redis", settings: HistorySettings, access: Access) -> None:
        self._redis = client
        self._settings = settings
        self._access = access

    def history(self, person: str) -> list[Turn]:
        """Return all turns kept, oldest first, with the person's ratings."""
        with translated():
            both = self._redis.pipeline()
            both.lrange(keys.history(person), 0, -1)
            both.hgetall(keys.feedback(person))
            raws, ratings = cast(tuple[list[str], dict[str, str]], both.execute())
        turns = [turn for turn in map(read_turn, raws) if turn]
        return [_rated(turn, ratings) for turn in turns] if ratings else turns

    def rate(self, person: str, reply_id: str, verdict: Verdict | None) -> None:
        """Record how a person rates a reply; None takes the rating back. Erased with the person's history.

        Nothing is recorded of whom [access] does not admit: in a group they can react to replies, too.
        """
        if not self._access.admits(person):
            return
        key = keys.feedback(person)
        with translated():
            if verdict is None:
                self._redis.hdel(key, reply_id)
                return
            both = self._redis.pipeline()
            both.hset(key, reply_id, verdict)
            both.expire(key, int(self._settings.ttl_days * 86400))
            both.execute()


def _rated(turn: Turn, ratings: dict[str, str]) -> Turn:
    verdict = ratings.get(turn.reply_id or "")
    return turn.model_copy(update={"rated": verdict}) if verdict else turn
