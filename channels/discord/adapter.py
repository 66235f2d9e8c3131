"""Discord in the terms of channels.base: what is heard goes to the runner, replies and signs of life go out."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from datetime import timedelta

from channels.base import Accept
from channels.delivery import Delivery
from channels.discord import menu
from channels.discord.api import Api
from channels.discord.catchup import CatchUp
from channels.discord.connection import Connection, point_to, quieten
from channels.discord.intake import Intake
from channels.discord.interactions import Interactions
from channels.discord.messages import Messages
from channels.discord.parse import CHANNEL
from channels.discord.render import TEXT_LIMIT
from channels.discord.settings import Credentials, Discord
from channels.discord.tickets import Tickets, is_command
from core.errors import DeliveryError, DeliveryRefused
from core.events import Draft, Heard, Reply
from core.settings import Settings
from core.store import Bucket, Store

log = logging.getLogger(__name__)

LOGIN_S = 3.0  # so long a reply waits for a connection that is being made
MENU_AGAIN_S = 60.0


class DiscordAdapter:
    """One bot. ``credentials`` is asked whenever a connection is made."""

    name = CHANNEL
    via: str | None = None
    text_limit = TEXT_LIMIT
    sign_s = 8.0  # typing is shown for ten seconds
    sign_budget = Bucket("signs", per_s=5, burst=10)  # with messages.ALL no more than Discord takes

    def __init__(
        self, discord: Discord, credentials: Callable[[], Credentials], settings: Settings, store: Store
    ) -> None:
        quieten()
        point_to(credentials())
        self._discord = discord
        self._settings = settings
        self._store = store
        self._notes = store.notes(CHANNEL)
        self._connection = Connection(credentials, message_content=discord.message_content)
        self._api = Api(lambda: self._connection.client)
        self._tickets = Tickets(self._notes)
        self._messages = Messages(self._api, self._tickets, self._notes)
        self._delivery = Delivery(self._messages, store, CHANNEL)

    async def run(self, accept: Accept) -> None:
        """Stay connected until cancelled."""
        # What is older is not answered, or not recognised any more as answered.
        inbox = self._settings.inbox
        horizon = min(timedelta(hours=inbox.stale_hours), timedelta(days=inbox.seen_days * 0.9))
        intake = Intake(
            accept,
            lambda: self._connection.client,
            lambda: self._connection.whole,
            self._discord,
            self._messages,
            Interactions(accept, self._api, self._tickets, self._notes, self._store.people, self._messages),
            CatchUp(self._api, self._notes, self._store.pace(CHANNEL), horizon),
            self._store,
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(intake.run(), name="discord intake")
            tasks.create_task(self._connection.run(intake), name="discord connection")
            tasks.create_task(self._register(), name="discord commands")

    async def working(self, heard: Heard) -> None:
        """Show typing; a command shows by itself that it is being answered."""
        if not is_command(heard.event_id):
            await self._messages.typing(heard)

    async def draft(self, draft: Draft) -> bool:
        return await self._delivery.draft(draft)

    async def send(self, reply: Reply) -> None:
        await self._connection.logged_in(LOGIN_S)
        await self._delivery.send(reply)

    async def close(self) -> None:
        await self._connection.close()
        self._store.close()

    async def _register(self) -> None:
        """Register the commands once; nothing else waits for that."""
        while True:
            await self._connection.logged_in()
            client = self._connection.client
            with contextlib.suppress(DeliveryError):
                if client and client.application_id:
                    await self._try_to_register(str(client.application_id))
                    return
            await asyncio.sleep(MENU_AGAIN_S)

    async def _try_to_register(self, application: str) -> None:
        try:
            await menu.synchronise(self._api, application, self._settings.inbox.max_chars)
        except DeliveryRefused as error:
            log.error("the slash commands could not be registered, and will not be before the next start: %s", error)
        except DeliveryError as error:
            log.warning("the slash commands could not be registered: %s; again in %.0f s", error, MENU_AGAIN_S)
            raise
