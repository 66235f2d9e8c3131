"""How Slack's events, presses and commands look on the wire."""

import time
from typing import Any

from tests.platforms.slack_state import APP, Conversation, Message, Workspace

KINDS = {"im": "im", "mpim": "mpim", "channel": "channel", "group": "group"}


def escaped(text: str) -> str:
    """Return what a person typed as Slack sends it."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def callback(workspace: Workspace, event: dict[str, Any], event_id: str) -> dict[str, Any]:
    """Return the envelope of the Events API."""
    return {
        "token": "verification-token",
        "team_id": workspace.id,
        "context_team_id": workspace.id,
        "context_enterprise_id": None,
        "api_app_id": APP,
        "event": event,
        "type": "event_callback",
        "event_id": event_id,
        "event_time": int(time.time()),
        "authorizations": [
            {
                "enterprise_id": None,
                "team_id": workspace.id,
                "user_id": workspace.bot_user,
                "is_bot": True,
                "is_enterprise_install": False,
            }
        ],
        "is_ext_shared_channel": False,
        "event_context": "4-context",
    }


def message(conversation: Conversation, said: Message) -> dict[str, Any]:
    """Return the event of a message."""
    shown = conversation.shown(said, metadata=True)
    for key in ("reply_count", "latest_reply", "streamed", "markdown_text"):
        shown.pop(key, None)
    if said.thread is None:
        shown.pop("thread_ts", None)
    return shown | {"channel": conversation.id, "event_ts": said.ts, "channel_type": KINDS[conversation.kind]}


def change(subtype: str, event: dict[str, Any], ts: str) -> dict[str, Any]:
    """Return the event of an edit or a deletion."""
    inner = {key: value for key, value in event.items() if key not in ("channel", "event_ts", "channel_type")}
    changed = {"message": inner} if subtype == "message_changed" else {"deleted_ts": event["ts"]}
    return {
        "type": "message",
        "subtype": subtype,
        "hidden": True,
        **changed,
        "previous_message": inner,
        "channel": event["channel"],
        "ts": ts,
        "event_ts": ts,
        "channel_type": event["channel_type"],
    }


def reaction(kind: str, user: str, name: str, channel: str, ts: str, author: str, event_ts: str) -> dict[str, Any]:
    """Return the event of a reaction that came or went."""
    item = {"type": "message", "channel": channel, "ts": ts}
    return {"type": kind, "user": user, "reaction": name, "item": item, "item_user": author, "event_ts": event_ts}


def assistant_started(user: str, channel: str, thread: str) -> dict[str, Any]:
    """Return the event of a new assistant thread."""
    context = {"channel_id": channel, "team_id": "T0ONE", "enterprise_id": None}
    opened = {"user_id": user, "context": context, "channel_id": channel, "thread_ts": thread}
    return {"type": "assistant_thread_started", "assistant_thread": opened, "event_ts": thread}


def home_opened(user: str, channel: str, event_ts: str) -> dict[str, Any]:
    """Return the event of a Messages tab that was opened."""
    return {"type": "app_home_opened", "user": user, "channel": channel, "tab": "messages", "event_ts": event_ts}


def slash(
    workspace: Workspace, conversation: Conversation, user: str, text: str, url: str, trigger: str
) -> dict[str, Any]:
    """Return the form of a slash command."""
    return {
        "token": "verification-token",
        "team_id": workspace.id,
        "team_domain": workspace.name.lower(),
        "channel_id": conversation.id,
        "channel_name": "directmessage" if conversation.kind == "im" else "general",
        "user_id": user,
        "user_name": workspace.names[user].lower(),
        "command": "/rapport",
        "text": text,
        "api_app_id": APP,
        "is_enterprise_install": "false",
        "response_url": url,
        "trigger_id": trigger,
    }


def press(
    workspace: Workspace, conversation: Conversation, user: str, shown: dict[str, Any], verdict: str, url: str
) -> dict[str, Any]:
    """Return the payload of a feedback button that was pressed."""
    block = next(block for block in shown["blocks"] if block["type"] == "context_actions")
    element = next(element for element in block["elements"] if element["type"] == "feedback_buttons")
    button = element["positive_button" if verdict == "up" else "negative_button"]
    action = {
        "type": "feedback_buttons",
        "action_id": element["action_id"],
        "block_id": block.get("block_id", "b1"),
        "value": button["value"],
        "text": button["text"],
        "action_ts": f"{time.time():.6f}",
    }
    return {
        "type": "block_actions",
        "user": {"id": user, "username": workspace.names[user].lower(), "team_id": workspace.id},
        "api_app_id": APP,
        "token": "verification-token",
        "container": {
            "type": "message",
            "message_ts": shown["ts"],
            "channel_id": conversation.id,
            "is_ephemeral": False,
        },
        "trigger_id": f"trigger.{time.time_ns()}",
        "team": {"id": workspace.id, "domain": workspace.name.lower()},
        "enterprise": None,
        "is_enterprise_install": False,
        "channel": {"id": conversation.id, "name": "general"},
        "message": shown,
        "state": {"values": {}},
        "response_url": url,
        "actions": [action],
    }
