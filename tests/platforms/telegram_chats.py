"""Chats, users and messages of the Telegram double, in the form that the Bot API gives them."""

import time
from dataclasses import dataclass, field
from typing import Any

BOT_ID = 7000000001
BOT = {"id": BOT_ID, "is_bot": True, "first_name": "Rapport", "username": "RapportTestBot"}
GROUP = -1002000000001
FORUM = -1002000000002
TOPIC = 77
Json = dict[str, Any]


@dataclass
class Chat:
    """One chat. ``refusal`` is (status, description) while the bot may not write there."""

    id: int
    kind: str
    name: str
    forum: bool = False
    messages: dict[int, Json] = field(default_factory=dict)
    topics: dict[int, str] = field(default_factory=dict)
    refusal: tuple[int, str] | None = None
    migrated_to: int | None = None

    @property
    def json(self) -> Json:
        """The chat as it stands in messages."""
        if self.kind == "private":
            return {"id": self.id, "type": "private", "first_name": self.name}
        return {"id": self.id, "type": self.kind, "title": self.name} | ({"is_forum": True} if self.forum else {})


class Chats:
    """All chats and people. Message ids count per chat."""

    def __init__(self) -> None:
        self.users: dict[str, Json] = {}
        self.chats = {
            GROUP: Chat(GROUP, "supergroup", "Testers"),
            FORUM: Chat(FORUM, "supergroup", "Forum", forum=True, topics={TOPIC: "Garden"}),
        }
        forum = self.chats[FORUM]
        # The service message that begins a topic: every message in the topic that answers nothing "answers" it.
        forum.messages[TOPIC] = {
            "message_id": TOPIC,
            "date": int(time.time()),
            "chat": forum.json,
            "from": BOT,
            "forum_topic_created": {"name": "Garden", "icon_color": 7322096},
            "message_thread_id": TOPIC,
            "is_topic_message": True,
        }

    def user(self, name: str) -> Json:
        """Return a person, made on first use; who has a name that ends in "bot" is another bot."""
        if name not in self.users:
            number = 1001 + len(self.users)
            is_bot = name.lower().endswith("bot")
            self.users[name] = {
                "id": number,
                "is_bot": is_bot,
                "first_name": name.capitalize(),
                "username": f"{name}_tester" if not is_bot else name,
                "language_code": "en",
            }
            self.chats[number] = Chat(number, "private", name.capitalize())
        return self.users[name]

    def place(self, place: str, user: str) -> tuple[Chat, int | None]:
        """Return the chat and topic that a place of base.Double stands for."""
        person = self.user(user)
        if place == "direct":
            return self.chats[person["id"]], None
        return (self.chats[GROUP], None) if place == "group" else (self.chats[FORUM], TOPIC)

    def make(self, chat: Chat, sender: Json, thread: int | None, fields: Json) -> Json:
        """Add a message to a chat and return it."""
        number = max(chat.messages, default=0) + 1
        message = {"message_id": number, "from": sender, "chat": chat.json, "date": int(time.time())} | fields
        if thread is not None:
            message |= {"message_thread_id": thread, "is_topic_message": True}
            message.setdefault("reply_to_message", chat.messages[thread])
        chat.messages[number] = message
        return message


def without_quote(message: Json) -> Json:
    """Return a message as it stands within another: a quoted message quotes nothing itself."""
    return {key: value for key, value in message.items() if key != "reply_to_message"}
