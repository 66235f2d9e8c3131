"""The Telegram channel, over the Bot API. Not here: what the bot says (core), order and progress of sends (delivery).

settings.py   [telegram], the token, the secret of the webhook
parse.py      updates -> messages to the bot; entities.py, rich.py: their formatting -> Markdown; attachments.py
feedback.py   buttons and reactions -> ratings
render.py     Markdown -> Telegram's HTML
api.py        the SDK, and its errors in our words
messages.py   how one message is posted, changed and taken back (channels.delivery.Network)
intake.py     what is done with one update, however it came
polling.py    long polling: store first, then confirm; seat.py: which of our processes polls
webhook.py    updates that Telegram brings to the web channel
adapter.py    the contract of channels.base
check.py      what `rapport telegram check` says
"""

from channels.base import Adapter, Hook
from channels.telegram.settings import Telegram, credentials
from core import settings
from core.store import Store

__all__ = ["make_adapter", "make_hook"]


def make_adapter() -> Adapter:
    """Return the adapter; raises SettingsError if there is no token."""
    from channels.telegram.adapter import TelegramAdapter

    return TelegramAdapter(settings.load_section("telegram", Telegram), credentials(), _store())


def make_hook() -> Hook | None:
    """Return what takes Telegram's calls in the web process, or None if no webhook is set up."""
    section = settings.load_section("telegram", Telegram)
    if not section.webhook_url:
        return None
    from channels.telegram.webhook import TelegramHook  # only now: the SDK costs the web process memory

    return TelegramHook(section, credentials(), _store())


def _store() -> Store:
    return Store(settings.redis_url(), settings.load(), _never_woken)


def _never_woken(person: str) -> str:
    raise RuntimeError(f"the telegram channel only reads here; the runner accepts (asked to wake {person})")
