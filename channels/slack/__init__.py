"""The Slack channel: Socket Mode or signed HTTP requests in, Web API out. Not here: what the bot says (core).

settings.py   [slack], tokens, and which of them make sense together
parse.py      payload -> MessageEvent (pure); markup.py reads Slack's marks
render.py     Markdown -> what Slack takes, notifying nobody (pure)
teams.py      the workspaces: who the bot is there, the Web API, names
trouble.py    what Slack answers when something is wrong
handlers.py   what comes in: stored first, acknowledged then
kept.py       messages of channels that wait for Redis
ratings.py    thumbs and feedback buttons
sockets.py    Socket Mode; hook.py: the same by HTTP, in the web channel's process
catchup.py    direct messages after a downtime; attendance.py knows since when, and until when all was heard
posting.py    one call that posts
messages.py   one message of a reply; streams.py while it is written; answers.py to slash commands
signs.py      signs of life; eyes.py: the one of them that must be taken away again
limits.py     how often Slack may be asked
adapter.py    the contract of channels.base
manifest.py   the app's manifest
"""

from channels.base import Adapter, Hook
from channels.slack.settings import Slack, credentials
from core import settings

__all__ = ["make_adapter", "make_hook"]


def make_adapter() -> Adapter:
    """Return the adapter; raises SettingsError if tokens are missing or in each other's place."""
    from channels.slack.adapter import SlackAdapter

    return SlackAdapter(credentials(), settings.load_section("slack", Slack), settings.load(), settings.redis_url())


def make_hook() -> Hook | None:
    """Return where Slack calls by HTTP; None without a signing secret, or if events come by Socket Mode."""
    found = credentials()
    if found.by_socket or not found.signing_secret:
        return None
    from channels.slack.adapter import Intake
    from channels.slack.hook import SlackHook

    slack = settings.load_section("slack", Slack)
    return SlackHook(Intake(found, slack, settings.load(), settings.redis_url()), found.signing_secret)
