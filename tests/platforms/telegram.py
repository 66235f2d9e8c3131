"""A double of the Telegram Bot API, as python-telegram-bot speaks it over HTTP: polling, webhook, and strictness.

Here are the server and what people do; the other files telegram_*.py hold methods, updates, chats, text and rates.
Points beyond those of base: ``delivering``, ``delivered``, ``acknowledged`` (the offset passed it, or the webhook
answered 2xx). The names "post", "edit", "delete" and "sign" stand for the methods that do this here.
"""

import asyncio
import itertools
import json
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from aiohttp import web

from tests.platforms.base import Double, Dropped, Kind, Place, Post
from tests.platforms.telegram_chats import BOT, BOT_ID, FORUM, GROUP, Chat, Chats, Json, without_quote
from tests.platforms.telegram_methods import Methods, Refused
from tests.platforms.telegram_rates import Rates
from tests.platforms.telegram_text import MAX_TEXT, find, units
from tests.platforms.telegram_updates import Conflict, Updates

T = TypeVar("T")
TOKEN = f"{BOT_ID}:AAFak3TokenOfTheDoubleThatNobodyElseHas"
NAME = str(BOT["username"])
ALIASES = {"post": "sendMessage", "edit": "editMessageText", "delete": "deleteMessage", "sign": "sendChatAction"}
JSON_ARGUMENTS = {"allowed_updates", "commands", "entities", "link_preview_options", "reply_markup"}
JSON_ARGUMENTS |= {"reply_parameters", "scope", "drop_pending_updates", "disable_notification"}
DELIVERED_AFTER_S = 0.005  # for the answer of getUpdates to reach the bot


class TelegramDouble(Double):
    """The platform. ``methods`` and ``updates`` may be looked at and turned by tests."""

    name = "telegram"
    text_limit = MAX_TEXT

    def __init__(self) -> None:
        super().__init__()
        self.token = TOKEN
        self.chats = Chats()
        self.rates = Rates(self.violations)
        self.updates = Updates(self.reach, self.acknowledged)
        self.methods = Methods(self.chats, self.updates, self.rates, self.posts)
        self.methods.signs = self.signs
        self._last_poll = 0.0
        self._reactions: dict[tuple[str, str], str] = {}
        self._queries = itertools.count(1)

    def application(self) -> web.Application:
        app = web.Application(client_max_size=4 * 2**20)
        app.router.add_route("*", "/bot{token}/{method}", self._handle)
        app.on_shutdown.append(self.updates.end)
        return app

    @property
    def environment(self) -> dict[str, str]:
        return {"TELEGRAM_BOT_TOKEN": self.token, "TELEGRAM_API_URL": f"http://127.0.0.1:{self.port}"}

    @property
    def privacy(self) -> bool:
        """Whether the bot's privacy mode is on, as BotFather has it at first. Here it is off unless a test says so."""
        return not self.methods.me["can_read_all_group_messages"]

    @privacy.setter
    def privacy(self, on: bool) -> None:
        self.methods.me["can_read_all_group_messages"] = not on

    def connected(self) -> bool:
        return bool(self.updates.webhook) or self.updates.polled or time.monotonic() - self._last_poll < 1

    def fault(self, method: str, kind: Kind, times: int = 1, wait_s: float = 0.0) -> None:
        super().fault(ALIASES.get(method, method), kind, times, wait_s)

    def at(self, point: str, action: Callable[[], None]) -> None:
        when, found, method = point.partition(":")
        super().at(f"{when}:{ALIASES.get(method, method)}" if found else point, action)

    def say(self, text: str, *, user: str = "ada", place: Place = "direct", **how: Any) -> str:
        """See base; ``how``: mention, reply_to (a message's identity), fields (of the message, such as a photo).

        In "thread" the person answers the bot's last post in the topic, or mentions it if there is none. A text of
        more than 4096 units is sent in parts, as clients do; the identity is that of the last one.
        """
        return self._on_loop(lambda: self._say(text, user, place, how))

    def redeliver(self, message: str) -> None:
        self._on_loop(lambda: self.updates.add_again(message))

    def seen_by(self, user: str = "ada", place: Place = "direct") -> list[Post]:
        chat, thread = self.chats.place(place, user)
        return [
            post
            for post in self.posts
            if (post.space, post.thread) == (str(chat.id), str(thread) if thread else None) and not post.deleted
        ]

    def edit(self, message: str, text: str) -> None:
        """A person changes a message."""

        def change() -> None:
            body = self._message(message)
            body |= {"text": text, "entities": find(text), "edit_date": int(time.time())}
            self.updates.add("edited_message", body, f"{message}:edit")

        self._on_loop(change)

    def album(self, captions: list[str], *, user: str = "ada", place: Place = "direct") -> list[str]:
        """A person sends pictures together; return their identities."""
        group = str(next(self._queries))
        photo = {"photo": [{"file_id": "p", "file_unique_id": "p", "width": 90, "height": 90}], "media_group_id": group}
        return [
            self.say(caption, user=user, place=place, fields=photo, mention=number == 0)
            for number, caption in enumerate(captions)
        ]

    def press(self, post: Post, button: str, user: str = "ada") -> str:
        """A person presses the inline button whose text contains this; return the query's id."""

        def press() -> str:
            message = self._message(post.id)
            rows = message["reply_markup"]["inline_keyboard"]
            found = next(item for row in rows for item in row if button in item["text"])
            query = str(next(self._queries))
            self.methods.open_callbacks.add(query)
            body = {"id": query, "from": self.chats.user(user), "chat_instance": "1", "data": found["callback_data"]}
            self.updates.add("callback_query", body | {"message": dict(message)}, f"query:{query}")
            return query

        return self._on_loop(press)

    def react(self, post: Post, emoji: str | None, user: str = "ada") -> None:
        """A person sets their one reaction on a post, in place of an earlier one, or with None takes it back."""
        before = self._reactions.pop((post.id, user), None)
        if emoji:
            self._reactions[post.id, user] = emoji
        as_list = [[{"type": "emoji", "emoji": one}] if one else [] for one in (before, emoji)]
        message = self._message(post.id)
        body = {"chat": message["chat"], "message_id": message["message_id"], "user": self.chats.user(user)}
        body |= {"date": int(time.time()), "old_reaction": as_list[0], "new_reaction": as_list[1]}
        self._on_loop(lambda: self.updates.add("message_reaction", body, f"reaction:{post.id}"))

    def forbid(self, place: Place = "direct", user: str = "ada", why: str = "bot was blocked by the user") -> None:
        """The bot may no longer write at a place."""
        self.chats.place(place, user)[0].refusal = (403, f"Forbidden: {why}")

    def allow(self, place: Place = "direct", user: str = "ada") -> None:
        """The bot may write there again."""
        self.chats.place(place, user)[0].refusal = None

    def migrate(self, new: int) -> Chat:
        """The group gets a new id, as when it becomes a supergroup; return the new chat."""
        old = self.chats.chats[GROUP]
        self.chats.chats[new] = Chat(new, "supergroup", old.name)
        old.migrated_to = new
        return self.chats.chats[new]

    def remove(self, post: Post) -> None:
        """Somebody deletes a post of the bot."""
        self._on_loop(lambda: self.chats.chats[int(post.space)].messages.pop(int(post.id.partition(":")[2])))
        post.deleted = True

    def raw(self, kind: str, body: Json, name: str = "raw") -> None:
        """Put any update into the queue."""
        self._on_loop(lambda: self.updates.add(kind, body, name))

    def _on_loop(self, do: Callable[[], T]) -> T:
        if threading.current_thread() is self._thread:  # an action at a point
            return do()

        async def on_loop() -> T:
            return do()

        return self.run(on_loop())

    def _message(self, identity: str) -> Json:
        chat, _, number = identity.partition(":")
        return self.chats.chats[int(chat)].messages[int(number)]

    def _say(self, text: str, user: str, place: Place, how: Json) -> str:
        chat, thread = self.chats.place(place, user)
        sender = self.chats.user(user)
        fields: Json = dict(how.get("fields") or {})
        quoted = how.get("reply_to") or (self._last_post(chat, thread) if place == "thread" else None)
        if quoted:
            fields["reply_to_message"] = without_quote(self._message(quoted))
        elif place != "direct" and how.get("mention", True) and not text.startswith("/"):
            text = f"@{NAME} {text}"
        key = "caption" if {"photo", "voice", "video", "document", "audio", "animation"} & fields.keys() else "text"
        for part in _client_parts(text):
            entities = fields.get("entities") or find(part)
            content = {key: part} | (
                {"entities" if key == "text" else "caption_entities": entities} if entities else {}
            )
            message = self.chats.make(chat, sender, thread, fields | (content if part else {}))
            identity = f"{chat.id}:{message['message_id']}"
            if chat.kind == "private" or not self.privacy or self._is_for_bot(message):
                self.updates.add("message", message, identity)
        return identity

    def _last_post(self, chat: Chat, thread: int | None) -> str | None:
        there = [p for p in self.posts if (p.space, p.thread) == (str(chat.id), str(thread)) and not p.deleted]
        return there[-1].id if there else None

    @staticmethod
    def _is_for_bot(message: Json) -> bool:
        """Say what privacy mode lets through: commands, and answers to the bot.

        BotFather says that mentions by name come too; those who tried found that they do not.
        """
        text = message.get("text") or message.get("caption") or ""
        command = text.split(maxsplit=1)[0] if text.startswith("/") else ""
        if command and "@" in command:
            return command.partition("@")[2].lower() == NAME.lower()
        quoted = message.get("reply_to_message") or {}
        to_bot = quoted.get("from", {}).get("id") == BOT_ID and "forum_topic_created" not in quoted
        return bool(command) or to_bot

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        arguments = await _arguments(request)
        if request.match_info["token"] != self.token:
            return _error(401, "Unauthorized")

        async def do() -> web.StreamResponse:
            try:
                if method.lower() == "getupdates":
                    return await self._poll(request, arguments)
                result = self.methods.call(method, arguments)
            except Refused as refused:
                return _error(refused.status, refused.description, **refused.parameters)
            except Conflict as conflict:
                return _error(409, f"Conflict: {conflict}")
            self.feedback_buttons = sum(bool(post.extra.get("markup")) for post in self.posts)
            return web.json_response({"ok": True, "result": result})

        def flood(wait_s: float) -> web.StreamResponse:
            seconds = self.rates.flood(int(arguments.get("chat_id") or 0), wait_s)
            return _error(429, f"Too Many Requests: retry after {seconds}", retry_after=seconds)

        def refuse() -> web.StreamResponse:
            where = "by the user" if int(arguments.get("chat_id") or 0) > 0 else "from the supergroup chat"
            return _error(403, f"Forbidden: bot was {'blocked' if 'user' in where else 'kicked'} {where}")

        try:
            return await self.answer(
                method, arguments, do, flood=flood, error=lambda: _error(500, "Internal Server Error"), refuse=refuse
            )
        except Dropped:
            if request.transport:
                request.transport.abort()
            return web.Response()

    async def _poll(self, request: web.Request, arguments: Json) -> web.StreamResponse:
        if "allowed_updates" in arguments:
            self.updates.allowed = arguments["allowed_updates"] or None
        self._last_poll = time.monotonic()
        found = await self.updates.poll(
            int(arguments.get("offset") or 0),
            min(100, int(arguments.get("limit") or 100)),
            float(arguments.get("timeout") or 0),
            lambda: request.transport is None or request.transport.is_closing(),
        )
        self._last_poll = time.monotonic()
        if found:
            asyncio.get_running_loop().call_later(DELIVERED_AFTER_S, self.reach, "delivered")
        return web.json_response({"ok": True, "result": found})


async def _arguments(request: web.Request) -> Json:
    """Return what a call was given: query, form or JSON, with the values that are JSON decoded."""
    given: Json = dict(request.query)
    if request.content_type == "application/json":
        return given | await request.json()
    given |= dict(await request.post())
    return {name: json.loads(value) if name in JSON_ARGUMENTS else value for name, value in given.items()}


def _error(status: int, description: str, **parameters: Any) -> web.Response:
    body: Json = {"ok": False, "error_code": status, "description": description}
    return web.json_response(body | ({"parameters": parameters} if parameters else {}), status=status)


def _client_parts(text: str) -> list[str]:
    """Return the messages that a client makes of what somebody writes or pastes."""
    parts = []
    while units(text) > MAX_TEXT:
        cut = MAX_TEXT
        while units(text[:cut]) > MAX_TEXT:
            cut -= 1
        parts.append(text[:cut])
        text = text[cut:]
    return [*parts, text]


__all__ = ["FORUM", "GROUP", "NAME", "TOKEN", "TelegramDouble"]
