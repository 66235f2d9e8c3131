"""Words to people whose message was not taken: few, as whoever writes could make the bot write without end.

How often a person is told what is wrong with a message is the runner's (InputError.told).
"""

import asyncio

from channels.discord.messages import Messages
from channels.discord.parse import CHANNEL
from core.errors import DeliveryLater, DeliveryUnsure
from core.events import MessageEvent
from core.store import Store

TELLS = 5
AGAIN_S = 0.5
TOLD_TTL_S = 3 * 86400.0  # a message that is told again, after a downtime for one


class Hints:
    """Says a word where a message came from."""

    def __init__(self, messages: Messages, store: Store) -> None:
        self._messages = messages
        self._store = store
        self._notes = store.notes(CHANNEL)
        self._pace = store.pace(CHANNEL)

    async def tell(self, event: MessageEvent, text: str, once: tuple[str, float] | None = None) -> None:
        """Tell a person why their message was not taken, once.

        ``once``: no other word of this kind goes to whom or what is named for so many seconds.
        """
        if not self._store.admits(event.person):
            return
        notes = {f"told:{event.id}": TOLD_TTL_S} | ({f"told:{once[0]}": once[1]} if once else {})
        for note, ttl_s in notes.items():
            if not await asyncio.to_thread(self._notes.add, note, "1", ttl_s):
                return
        for left in reversed(range(TELLS)):  # Discord knows a repeat by its nonce
            try:
                await self._admitted(event)
                await self._messages.tell(event, text)
                return
            except (DeliveryLater, DeliveryUnsure) as error:
                if not left:
                    for note in notes:
                        await asyncio.to_thread(self._notes.drop, note)
                    raise
                await asyncio.sleep(error.retry_after_s if isinstance(error, DeliveryLater) else AGAIN_S)

    async def _admitted(self, event: MessageEvent) -> None:
        """Wait until the budget of the place allows it, which replies have as well."""
        buckets = self._messages.posting(event.id.split(":")[1])
        while True:
            wait_s = await asyncio.to_thread(self._pace.take, buckets)
            if not wait_s:
                return
            await asyncio.sleep(wait_s)
