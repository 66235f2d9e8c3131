"""Markdown as Slack takes it: nothing in it notifies people, parts fit a message, and what stands in a notification.

Slack renders standard Markdown by itself (markdown block, markdown_text). Pure.
"""

import re
from typing import Any

from channels.text import Part, split, within_utf16

LIMIT = 12_000  # of all markdown blocks of a message together, and of one call of the chat stream
FALLBACK = 3_900  # bytes of the text for notifications and screen readers; an update takes 4,000
ACTION = "rapport_feedback"
EVENT_TYPE = "rapport_reply"
UP, DOWN = "up", "down"

# Not to be seen and no white space: it only keeps Slack from reading what follows as a mention.
JOINER = "\u2060"
_PING = re.compile(
    r"<(?=!(?:channel|here|everyone|group|subteam)|@[A-Z0-9])|(?<![\w.])@(?=(?:channel|here|everyone)\b)", re.I
)
# The beginning of what may become a mention; it waits for the rest, as a stream cannot take back what it showed.
_UNFINISHED = re.compile(r"(?:<[!@]?\w*|(?<![\w.])@\w*)\Z")
_FENCE_LINE = re.compile(r"^[ \t]*(?:```|~~~).*$\n?", re.MULTILINE)
_LINK = re.compile(r"!?\[([^\[\]]*)\]\([^()\s]*\)")
_MARKS = re.compile(r"^\s{0,3}(?:#{1,6}|>)\s+|\*\*|__|~~|`", re.MULTILINE)


def harmless(markdown: str) -> str:
    """Return the text so that it mentions nobody: no person, group or channel is notified by it."""
    return _PING.sub(lambda found: found[0] + JOINER, markdown)


def streamable(markdown: str) -> str:
    """Return as much of an unfinished text as can be shown for good: what follows is only ever added to it."""
    return harmless(_UNFINISHED.sub("", markdown).rstrip())


def parts(markdown: str) -> list[Part]:
    """Split a reply into parts that fit a message each."""
    fits = within_utf16(LIMIT)
    return split(markdown, lambda shown: fits(harmless(shown)))


def fallback(markdown: str) -> str:
    """Return the plain text for notifications, escaped."""
    plain = _MARKS.sub("", _LINK.sub(r"\1", _FENCE_LINE.sub("", markdown))).strip() or markdown.strip()
    return _beginning(escaped(plain), FALLBACK)


def _beginning(text: str, most: int) -> str:
    """Return as much of an escaped text as fits into so many bytes, with no entity cut in two."""
    raw = text.encode()
    if len(raw) <= most:
        return text
    cut = raw[:most].decode(errors="ignore")
    begun = cut.rfind("&")
    if begun > cut.rfind(";"):
        cut = cut[:begun]
    return harmless(cut)  # what was cut may have kept a word from being a mention


def updatable(text: str) -> bool:
    """Say whether a message's text can be changed into this one."""
    return len(text.encode()) <= FALLBACK


def escaped(text: str) -> str:
    """Return a text that Slack shows as it stands."""
    return harmless(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def blocks(markdown: str, reply_id: str | None) -> list[dict[str, Any]]:
    """Return a message's blocks, with the question how it was if ``reply_id`` is given."""
    return [{"type": "markdown", "text": harmless(markdown)}, *(feedback(reply_id) if reply_id else [])]


def note(text: str) -> dict[str, Any]:
    """Return a block with a remark in small letters. It counts against no limit of the Markdown beside it."""
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": escaped(text)}]}


def feedback(reply_id: str) -> list[dict[str, Any]]:
    """Return the block with the two feedback buttons; their values name the reply."""
    return [
        {
            "type": "context_actions",
            "elements": [
                {
                    "type": "feedback_buttons",
                    "action_id": ACTION,
                    "positive_button": _button("Good answer", UP, reply_id),
                    "negative_button": _button("Bad answer", DOWN, reply_id),
                }
            ],
        }
    ]


def _button(text: str, verdict: str, reply_id: str) -> dict[str, Any]:
    return {"text": {"type": "plain_text", "text": text}, "value": f"{verdict}:{reply_id}", "accessibility_label": text}


def metadata(key: str) -> dict[str, Any]:
    """Return the metadata by which a message is recognised after a crash."""
    return {"event_type": EVENT_TYPE, "event_payload": {"key": key}}


def key_of(message: dict[str, Any]) -> str | None:
    """Return the key in a message's metadata, "" if the metadata is not ours, None if there is none."""
    found = message.get("metadata") or {}
    if not found.get("event_type"):
        return None
    return str(found.get("event_payload", {}).get("key", "")) if found["event_type"] == EVENT_TYPE else ""
