"""How often somebody tried a wrong key: after a few, WEB_API_KEY opens nothing to their address for a while.

A named key does: nobody guesses it, and who keeps trying one that was removed must not shut out a neighbour. In
memory, as there is one web process (docs/decisions/006-one-web-process.md), and bounded.
"""

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable

BURST = 10  # wrong keys at once
INTERVAL_S = 10.0  # and one more each
REMEMBERED = 10_000  # addresses; who can use more of them than this must be stopped elsewhere


class Attempts:
    """A bucket for each address, as the store's (lua/pace.lua): it holds when it will be full again, in seconds."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def wait_s(self, address: str) -> int:
        """Return for how many seconds nothing that can be guessed counts from this address; 0: it does."""
        full_at = self._full_at.get(_network(address), 0)
        return max(math.ceil(full_at + INTERVAL_S - self._now() - BURST * INTERVAL_S), 0)

    def failed(self, address: str) -> None:
        """A wrong key came from this address."""
        name, now = _network(address), self._now()
        self._full_at[name] = max(self._full_at.get(name, 0), now) + INTERVAL_S
        self._full_at.move_to_end(name)
        if len(self._full_at) > REMEMBERED:
            self._full_at.popitem(last=False)


def _network(address: str) -> str:
    """Return what one customer of a provider has: an address, or 2^64 of them with IPv6."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv6Address):
        return str(ip.ipv4_mapped or ipaddress.ip_network((ip, 64), strict=False))
    return str(ip)
