"""What is kept of a person outside the inbox: history and ratings. The history is written by the commit."""

from typing import Literal, cast

import redis

from core.dialogue import Turn
from core.sections import Access
from core.sections import History as HistorySettings
from core.store import keys
from core.store.connection import script, translated
from core.store.inbox import read_turn

Verdict = Literal["up", "down"]


class People:
    """Histories by person. Thread-safe."""

    def __init__(self, client: "redis.Redis", settings: HistorySettings, access: Access) -> None:
        self._redis = client
        self._settings = settings
        self._access = access
        self._rate = script(client, "rate")

    def history(self, person: str) -> list[Turn]:
        """Return all turns kept, oldest first, with the person's ratings."""
        with translated():
            both = self._redis.pipeline()
            both.lrange(keys.history(person), 0, -1)
            both.hgetall(keys.feedback(person))
            raws, ratings = cast(tuple[list[str], dict[str, str]], both.execute())
        turns = [turn for turn in map(read_turn, raws) if turn]
        return [_rated(turn, ratings) for turn in turns] if ratings else turns

    def rate(self, person: str, reply_id: str, verdict: Verdict) -> None:
        """Record how a person rates a reply. Erased with the person's history.

        Nothing is recorded of whom [access] does not admit: in a group they can react to replies, too.
        """
        if not self._access.admits(person):
            return
        self._rate([keys.feedback(person)], [reply_id, verdict, "", int(self._settings.ttl_days * 86400)])

    def unrate(self, person: str, reply_id: str, verdict: Verdict) -> None:
        """Take this verdict back. Another one stays: who changed their mind may take the first one away last."""
        self._rate([keys.feedback(person)], [reply_id, "", verdict, 0])


def _rated(turn: Turn, ratings: dict[str, str]) -> Turn:
    verdict = ratings.get(turn.reply_id or "")
    return turn.model_copy(update={"rated": verdict}) if verdict else turn
