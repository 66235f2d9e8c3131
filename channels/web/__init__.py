"""The web channel: HTTP API, server-sent events and the chat page. Not here: what the bot says (core), how it is sent.

settings.py   [web], WEB_API_KEY, and who may listen where
models.py     what the API takes and gives
problems.py   every error in its one JSON shape
guard.py      what a request must fulfil before a route sees it; security headers
keyring.py    which keys open the channel
attempts.py   who has tried too many wrong ones
connections.py  how many connections there may be, and how slow
waiting.py    who waits for which reply
stream.py     a reply as server-sent events
api.py        the routes
adapter.py    the server within the event loop, and the contract of channels.base
static/       the chat page and the page of the API, without build step or foreign resources
"""

from collections.abc import Sequence

from channels.base import Adapter, Hook
from channels.web.adapter import WebAdapter
from channels.web.settings import Web, api_key
from core import settings

__all__ = ["make_adapter"]


def make_adapter(hooks: Sequence[Hook] = ()) -> Adapter:
    """Return the adapter; raises SettingsError for settings that cannot be meant."""
    return WebAdapter(settings.load_section("web", Web), api_key(), settings.load(), settings.redis_url(), hooks)
