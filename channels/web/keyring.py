"""Which keys open the web channel: WEB_API_KEY, and the named ones of the store, which come and go while it runs.

They are read beside the requests, so that none of those waits for Redis and a flood of wrong keys does not reach it.
"""

import asyncio
import hmac
import logging
from collections.abc import Callable, Mapping

from core.errors import StoreUnavailable
from core.store import ApiKey
from core.store.api_keys import digest

LOOK_S = 1.0  # so soon after it was made or removed is a key known or refused

log = logging.getLogger(__name__)


class KeyRing:
    """The keys of this process. ``read`` returns the named ones, or raises StoreUnavailable."""

    def __init__(self, own: str | None, read: Callable[[], Mapping[str, ApiKey]]) -> None:
        self._own = [digest(own)] if own else []
        self._read = read
        self._named: list[str] | None = None  # not known yet

    def is_needed(self) -> bool:
        """Say whether callers need a key; raises StoreUnavailable as long as that is not known."""
        if self._own:
            return True
        if self._named is None:
            raise StoreUnavailable("the keys of the web channel could not be read yet")
        return bool(self._named)

    def admits(self, key: bytes, *, only_named: bool = False) -> bool:
        """Say whether this is one of the keys. Takes the same time whichever it is, and however much of it is right.

        With ``only_named``, WEB_API_KEY is not one of them: somebody may have thought it up, so it could be guessed.
        """
        kept = [*(() if only_named else self._own), *(self._named or ())]
        given = digest(key)
        return any([hmac.compare_digest(given, one) for one in kept])  # noqa: C419, a list, so that none is left out

    async def look(self) -> None:
        """Read the named keys; raises StoreUnavailable, and then those of before count on."""
        known = await asyncio.to_thread(self._read)
        self._named = [key.sha256 for key in known.values()]

    async def watch(self) -> None:
        """Read them again and again, until cancelled."""
        while True:
            try:
                await self.look()
            except StoreUnavailable as error:
                log.debug("the keys could not be read: %s", error)
            await asyncio.sleep(LOOK_S)
