"""Everything kept in Redis: inbox and lease, history, outbox, signs of life. Every key name is in keys.py."""

import redis

from core.settings import Settings
from core.store.api_keys import ApiKey, ApiKeys
from core.store.brief import brief
from core.store.connection import connect, translated
from core.store.counts import Counts
from core.store.dead import Letters
from core.store.inbox import Claim, Inbox, WakeUp
from core.store.limits import Limits, Refusal
from core.store.notes import Notes
from core.store.outbox import Delivery, NewsFeed, Outbox
from core.store.overview import Overview
from core.store.pace import Bucket, Pace
from core.store.parts import Parts, Sent
from core.store.people import People, Verdict
from core.store.queues import Queues
from core.store.workers import Workers, WorkerSign

__all__ = [
    "ApiKey",
    "ApiKeys",
    "Bucket",
    "Claim",
    "Counts",
    "Delivery",
    "Inbox",
    "Letters",
    "NewsFeed",
    "Notes",
    "Outbox",
    "Overview",
    "Pace",
    "Parts",
    "People",
    "Refusal",
    "Sent",
    "Store",
    "Verdict",
    "WakeUp",
    "WorkerSign",
    "Workers",
]


class Store:
    """The rooms of the store over one connection pool. Thread-safe; nothing is sent before the first call."""

    def __init__(self, url: str, settings: Settings, wake_up: WakeUp) -> None:
        self.redis: redis.Redis = connect(url)
        self._access = settings.access
        queues = Queues(settings)
        limits = Limits(settings.inbox, settings.safety)
        self.inbox = Inbox(
            self.redis,
            settings.inbox,
            settings.history,
            settings.dead_letters,
            limits,
            settings.access,
            queues,
            wake_up,
        )
        self.letters = Letters(self.redis, queues, wake_up)
        self._letters_kept = settings.dead_letters.keep
        self.people = People(self.redis, settings.history, settings.access)
        self.api_keys = ApiKeys(self.redis)
        self.counts = Counts(self.redis)
        self.workers = Workers(self.redis, settings.inbox.lease_s)
        self.overview = Overview(self.redis, queues.all)

    def outbox(self, channel: str) -> Outbox:
        """Return the outbox of a channel."""
        return Outbox(self.redis, channel, self._letters_kept)

    def parts(self, channel: str) -> Parts:
        """Return what is known of a channel's replies at its network."""
        return Parts(self.redis, channel)

    def pace(self, channel: str) -> Pace:
        """Return the budget of a channel's sends."""
        return Pace(self.redis, channel)

    def notes(self, channel: str) -> Notes:
        """Return the notes of a channel's adapter."""
        return Notes(self.redis, channel)

    def admits(self, person: str) -> bool:
        """Tell whether [access] lets this person talk with the bot."""
        return self._access.admits(person)

    def brief(self) -> list[str]:
        """Return how everything is, in a few lines."""
        return list(brief(self.overview, self.workers, self.letters))

    def ping(self) -> None:
        """Raise StoreUnavailable if Redis does not answer."""
        with translated():
            self.redis.ping()

    def close(self) -> None:
        """Close the connections."""
        self.redis.close()
