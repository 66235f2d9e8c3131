"""What the double of Slack knows: workspaces, conversations, messages, and how they look through the Web API."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

APP = "A0RAPPORT"
JOINER = "\u2060"


@dataclass
class Message:
    """One message. ``body`` is what the Web API tells of it; ``author`` is a user id."""

    ts: str
    author: str
    body: dict[str, Any]
    thread: str | None = None
    metadata: dict[str, Any] | None = None
    streaming: bool = False
    stream_shape: str | None = None
    stream_ends: float = 0.0
    stopped_by_user: bool = False
    reactions: dict[str, list[str]] = field(default_factory=dict)


@dataclass
class Conversation:
    """A channel, a group or a direct conversation (``user`` is who the bot talks to in it)."""

    id: str
    kind: str
    team: str
    user: str | None = None
    bot_is_in: bool = True
    archived: bool = False
    messages: dict[str, Message] = field(default_factory=dict)

    def thread(self, root: str) -> list[Message]:
        """Return a root message and its replies, oldest first."""
        return [m for m in self.in_order() if m.ts == root or m.thread == root]

    def top_level(self) -> list[Message]:
        """Return the messages outside of threads, oldest first."""
        return [m for m in self.in_order() if m.thread is None or m.thread == m.ts]

    def in_order(self) -> list[Message]:
        return sorted(self.messages.values(), key=lambda message: float(message.ts))

    def shown(self, message: Message, *, metadata: bool) -> dict[str, Any]:
        """Return a message as conversations.history shows it."""
        shown: dict[str, Any] = {"type": "message", "ts": message.ts, "user": message.author, **message.body}
        if message.thread:
            shown["thread_ts"] = message.thread
        replies = [m for m in self.messages.values() if m.thread == message.ts and m.ts != message.ts]
        if replies:
            latest = max(replies, key=lambda reply: float(reply.ts))
            shown |= {"thread_ts": message.ts, "reply_count": len(replies), "latest_reply": latest.ts}
        elif message.thread and message.thread in self.messages:
            shown["parent_user_id"] = self.messages[message.thread].author
        if metadata and message.metadata:
            shown["metadata"] = message.metadata
        if message.streaming:
            shown["streaming_state"] = "in_progress"
        return shown


@dataclass
class Workspace:
    """One workspace in which the app is installed."""

    id: str
    name: str
    token: str
    bot_user: str
    bot_id: str
    revoked: str | None = None  # the error that every call answers then
    conversations: dict[str, Conversation] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)  # user id -> display name

    def user(self, name: str) -> str:
        """Return the id of a person, who is made on first use."""
        user = f"U0{self.id[2:]}{name.upper().replace('-', '')}"
        self.names.setdefault(user, name.capitalize())
        return user

    def conversation(self, name: str, kind: str, user: str | None = None) -> Conversation:
        """Return a conversation, which is made on first use."""
        found = self.conversations.get(name)
        if found is None:
            found = self.conversations[name] = Conversation(name, kind, self.id, user)
        return found

    def direct(self, user: str) -> Conversation:
        """Return the direct conversation of a person with the bot."""
        return self.conversation(f"D0{user[2:]}", "im", user)

    def channel(self, name: str = "general") -> Conversation:
        """Return a channel of which the bot is a member."""
        return self.conversation(f"C0{self.id[2:]}{name.upper()}", "channel")


class Clock:
    """Gives timestamps as Slack does: no two are the same."""

    def __init__(self) -> None:
        self._last = 0

    def next(self) -> str:
        self._last = max(self._last + 1, time.time_ns() // 1000)
        return f"{self._last // 1_000_000}.{self._last % 1_000_000:06d}"


def read(text: str) -> str:
    """Return a text as a person reads it: escapes undone, invisible characters gone."""
    return text.replace(JOINER, "").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def visible(body: dict[str, Any]) -> str:
    """Return what a message shows: its Markdown where it has some (Slack renders it), else its text."""
    markdown = list(_markdown(body))
    return "\n".join(part.replace(JOINER, "") for part in markdown) if markdown else read(body.get("text", ""))


def _markdown(body: dict[str, Any]) -> Iterator[str]:
    if body.get("streamed"):
        yield body["streamed"]
    if body.get("markdown_text"):
        yield body["markdown_text"]
    for block in body.get("blocks") or []:
        if block["type"] == "markdown":
            yield block["text"]
