"""The contract of a network: what an adapter is to the runner, and the runner to an adapter."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from core.events import Draft, MessageEvent, Reply

# Stores the event. Returns once it is safe: only then may the platform be acknowledged. False: it was known before.
# Raises InputError (tell the person what to change) or StoreUnavailable (do not acknowledge; the platform or the
# person sends again).
Accept = Callable[[MessageEvent], Awaitable[bool]]


class Adapter(Protocol):
    """One network. All calls come from one event loop."""

    name: str
    """Name of the channel; part of every address and of the person's key."""

    via: str | None
    """None, or the name of this process if no other process of the channel can send its replies (Address.via)."""

    text_limit: int
    """Characters that one message of this network may have."""

    async def run(self, accept: Accept) -> None:
        """Connect, pass every message that is for the bot to ``accept``, and return when the conversation ends."""

    async def send(self, reply: Reply) -> None:
        """Send a reply; raises DeliveryLater or DeliveryRefused. Never retries and never swallows an error."""

    async def draft(self, draft: Draft) -> None:
        """Show partial text, if the network can. Errors do no harm: the reply follows."""

    async def close(self) -> None:
        """Disconnect. Nothing is sent after this."""
