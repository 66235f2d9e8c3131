"""The app's manifest: what a person pastes at Slack to create the app, with all permissions that the bot uses.

A test holds it against the calls that the adapter really makes.
"""

import json
from typing import Any

from channels.slack.handlers import PROMPTS
from channels.slack.parse import COMMAND
from core import commands

# Scope -> what for; shown to nobody, kept for who wonders.
SCOPES = {
    "app_mentions:read": "to hear mentions",
    "assistant:write": "suggested prompts and titles of threads",
    "channels:history": "to hear threads in channels, and to find a message again after a crash",
    "chat:write": "to answer, to stream, to show that it is thinking",
    "commands": "the slash command",
    "groups:history": "the same as channels:history, in private channels",
    "im:history": "direct messages, also those of a downtime",
    "im:read": "to list direct conversations after a downtime",
    "mpim:history": "the same as channels:history, in group conversations",
    "reactions:read": "thumbs as a rating of a reply",
    "reactions:write": "a sign of life where no status can be shown",
    "users:read": "names instead of ids in what people write",
}
EVENTS = (
    "app_home_opened",
    "app_mention",
    "message.channels",
    "message.groups",
    "message.im",
    "message.mpim",
    "reaction_added",
    "reaction_removed",
)
# What one says to the bot with the command, Slack shows to all: who types it must know that before.
SUMMARY = "Commands are answered to you alone; other words are said to me in front of everybody"
PUBLIC = ", or words for all to see"
LONGEST_NAME = 35
LONGEST_HINT = 100


def manifest(bot_name: str, public_url: str | None = None) -> str:
    """Return the manifest as JSON.

    Args:
        bot_name: What the app and the bot are called.
        public_url: Where the web channel is reached from the internet, if Slack shall call it; else Socket Mode is on.
    """
    name = bot_name[:LONGEST_NAME]
    url = f"{public_url.rstrip('/')}/hooks/slack" if public_url else None
    called = {"url": url} if url else {}
    content: dict[str, Any] = {
        "display_information": {"name": name, "description": "A companion that reads the mood of what you write."},
        "features": {
            "app_home": {
                "home_tab_enabled": False,
                "messages_tab_enabled": True,
                "messages_tab_read_only_enabled": False,
            },
            "bot_user": {"display_name": name, "always_online": True},
            "agent_view": {
                "agent_description": f"Talk with {name} about your day.",
                "suggested_prompts": PROMPTS,
            },
            "slash_commands": [
                {
                    "command": COMMAND,
                    "description": SUMMARY,
                    "usage_hint": _hint(),
                    "should_escape": True,
                    **called,
                }
            ],
        },
        "oauth_config": {"scopes": {"bot": sorted(SCOPES)}},
        "settings": {
            "event_subscriptions": {"bot_events": list(EVENTS)} | ({"request_url": url} if url else {}),
            "interactivity": {"is_enabled": True} | ({"request_url": url} if url else {}),
            "org_deploy_enabled": False,
            "socket_mode_enabled": url is None,
            "token_rotation_enabled": False,
        },
    }
    return json.dumps(content, indent=2, ensure_ascii=False)


def _hint() -> str:
    """Return what Slack shows behind the command. That the words are public stands at its end, whatever is cut."""
    return f"[{' | '.join(commands.TABLE)}]"[: LONGEST_HINT - len(PUBLIC)] + PUBLIC
