"""Everything kept in Redis: inbox and lease, history, outbox, signs of life. Every key name is in keys.py."""

import redis

from core.settings import Settings
from core.store.connection import connect, translated
from core.store.inbox import Claim, Inbox, WakeUp
from core.store.outbox import Delivery, DraftFeed, Outbox
from core.store.people import People
from core.store.workers import Workers, WorkerSign

__all__ = ["Claim", "Delivery", "DraftFeed", "Inbox", "Outbox", "People", "Store", "WakeUp", "WorkerSign", "Workers"]


class Store:
    """The rooms of the store over one connection pool. Thread-safe; nothing is sent before the first call."""

    def __init__(self, url: str, settings: Settings, wake_up: WakeUp) -> None:
        self.redis: redis.Redis = connect(url)
        self.inbox = Inbox(self.redis, settings.inbox, settings.history, wake_up)
        self.people = People(self.redis)
        self.workers = Workers(self.redis, settings.inbox.lease_s)

    def outbox(self, channel: str) -> Outbox:
        """Return the outbox of a channel."""
        return Outbox(self.redis, channel)

    def ping(self) -> None:
        """Raise StoreUnavailable if Redis does not answer."""
        with translated():
            self.redis.ping()

    def close(self) -> None:
        """Close the connections."""
        self.redis.close()
