"""The contract of a network: what an adapter is to the runner, and the runner to an adapter."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol

from core.events import Draft, Heard, MessageEvent, Reply
from core.store import Bucket

# Stores the event. Returns once it is safe: only then may the platform be acknowledged. False: it was known before,
# or is too old to be answered. Raises InputError (tell the person what to change) or StoreUnavailable (do not
# acknowledge; the platform or the person sends again).
Accept = Callable[[MessageEvent], Awaitable[bool]]
# From this number in line on, people are told why nothing happens.
LONG_LINE = 5
# A crowd that waits must not use up what a network allows: the replies count against the same limits.
SIGNS = Bucket("signs", per_s=15, burst=30)
# An ASGI application: scope, receive, send.
AsgiApp = Callable[
    [
        MutableMapping[str, Any],
        Callable[[], Awaitable[MutableMapping[str, Any]]],
        Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ],
    Awaitable[None],
]


class Adapter(Protocol):
    """One network. All calls come from one event loop."""

    name: str
    """Name of the channel; part of every address and of the person's key."""

    via: str | None
    """None, or the name of this process if no other process of the channel can send its replies (Address.via)."""

    text_limit: int
    """Characters that one message of this network may have."""

    sign_s: float
    """Seconds after which a sign of life must be given again; 0 if this network shows none."""

    sign_budget: Bucket
    """Signs of life that all people together may be given; two thirds of its burst are for newcomers."""

    async def run(self, accept: Accept) -> None:
        """Connect, pass every message that is for the bot to ``accept``, and return when the conversation ends."""

    async def working(self, heard: Heard) -> None:
        """Give a sign of life (typing, a status): called at once, then every ``sign_s`` while the message waits.

        Where the network can say so, people are told which number they are (``Heard.place``) if that is more than
        ``LONG_LINE``. Errors do no harm.
        """

    async def draft(self, draft: Draft) -> bool:
        """Show partial text, if the network can now, and tell whether it stands there. Errors do no harm.

        Never called while another draft of the same reply is being shown; other replies are not held up by it.
        """

    async def send(self, reply: Reply) -> None:
        """Send a reply, be it shown in part or sent in part before.

        Never retries and never swallows an error: raises DeliveryLater, DeliveryUnsure or DeliveryRefused.
        """

    async def close(self) -> None:
        """Disconnect. Nothing is sent after this."""


class Hook(Protocol):
    """Where a network calls us by HTTP. The web channel's server serves it at ``/hooks/NAME``."""

    name: str
    """Name of the channel whose events come in here."""

    def app(self, accept: Accept) -> AsgiApp:
        """Return the application. It checks by itself that the network is who calls."""

    async def close(self) -> None:
        """Close what it has open."""
