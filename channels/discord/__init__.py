"""The Discord channel, on discord.py. Not here: what the bot says (core), how replies are ordered and tried again.

settings.py    [discord], the bot's token, and where Discord is
parse.py       raw payloads -> MessageEvent (pure)
feedback.py    buttons and reactions -> ratings (pure)
render.py      Markdown -> what Discord shows, in parts that fit (pure)
menu.py        the slash commands, registered on change
connection.py  one client after the other: tokens, intents, session starts, back-off
intake.py      what comes in: messages into the store, in order
interactions.py  commands, buttons and reactions, within Discord's deadline
known.py       what discord.py knows of a server, for parse.py
sessions.py    the gateway session of the process before, taken up
catchup.py     what was written while nobody listened
api.py         calls of the REST interface, and its errors in our terms
tickets.py     the right to answer a slash command, kept for all processes
messages.py    one message to its place, changed, taken back
adapter.py     the contract of channels.base
invite.py      the invite link
"""

from channels.base import Adapter

__all__ = ["make_adapter"]


def make_adapter() -> Adapter:
    """Return the adapter; raises SettingsError if the token is missing or no token at all."""
    from channels.discord.adapter import DiscordAdapter
    from channels.discord.settings import Discord, credentials
    from core import settings
    from core.store import Store

    discord = settings.load_section("discord", Discord)
    store = Store(settings.redis_url(), settings.load(), _never_woken)
    return DiscordAdapter(discord, credentials, settings.load(), store)


def _never_woken(person: str) -> str:
    raise RuntimeError(f"the adapter only keeps notes here; the runner accepts (asked to wake {person})")
