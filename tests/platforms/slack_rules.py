"""What Slack refuses, cuts or needs a permission for: limits of texts and blocks, metadata, scopes, pings."""

import re
from collections.abc import Callable
from typing import Any

TEXT_CUT = 40_000
UPDATE_BYTES = 4_000  # of the text of chat.update, whatever blocks it comes with
MARKDOWN = 12_000
SECTION = 3_000
BLOCKS = 50
CONTEXT_ELEMENTS = 10
ACTION_ELEMENTS = 5
BUTTON_TEXT = 75
BUTTON_VALUE = 2_000
BLOCK_ID = 255
LOADING_MESSAGES = 10

# Whatever stands raw in a text of the bot would ring somebody's phone. (An escaped "&lt;!channel&gt;" does not.)
PING = re.compile(r"<!(?:channel|here|everyone|group|subteam\^)|<@[A-Z0-9]+", re.IGNORECASE)
LINKED_NAME = re.compile(r"(?<![\w.])@(?:channel|here|everyone)\b", re.IGNORECASE)

# Method -> the scopes of which one is enough. A method that is not here needs none.
SCOPES: dict[str, set[str]] = {
    "chat.postMessage": {"chat:write"},
    "chat.postEphemeral": {"chat:write"},
    "chat.update": {"chat:write"},
    "chat.delete": {"chat:write"},
    "chat.startStream": {"chat:write"},
    "chat.appendStream": {"chat:write"},
    "chat.stopStream": {"chat:write"},
    "assistant.threads.setStatus": {"chat:write", "assistant:write"},
    "assistant.threads.setTitle": {"assistant:write"},
    "assistant.threads.setSuggestedPrompts": {"assistant:write"},
    "reactions.add": {"reactions:write"},
    "reactions.remove": {"reactions:write"},
    "users.info": {"users:read"},
}
# These depend on the kind of conversation: "im" -> "im:history".
BY_KIND = {
    "conversations.history": "history",
    "conversations.replies": "history",
    "conversations.info": "read",
    "conversations.list": "read",
}
KIND_SCOPE = {"im": "im", "mpim": "mpim", "channel": "channels", "group": "groups"}
# What an app must have to be told of something: event -> (subscription in the manifest, scope).
EVENTS = {
    "app_mention": ("app_mention", "app_mentions:read"),
    "message:im": ("message.im", "im:history"),
    "message:mpim": ("message.mpim", "mpim:history"),
    "message:channel": ("message.channels", "channels:history"),
    "message:group": ("message.groups", "groups:history"),
    "reaction_added": ("reaction_added", "reactions:read"),
    "reaction_removed": ("reaction_removed", "reactions:read"),
    "assistant_thread_started": ("assistant_thread_started", "assistant:write"),
    "assistant_thread_context_changed": ("assistant_thread_context_changed", "assistant:write"),
    "app_home_opened": ("app_home_opened", None),
}


class Refusal(Exception):
    """Slack's answer {"ok": false, "error": ...}."""

    def __init__(self, error: str, **more: Any) -> None:
        super().__init__(error)
        self.body = {"ok": False, "error": error, **more}


def missing_scope(method: str, kind: str | None, granted: set[str] | None) -> str | None:
    """Return the scope that this call would need, or None if it may go on."""
    if granted is None:
        return None
    needed = {f"{KIND_SCOPE[kind]}:{BY_KIND[method]}"} if kind and method in BY_KIND else SCOPES.get(method, set())
    return None if not needed or needed & granted else sorted(needed)[0]


def check_message(arguments: dict[str, Any]) -> None:
    """Refuse what chat.postMessage and chat.update refuse."""
    markdown = arguments.get("markdown_text")
    if markdown is not None and (arguments.get("text") or arguments.get("blocks")):
        raise Refusal("markdown_text_conflict")
    check_markdown(markdown)
    if not (arguments.get("text") or markdown or arguments.get("blocks")):
        raise Refusal("no_text")
    check_blocks(arguments.get("blocks"))
    check_metadata(arguments.get("metadata"))


def check_update(arguments: dict[str, Any]) -> None:
    """Refuse a text for which chat.update, unlike chat.postMessage, has no room."""
    if len((arguments.get("text") or "").encode()) > UPDATE_BYTES:
        raise Refusal("msg_too_long")


def check_markdown(text: Any) -> None:
    """Refuse a markdown_text that is too long."""
    if text is not None and len(text) > MARKDOWN:
        raise Refusal("msg_too_long")


def check_metadata(metadata: Any) -> None:
    """Refuse metadata that is no event with a payload of plain values."""
    if metadata is None:
        return
    if not isinstance(metadata, dict) or set(metadata) != {"event_type", "event_payload"}:
        raise Refusal("invalid_metadata_format")
    named = isinstance(metadata["event_type"], str) and re.fullmatch(r"[A-Za-z0-9_.-]+", metadata["event_type"])
    payload = metadata["event_payload"]
    if not named or not isinstance(payload, dict) or not payload:
        raise Refusal("invalid_metadata_schema")


def check_blocks(blocks: Any) -> None:
    """Refuse blocks that Block Kit refuses; only the kinds that a chat bot may use are known."""
    if blocks is None:
        return
    if not isinstance(blocks, list) or len(blocks) > BLOCKS:
        raise Refusal("invalid_blocks")
    for block in blocks:
        check = _CHECKS.get(block.get("type"))
        if check is None or len(block.get("block_id", "")) > BLOCK_ID or not check(block):
            raise Refusal("invalid_blocks", response_metadata={"messages": [f"[ERROR] {block}"]})
    if sum(len(block["text"]) for block in blocks if block["type"] == "markdown") > MARKDOWN:
        raise Refusal("msg_blocks_too_long")


def _markdown(block: dict[str, Any]) -> bool:
    return bool(block.get("text"))


def _section(block: dict[str, Any]) -> bool:
    text = block.get("text", {}).get("text", "")
    return 0 < len(text) <= SECTION


def _context(block: dict[str, Any]) -> bool:
    return 0 < len(block.get("elements", [])) <= CONTEXT_ELEMENTS


def _context_actions(block: dict[str, Any]) -> bool:
    elements = block.get("elements", [])
    return 0 < len(elements) <= ACTION_ELEMENTS and all(_feedback(element) for element in elements)


def _feedback(element: dict[str, Any]) -> bool:
    buttons = [element.get("positive_button"), element.get("negative_button")]
    return (
        element.get("type") == "feedback_buttons"
        and bool(element.get("action_id"))
        and all(
            button
            and button["text"]["type"] == "plain_text"
            and 0 < len(button["text"]["text"]) <= BUTTON_TEXT
            and 0 < len(button["value"]) <= BUTTON_VALUE
            for button in buttons
        )
    )


_CHECKS: dict[str, Callable[[dict[str, Any]], bool]] = {
    "markdown": _markdown,
    "section": _section,
    "context": _context,
    "context_actions": _context_actions,
    "divider": lambda _: True,
}


def texts_of(arguments: dict[str, Any]) -> list[str]:
    """Return every text in a call in which Slack looks for mentions."""
    found = [arguments.get("text"), arguments.get("markdown_text")]
    for block in arguments.get("blocks") or []:
        text = block.get("text")
        found.append(text if isinstance(text, str) else text.get("text") if text else None)
        found += [element.get("text") for element in block.get("elements", []) if isinstance(element.get("text"), str)]
    found += [chunk.get("text") for chunk in arguments.get("chunks") or []]
    return [text for text in found if text]


def pings(text: str) -> bool:
    """Tell whether this text would notify people."""
    return bool(PING.search(text) or LINKED_NAME.search(text))
