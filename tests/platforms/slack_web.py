"""The Web API of the double of Slack: its methods, each a function of the workspace and the arguments."""

import time
from collections.abc import Callable
from typing import Any, Protocol

from tests.platforms import slack_rules as rules
from tests.platforms.base import Post
from tests.platforms.slack_rules import Refusal
from tests.platforms.slack_state import APP, Clock, Conversation, Message, Workspace, visible

Arguments = dict[str, Any]
Answer = dict[str, Any]
# What makes messages, and what changes them: the names under which faults and points are the same on all doubles.
ALIASES = {
    "chat.postMessage": "post",
    "chat.postEphemeral": "post",
    "chat.startStream": "post",
    "response_url": "post",
    "chat.update": "edit",
    "chat.appendStream": "edit",
    "chat.stopStream": "edit",
}


class Host(Protocol):
    """What the methods need of the double."""

    clock: Clock
    posts: list[Post]
    violations: list[str]
    signs: list[tuple[str, float]]
    statuses: dict[tuple[str, str], str]
    titles: dict[tuple[str, str], str]
    prompts: list[Answer]
    granted: set[str] | None
    refused_scopes: set[str]
    missing: set[str]
    stream_life_s: float
    feedback_buttons: int

    def echo(self, workspace: Workspace, conversation: Conversation, message: Message, subtype: str) -> None: ...


class WebApi:
    """All methods. ``call`` answers or raises Refusal."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._methods: dict[str, Callable[[Workspace, Arguments], Answer]] = {
            "auth.test": self._auth_test,
            "chat.postMessage": self._post,
            "chat.postEphemeral": self._post_ephemeral,
            "chat.update": self._update,
            "chat.delete": self._delete,
            "chat.startStream": self._start_stream,
            "chat.appendStream": self._append_stream,
            "chat.stopStream": self._stop_stream,
            "assistant.threads.setStatus": self._set_status,
            "assistant.threads.setTitle": self._set_title,
            "assistant.threads.setSuggestedPrompts": self._set_prompts,
            "reactions.add": self._add_reaction,
            "reactions.remove": self._remove_reaction,
            "conversations.replies": self._replies,
            "conversations.history": self._history,
            "conversations.info": self._info,
            "conversations.list": self._list,
            "users.info": self._user,
        }

    def call(self, method: str, workspace: Workspace | None, arguments: Arguments) -> Answer:
        if method not in self._methods or method in self._host.missing:
            raise Refusal("unknown_method", req_method=method)
        if workspace is None:
            raise Refusal("invalid_auth")
        if workspace.revoked:
            raise Refusal(workspace.revoked)
        found = workspace.conversations.get(arguments.get("channel") or arguments.get("channel_id") or "")
        kind = found.kind if found else "im" if method == "conversations.list" else None
        if needed := rules.missing_scope(method, kind, self._host.granted):
            self._host.refused_scopes.add(needed)
            raise Refusal("missing_scope", needed=needed, provided=",".join(sorted(self._host.granted or ())))
        self._look_for_pings(arguments, method)
        return {"ok": True, **self._methods[method](workspace, arguments)}

    def check(self, arguments: Arguments, method: str) -> None:
        """Check a message that comes another way than by a method."""
        self._look_for_pings(arguments, method)
        rules.check_message(arguments)
        self._cut(arguments)

    def _look_for_pings(self, arguments: Arguments, method: str) -> None:
        for text in rules.texts_of(arguments):
            if rules.pings(text):
                self._host.violations.append(f"{method} would notify people: {text[:80]!r}")

    def _auth_test(self, workspace: Workspace, _: Arguments) -> Answer:
        return {
            "url": f"https://{workspace.name.lower()}.slack.com/",
            "team": workspace.name,
            "team_id": workspace.id,
            "user": "rapport",
            "user_id": workspace.bot_user,
            "bot_id": workspace.bot_id,
            "is_enterprise_install": False,
        }

    def _post(self, workspace: Workspace, arguments: Arguments) -> Answer:
        channel = arguments.get("channel", "")
        place = workspace.direct(channel) if channel.startswith("U") else self._place(workspace, arguments)
        rules.check_message(arguments)
        self._cut(arguments)
        thread = arguments.get("thread_ts")
        if thread and thread not in place.messages:
            raise Refusal("thread_not_found")
        body = {key: arguments[key] for key in ("text", "blocks", "markdown_text") if arguments.get(key)}
        message = self._write(workspace, place, body, thread, arguments.get("metadata"))
        return {"channel": place.id, "ts": message.ts, "message": place.shown(message, metadata=True)}

    def _post_ephemeral(self, workspace: Workspace, arguments: Arguments) -> Answer:
        place = self._place(workspace, arguments)
        if arguments.get("user") not in workspace.names:
            raise Refusal("user_not_in_channel")
        rules.check_message(arguments)
        ts = self.show_ephemeral(workspace, place, arguments["user"], arguments, arguments.get("thread_ts"))
        return {"message_ts": ts}

    def show_ephemeral(
        self, workspace: Workspace, place: Conversation, user: str, body: Arguments, thread: str | None = None
    ) -> str:
        """Show something to one person only; it is in no history."""
        ts = self._host.clock.next()
        post = Post(ts, f"{workspace.id}/{place.id}", thread, [visible(body)], ephemeral_for=user, extra=dict(body))
        self._count_buttons(body)
        self._host.posts.append(post)
        return ts

    def show_to_all(self, workspace: Workspace, place: Conversation, body: Arguments) -> str:
        """Write into a conversation by a response_url: that works where the bot is no member, too."""
        return self._write(workspace, place, body, None, body.get("metadata")).ts

    def _update(self, workspace: Workspace, arguments: Arguments) -> Answer:
        place = self._place(workspace, arguments)
        message = self._own(workspace, place, arguments, "cant_update_message")
        if self._alive(message):
            raise Refusal("streaming_state_conflict")
        rules.check_message(arguments)
        rules.check_update(arguments)
        self._cut(arguments)
        # What is not named stays: an update with a text alone would go on showing the blocks of before.
        for key in ("text", "blocks", "markdown_text"):
            if arguments.get(key) is not None:
                message.body[key] = arguments[key]
        message.body.pop("streamed", None)
        if "metadata" in arguments:
            message.metadata = arguments["metadata"]
        self._changed(workspace, place, message)
        return {"channel": place.id, "ts": message.ts, "text": message.body.get("text", "")}

    def _delete(self, workspace: Workspace, arguments: Arguments) -> Answer:
        place = self._place(workspace, arguments)
        message = self._own(workspace, place, arguments, "cant_delete_message")
        del place.messages[message.ts]
        self._post_of(place, message.ts).deleted = True
        self._host.echo(workspace, place, message, "message_deleted")
        return {"channel": place.id, "ts": message.ts}

    def _start_stream(self, workspace: Workspace, arguments: Arguments) -> Answer:
        place = self._place(workspace, arguments)
        thread = arguments.get("thread_ts")
        if not thread:
            raise Refusal("invalid_arguments", response_metadata={"messages": ["[ERROR] missing required: thread_ts"]})
        if thread not in place.messages:
            raise Refusal("thread_not_found")
        if place.kind != "im":
            for name in ("recipient_team_id", "recipient_user_id"):
                if not arguments.get(name):
                    raise Refusal(f"missing_{name}")
        rules.check_markdown(arguments.get("markdown_text"))
        message = self._write(workspace, place, {"streamed": _said(arguments), "text": ""}, thread, None)
        message.streaming = True
        message.stream_shape = "chunks" if arguments.get("chunks") else "markdown_text"
        message.stream_ends = time.monotonic() + self._host.stream_life_s
        return {"channel": place.id, "ts": message.ts}

    def _append_stream(self, workspace: Workspace, arguments: Arguments) -> Answer:
        place = self._place(workspace, arguments)
        message = self._stream(workspace, place, arguments)
        text = _said(arguments)
        if not text.strip():
            raise Refusal("no_text")
        self._stream_on(message, text)
        self._changed(workspace, place, message)
        return {"channel": place.id, "ts": message.ts}

    def _stop_stream(self, workspace: Workspace, arguments: Arguments) -> Answer:
        place = self._place(workspace, arguments)
        message = self._stream(workspace, place, arguments)
        rules.check_blocks(arguments.get("blocks"))
        rules.check_metadata(arguments.get("metadata"))
        self._stream_on(message, _said(arguments))
        if arguments.get("blocks"):
            message.body["blocks"] = arguments["blocks"]
        message.metadata = arguments.get("metadata") or message.metadata
        message.streaming = False
        self._changed(workspace, place, message)
        return {"channel": place.id, "ts": message.ts, "message": place.shown(message, metadata=True)}

    def _stream(self, workspace: Workspace, place: Conversation, arguments: Arguments) -> Message:
        message = self._own(workspace, place, arguments, "message_not_owned_by_app")
        if message.stopped_by_user:
            raise Refusal("stopped_by_user")
        if not self._alive(message):
            raise Refusal("message_not_in_streaming_state")
        rules.check_markdown(arguments.get("markdown_text"))
        shape = "chunks" if arguments.get("chunks") else "markdown_text" if arguments.get("markdown_text") else None
        if shape and shape != message.stream_shape:
            raise Refusal("streaming_mode_mismatch")
        return message

    def _stream_on(self, message: Message, text: str) -> None:
        message.body["streamed"] += text
        self._look_for_pings({"text": message.body["streamed"]}, "a stream")

    def _alive(self, message: Message) -> bool:
        if message.streaming and time.monotonic() >= message.stream_ends:
            message.streaming = False
        return message.streaming

    def _set_status(self, workspace: Workspace, arguments: Arguments) -> Answer:
        place, thread = self._assistant_thread(workspace, arguments)
        if len(arguments.get("loading_messages") or []) > rules.LOADING_MESSAGES:
            raise Refusal("invalid_arguments")
        self._host.statuses[place.id, thread] = arguments.get("status", "")
        if arguments.get("status"):
            self._host.signs.append((f"{workspace.id}/{place.id}", time.monotonic()))
        return {}

    def _set_title(self, workspace: Workspace, arguments: Arguments) -> Answer:
        place, thread = self._assistant_thread(workspace, arguments)
        if not arguments.get("title"):
            raise Refusal("invalid_arguments")
        self._host.titles[place.id, thread] = arguments["title"]
        return {}

    def _set_prompts(self, workspace: Workspace, arguments: Arguments) -> Answer:
        self._place(workspace, arguments)
        prompts = arguments.get("prompts") or []
        if not 0 < len(prompts) <= 4 or not all(p.get("title") and p.get("message") for p in prompts):
            raise Refusal("invalid_arguments")
        self._host.prompts.append(arguments)
        return {}

    def _assistant_thread(self, workspace: Workspace, arguments: Arguments) -> tuple[Conversation, str]:
        place = self._place(workspace, arguments)
        thread = arguments.get("thread_ts")
        if not thread or thread not in place.messages:
            raise Refusal("invalid_thread_ts")
        return place, thread

    def _add_reaction(self, workspace: Workspace, arguments: Arguments) -> Answer:
        place, users = self._reactors(workspace, arguments)
        if workspace.bot_user in users:
            raise Refusal("already_reacted")
        users.append(workspace.bot_user)
        self._host.signs.append((f"{workspace.id}/{place.id}", time.monotonic()))
        return {}

    def _remove_reaction(self, workspace: Workspace, arguments: Arguments) -> Answer:
        _, users = self._reactors(workspace, arguments)
        if workspace.bot_user not in users:
            raise Refusal("no_reaction")
        users.remove(workspace.bot_user)
        return {}

    def _reactors(self, workspace: Workspace, arguments: Arguments) -> tuple[Conversation, list[str]]:
        place = self._place(workspace, arguments)
        message = place.messages.get(arguments.get("timestamp", ""))
        if message is None:
            raise Refusal("message_not_found")
        return place, message.reactions.setdefault(arguments["name"], [])

    def _replies(self, workspace: Workspace, arguments: Arguments) -> Answer:
        place = self._place(workspace, arguments)
        if arguments.get("ts") not in place.messages:
            raise Refusal("thread_not_found")
        root, *replies = place.thread(arguments["ts"])
        return _page(place, [root, *_between(replies, arguments)], arguments)

    def _history(self, workspace: Workspace, arguments: Arguments) -> Answer:
        place = self._place(workspace, arguments)
        return _page(place, list(reversed(_between(place.top_level(), arguments))), arguments)

    def _info(self, workspace: Workspace, arguments: Arguments) -> Answer:
        place = self._place(workspace, arguments, reading=True)
        return {"channel": {"id": place.id, "is_im": place.kind == "im", "name": place.id.lower(), "user": place.user}}

    def _list(self, workspace: Workspace, arguments: Arguments) -> Answer:
        kinds = arguments.get("types", "public_channel").split(",")
        found = [c for c in workspace.conversations.values() if c.kind in kinds]
        start, limit = int(arguments.get("cursor") or 0), int(arguments.get("limit") or 100)
        more = str(start + limit) if start + limit < len(found) else ""
        shown = [{"id": c.id, "is_im": c.kind == "im", "user": c.user} for c in found[start : start + limit]]
        return {"channels": shown, "response_metadata": {"next_cursor": more}}

    def _user(self, workspace: Workspace, arguments: Arguments) -> Answer:
        name = workspace.names.get(arguments.get("user", ""))
        if name is None:
            raise Refusal("user_not_found")
        profile = {"display_name": name, "real_name": f"{name} Example"}
        return {"user": {"id": arguments["user"], "name": name.lower(), "real_name": name, "profile": profile}}

    def _place(self, workspace: Workspace, arguments: Arguments, *, reading: bool = False) -> Conversation:
        place = workspace.conversations.get(arguments.get("channel") or arguments.get("channel_id") or "")
        if place is None:
            raise Refusal("channel_not_found")
        if place.archived and not reading:
            raise Refusal("is_archived")
        if not place.bot_is_in:
            raise Refusal("not_in_channel" if place.kind == "channel" else "channel_not_found")
        return place

    def _own(self, workspace: Workspace, place: Conversation, arguments: Arguments, otherwise: str) -> Message:
        message = place.messages.get(arguments.get("ts", ""))
        if message is None:
            raise Refusal("message_not_found")
        if message.author != workspace.bot_user:
            raise Refusal(otherwise)
        return message

    def _write(
        self, workspace: Workspace, place: Conversation, body: Answer, thread: str | None, metadata: Answer | None
    ) -> Message:
        own = {"bot_id": workspace.bot_id, "app_id": APP, "team": workspace.id}
        message = Message(self._host.clock.next(), workspace.bot_user, own | body, thread, metadata)
        place.messages[message.ts] = message
        self._host.statuses.pop((place.id, thread or message.ts), None)
        self._count_buttons(body)
        space = f"{workspace.id}/{place.id}"
        self._host.posts.append(Post(message.ts, space, thread, [visible(body)], reply_to=thread, extra=message.body))
        self._host.echo(workspace, place, message, "")
        return message

    def _changed(self, workspace: Workspace, place: Conversation, message: Message) -> None:
        self._post_of(place, message.ts).texts.append(visible(message.body))
        self._count_buttons(message.body)
        self._host.echo(workspace, place, message, "message_changed")

    def _post_of(self, place: Conversation, ts: str) -> Post:
        return next(p for p in self._host.posts if p.id == ts and p.space == f"{place.team}/{place.id}")

    def _count_buttons(self, body: Arguments) -> None:
        blocks = body.get("blocks") or []
        self._host.feedback_buttons += any(block["type"] == "context_actions" for block in blocks)

    def _cut(self, arguments: Arguments) -> None:
        text = arguments.get("text") or ""
        if len(text) > rules.TEXT_CUT:
            self._host.violations.append(f"a text of {len(text)} characters was cut")
            arguments["text"] = text[: rules.TEXT_CUT]


def _said(arguments: Arguments) -> str:
    chunks = [chunk["text"] for chunk in arguments.get("chunks") or [] if chunk.get("type") == "markdown_text"]
    return "".join(chunks) or arguments.get("markdown_text") or ""


def _between(messages: list[Message], arguments: Arguments) -> list[Message]:
    inclusive = str(arguments.get("inclusive")) in ("1", "True", "true")
    oldest, latest = float(arguments.get("oldest") or 0), float(arguments.get("latest") or "inf")
    return [m for m in messages if oldest < float(m.ts) < latest or (inclusive and float(m.ts) in (oldest, latest))]


def _page(place: Conversation, messages: list[Message], arguments: Arguments) -> Answer:
    start, limit = int(arguments.get("cursor") or 0), int(arguments.get("limit") or 100)
    with_metadata = str(arguments.get("include_all_metadata")) in ("1", "True", "true")
    shown = [place.shown(m, metadata=with_metadata) for m in messages[start : start + limit]]
    more = start + limit < len(messages)
    answer: Answer = {"messages": shown, "has_more": more}
    return answer | ({"response_metadata": {"next_cursor": str(start + limit)}} if more else {})
