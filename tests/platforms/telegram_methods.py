"""The methods of the Bot API that the double knows, with the checks and the error texts of the real one."""

import re
import time
from collections.abc import Callable
from typing import Any

from tests.platforms.base import Post
from tests.platforms.telegram_chats import BOT, BOT_ID, Chat, Chats, Json, without_quote
from tests.platforms.telegram_rates import Rates
from tests.platforms.telegram_text import BadText, Formatted, read, units
from tests.platforms.telegram_updates import Updates

CALLBACK_BYTES = 64
MAX_COMMANDS = 100
COMMAND_NAME = re.compile(r"[a-z0-9_]{1,32}")
SECRET = re.compile(r"[A-Za-z0-9_-]{0,256}")


class Refused(Exception):
    """An answer with ok: false."""

    def __init__(self, status: int, description: str, **parameters: Any) -> None:
        super().__init__(description)
        self.status = status
        self.description = description
        self.parameters = parameters


class Methods:
    """One function per method, named as the Bot API names it in lower case."""

    def __init__(self, chats: Chats, updates: Updates, rates: Rates, posts: list[Post]) -> None:
        self.me: Json = BOT | {
            "can_join_groups": True,
            "can_read_all_group_messages": True,
            "supports_inline_queries": False,
            "has_topics_enabled": False,
        }
        self.commands: dict[str, list[Json]] = {}
        self.commands_allowed = MAX_COMMANDS
        self.answered_callbacks: list[Json] = []
        self.open_callbacks: set[str] = set()
        self.signs: list[tuple[str, float]] = []
        self._chats = chats
        self._updates = updates
        self._rates = rates
        self._posts = posts

    def call(self, method: str, arguments: Json) -> Any:
        """Run a method; raises Refused."""
        function: Callable[[Json], Any] | None = getattr(self, f"_{method.lower()}", None)
        if function is None or method.startswith("_"):
            raise Refused(404, "Not Found: method not found")
        return function(arguments)

    def _getme(self, _: Json) -> Json:
        return self.me

    def _sendmessage(self, arguments: Json) -> Json:
        chat = self._writable(arguments)
        thread = arguments.get("message_thread_id")
        if thread is not None and int(thread) not in chat.topics:
            raise Refused(400, "Bad Request: message thread not found")
        quoted = self._quoted(chat, arguments.get("reply_parameters") or {})
        formatted = self._formatted(arguments)
        markup = self._markup(arguments)
        self._slowly(chat)
        fields: Json = {"text": formatted.text, **markup}
        if formatted.entities:
            fields["entities"] = formatted.entities
        if quoted:
            fields["reply_to_message"] = without_quote(quoted)
        message = self._chats.make(chat, BOT, int(thread) if thread is not None else None, fields)
        self._posts.append(
            Post(
                id=f"{chat.id}:{message['message_id']}",
                space=str(chat.id),
                thread=str(thread) if thread is not None else None,
                texts=[formatted.text],
                reply_to=f"{chat.id}:{quoted['message_id']}" if quoted else None,
                extra={
                    "entities": formatted.entities,
                    "markup": markup.get("reply_markup"),
                    "silent": bool(arguments.get("disable_notification")),
                    "preview": not (arguments.get("link_preview_options") or {}).get("is_disabled", False),
                },
            )
        )
        return message

    def _editmessagetext(self, arguments: Json) -> Json:
        chat = self._writable(arguments)
        message = self._own(chat, arguments, "edit")
        formatted = self._formatted(arguments, changed=True)
        markup = self._markup(arguments)
        now = (formatted.text, formatted.entities, markup.get("reply_markup"))
        if now == (message.get("text"), message.get("entities", []), message.get("reply_markup")):
            raise Refused(
                400,
                "Bad Request: message is not modified: specified new message content and reply markup are exactly "
                "the same as a current content and reply markup of the message",
            )
        self._slowly(chat)
        message.pop("reply_markup", None)
        message |= {"text": formatted.text, "entities": formatted.entities, "edit_date": int(time.time()), **markup}
        post = self._post(chat, message)
        post.texts.append(formatted.text)
        post.extra |= {"entities": formatted.entities, "markup": markup.get("reply_markup")}
        return message

    def _editmessagereplymarkup(self, arguments: Json) -> Json:
        chat = self._writable(arguments)
        message = self._own(chat, arguments, "edit")
        markup = self._markup(arguments)
        if markup.get("reply_markup") == message.get("reply_markup"):
            raise Refused(
                400,
                "Bad Request: message is not modified: specified new message content and reply markup "
                "are exactly the same as a current content and reply markup of the message",
            )
        self._slowly(chat)
        message.pop("reply_markup", None)
        message |= markup
        self._post(chat, message).extra["markup"] = markup.get("reply_markup")
        return message

    def _deletemessage(self, arguments: Json) -> bool:
        chat = self._writable(arguments)
        message = self._own(chat, arguments, "delete")
        del chat.messages[message["message_id"]]
        self._post(chat, message).deleted = True
        return True

    def _sendchataction(self, arguments: Json) -> bool:
        chat = self._writable(arguments)
        if arguments.get("action") != "typing":
            raise Refused(400, "Bad Request: wrong parameter action in request")
        thread = arguments.get("message_thread_id")
        self._rates.look(chat.id)
        self.signs.append((f"{chat.id}/{thread}" if thread is not None else str(chat.id), time.monotonic()))
        return True

    def _answercallbackquery(self, arguments: Json) -> bool:
        query = str(arguments.get("callback_query_id"))
        if query not in self.open_callbacks:
            raise Refused(400, "Bad Request: query is too old and response timeout expired or query ID is invalid")
        if len(arguments.get("text") or "") > 200:
            raise Refused(400, "Bad Request: MESSAGE_TOO_LONG")
        self.open_callbacks.discard(query)
        self.answered_callbacks.append(dict(arguments))
        return True

    def _setmycommands(self, arguments: Json) -> bool:
        commands = arguments.get("commands") or []
        for command in commands:
            if not COMMAND_NAME.fullmatch(command["command"]):
                raise Refused(400, "Bad Request: BOT_COMMAND_INVALID")
            if not 1 <= len(command["description"]) <= 256:
                raise Refused(400, "Bad Request: BOT_COMMAND_DESCRIPTION_INVALID")
        if len(commands) > self.commands_allowed:
            raise Refused(400, "Bad Request: BOT_COMMANDS_TOO_MUCH")
        self.commands[_scope(arguments)] = commands
        return True

    def _getmycommands(self, arguments: Json) -> list[Json]:
        return self.commands.get(_scope(arguments), [])

    def _deletemycommands(self, arguments: Json) -> bool:
        self.commands.pop(_scope(arguments), None)
        return True

    def _setwebhook(self, arguments: Json) -> bool:
        if not SECRET.fullmatch(arguments.get("secret_token") or ""):
            raise Refused(400, "Bad Request: secret token contains unallowed characters")
        if "allowed_updates" in arguments:
            self._updates.allowed = arguments["allowed_updates"] or None
        if arguments.get("drop_pending_updates"):
            self._updates.drop_all()
        url = arguments.get("url") or ""
        self._updates.set_webhook(dict(arguments) if url else {})
        return True

    def _deletewebhook(self, arguments: Json) -> bool:
        return self._setwebhook({"drop_pending_updates": arguments.get("drop_pending_updates")})

    def _getwebhookinfo(self, _: Json) -> Json:
        info: Json = {
            "url": self._updates.webhook.get("url", ""),
            "has_custom_certificate": False,
            "pending_update_count": self._updates.pending,
        }
        if self._updates.last_error:
            info |= {"last_error_date": self._updates.last_error_at, "last_error_message": self._updates.last_error}
        return info

    def _getchat(self, arguments: Json) -> Json:
        return self._writable(arguments).json | {"accent_color_id": 0, "max_reaction_count": 11}

    def _getchatmember(self, arguments: Json) -> Json:
        self._writable(arguments)
        if int(arguments["user_id"]) != BOT_ID:
            raise Refused(400, "Bad Request: PARTICIPANT_ID_INVALID")
        return {"user": BOT, "status": "member"}

    def _writable(self, arguments: Json) -> Chat:
        chat = self._chats.chats.get(int(arguments.get("chat_id") or 0))
        if chat is None:
            raise Refused(400, "Bad Request: chat not found")
        if chat.migrated_to:
            raise Refused(
                400,
                "Bad Request: group chat was upgraded to a supergroup chat",
                migrate_to_chat_id=chat.migrated_to,
            )
        if chat.refusal:
            raise Refused(*chat.refusal)
        return chat

    def _own(self, chat: Chat, arguments: Json, verb: str) -> Json:
        message = chat.messages.get(int(arguments.get("message_id") or 0))
        if message is None:
            raise Refused(400, f"Bad Request: message to {verb} not found")
        if message["from"]["id"] != BOT_ID:
            raise Refused(400, f"Bad Request: message can't be {verb}{'d' if verb.endswith('e') else 'ed'}")
        return message

    def _post(self, chat: Chat, message: Json) -> Post:
        return next(post for post in self._posts if post.id == f"{chat.id}:{message['message_id']}")

    @staticmethod
    def _quoted(chat: Chat, reply: Json) -> Json | None:
        if not reply:
            return None
        quoted = chat.messages.get(int(reply["message_id"]))
        if quoted is None and not reply.get("allow_sending_without_reply"):
            raise Refused(400, "Bad Request: message to be replied not found")
        return quoted

    @staticmethod
    def _formatted(arguments: Json, *, changed: bool = False) -> Formatted:
        given = arguments.get("text") or "", arguments.get("parse_mode"), arguments.get("entities")
        try:
            return read(*given, changed=changed)
        except BadText as error:
            raise Refused(400, f"Bad Request: {error}") from None

    @staticmethod
    def _markup(arguments: Json) -> Json:
        markup = arguments.get("reply_markup")
        if not markup or not markup.get("inline_keyboard"):
            return {}
        for button in [button for row in markup["inline_keyboard"] for button in row]:
            if len(str(button.get("callback_data", "")).encode()) > CALLBACK_BYTES:
                raise Refused(400, "Bad Request: BUTTON_DATA_INVALID")
            if not button.get("text") or units(button["text"]) > 64:
                raise Refused(400, "Bad Request: text buttons are unallowed in the inline keyboard")
        return {"reply_markup": markup}

    def _slowly(self, chat: Chat) -> None:
        wait = self._rates.check(chat.id)
        if wait is not None:
            raise Refused(429, f"Too Many Requests: retry after {wait}", retry_after=wait)


def _scope(arguments: Json) -> str:
    return f"{(arguments.get('scope') or {}).get('type', 'default')}/{arguments.get('language_code') or ''}"
