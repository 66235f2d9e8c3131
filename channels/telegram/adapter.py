"""The contract of channels.base for Telegram: the connection, the command menu, and replies through Delivery."""

import asyncio
import contextlib
import logging
from collections.abc import Mapping

from telegram import BotCommand
from telegram.error import BadRequest, TelegramError

from channels.base import SIGNS, Accept
from channels.delivery import Delivery
from channels.telegram.api import Api, reason, says
from channels.telegram.intake import Intake
from channels.telegram.messages import TEXT_LIMIT, Messages, glance, limits
from channels.telegram.parse import CHANNEL
from channels.telegram.polling import Polling, Trouble, introduced
from channels.telegram.settings import Credentials, Telegram
from channels.telegram.webhook import announced
from core import commands
from core.errors import DeliveryLater, StoreUnavailable
from core.events import Draft, Heard, Reply
from core.store import Store

log = logging.getLogger(__name__)

MENU_TEXT = 256


class TelegramAdapter:
    """One bot at Telegram, by polling or, with a webhook_url, through the web channel."""

    name = CHANNEL
    via: str | None = None
    text_limit = TEXT_LIMIT
    sign_s = 4.0  # Telegram shows "typing" for 5
    sign_budget = SIGNS

    def __init__(self, section: Telegram, credentials: Credentials, store: Store) -> None:
        self._section = section
        self._secret = credentials.secret
        self._store = store
        self._notes = store.notes(CHANNEL)
        self._pace = store.pace(CHANNEL)
        self._api = Api(credentials)
        self._messages = Messages(self._api)
        self._delivery = Delivery(self._messages, store, CHANNEL)
        self._intake = Intake(self._api, store, other_bots=section.other_bots)

    async def run(self, accept: Accept) -> None:
        """Take messages in until cancelled, through whatever happens at Telegram."""
        me = await introduced(self._api, Trouble())
        log.info("this bot is @%s: https://t.me/%s", me.username, me.username)
        menu = asyncio.create_task(set_menu(self._api), name="menu")
        try:
            if self._section.webhook_url:
                await announced(self._api, self._section, self._secret, self._notes)
            else:
                await Polling(self._api, self._intake, self._notes).run(me, accept)
        finally:
            menu.cancel()
            await asyncio.gather(menu, return_exceptions=True)

    async def working(self, heard: Heard) -> None:
        """Show that the bot is typing, unless Telegram has asked to wait with anything for this chat."""
        with contextlib.suppress(StoreUnavailable):
            if wait_s := await asyncio.to_thread(self._pace.take, [glance(heard.address)]):
                raise DeliveryLater("nothing more may go to this chat now", wait_s)
        try:
            await self._messages.typing(heard.address.space, heard.address.thread)
        except DeliveryLater as error:
            if error.flood:
                with contextlib.suppress(StoreUnavailable):
                    await asyncio.to_thread(self._pace.hold, limits(heard.address)[0], error.retry_after_s)
            raise

    async def draft(self, draft: Draft) -> bool:
        """Show the text so far."""
        return await self._delivery.draft(draft)

    async def send(self, reply: Reply) -> None:
        """Bring the reply to its chat."""
        await self._delivery.send(reply)

    async def close(self) -> None:
        """Close the connections to Telegram and to the store."""
        await self._intake.close()
        await self._api.close()
        self._store.close()


def menu_of(table: Mapping[str, commands.Command]) -> list[BotCommand]:
    """Return the commands in the form of Telegram's menu."""
    return [BotCommand(name, command.summary[:MENU_TEXT]) for name, command in table.items()]


async def set_menu(api: Api) -> None:
    """Have Telegram's menu show our commands; whatever goes wrong, the bot works without it."""
    menu = menu_of(commands.TABLE)
    try:
        if list(await api.bot.get_my_commands()) == menu:
            return
        while menu:
            try:
                await api.bot.set_my_commands(menu)
                log.info("the command menu has %d commands now", len(menu))
                return
            except BadRequest as error:
                if not says(error, "bot_commands_too_much"):
                    raise
                menu.pop()
    except TelegramError as error:
        log.warning("the command menu could not be set (commands work all the same): %s", reason(error))
