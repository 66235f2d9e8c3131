"""What there is on the Discord of the double: people, a server with its channels, direct messages, and their JSON.

The double of the platform is in discord.py; this file knows nothing of HTTP or the gateway.
"""

import itertools
import re
import time
from datetime import UTC, datetime
from typing import Any

EPOCH_MS = 1_420_070_400_000
TEXT, DIRECT, PUBLIC_THREAD, STAGE = 0, 1, 11, 13
DEFAULT_TYPE, REPLY_TYPE = 0, 19
EPHEMERAL = 64
ALL_PERMISSIONS = str((1 << 50) - 1)
USER_MENTION = re.compile(r"<@!?(\d+)>")
ROLE_MENTION = re.compile(r"<@&(\d+)>")
Json = dict[str, Any]


def snowflake_of(moment: float, count: int = 0) -> str:
    """Return the id of something made at this time (seconds since 1970)."""
    return str(((int(moment * 1000) - EPOCH_MS) << 22) | (count & 0x3FFFFF))


class World:
    """All state but connections and limits. Ids are strings, as on the wire."""

    def __init__(self) -> None:
        self._count = itertools.count(1)
        self.users: dict[str, Json] = {}
        self.channels: dict[str, Json] = {}
        self.messages: dict[str, list[Json]] = {}
        self.directs: dict[str, str] = {}  # user id -> channel id
        self.bot = self._new_user("Rapport", bot=True)
        self.guild_id = self.snowflake()
        self.role_id = self.snowflake()  # the role that Discord makes for a bot
        self.other_role_id = self.snowflake()
        self.general = self._new_channel(TEXT, "general")
        self.quiet = self._new_channel(TEXT, "quiet")
        self.stage = self._new_channel(STAGE, "stage")
        self.channels[self.stage] |= {"bitrate": 64000, "user_limit": 0, "rtc_region": None}
        self.thread = self.new_thread(self.general, "talk", joined=True)
        self.foreign_thread = self.new_thread(self.general, "others", joined=False)

    def snowflake(self, moment: float | None = None) -> str:
        return snowflake_of(time.time() if moment is None else moment, next(self._count))

    def user(self, name: str) -> Json:
        """Return a person, made on first use."""
        return self.users.get(name) or self._new_user(name)

    def name_of(self, user_id: str) -> str:
        return next((name for name, user in self.users.items() if user["id"] == user_id), user_id)

    def direct(self, name: str) -> str:
        """Return the channel of direct messages with this person, made on first use."""
        user = self.user(name)
        if user["id"] not in self.directs:
            channel_id = self.snowflake()
            self.directs[user["id"]] = channel_id
            self.channels[channel_id] = {
                "id": channel_id, "type": DIRECT, "recipients": [user], "last_message_id": None, "flags": 0
            }  # fmt: skip
            self.messages[channel_id] = []
        return self.directs[user["id"]]

    def new_thread(
        self, parent: str, name: str, *, joined: bool, thread_id: str | None = None, owner: str = "ada"
    ) -> str:
        thread_id = thread_id or self.snowflake()
        now = datetime.now(UTC).isoformat()
        self.channels[thread_id] = {
            "id": thread_id, "type": PUBLIC_THREAD, "guild_id": self.guild_id, "parent_id": parent, "name": name,
            "owner_id": self.user(owner)["id"], "last_message_id": None, "message_count": 0, "flags": 0,
            "member_count": 2,
            "rate_limit_per_user": 0, "total_message_sent": 0,
            "thread_metadata": {"archived": False, "auto_archive_duration": 1440, "archive_timestamp": now,
                                "locked": False, "create_timestamp": now},
        }  # fmt: skip
        if joined:
            self.join(thread_id)
        self.messages[thread_id] = []
        return thread_id

    def join(self, thread_id: str) -> None:
        """The bot takes part in this thread from now on."""
        self.channels[thread_id]["member"] = {
            "id": thread_id, "user_id": self.bot["id"], "join_timestamp": datetime.now(UTC).isoformat(), "flags": 1
        }  # fmt: skip

    def guild(self) -> Json:
        """Return the server as GUILD_CREATE has it."""
        role = {"color": 0, "hoist": False, "position": 1, "managed": False, "mentionable": True, "flags": 0}
        bot_role = role | {"id": self.role_id, "name": "Rapport", "permissions": ALL_PERMISSIONS, "managed": True,
                           "tags": {"bot_id": self.bot["id"]}}  # fmt: skip
        other = role | {"id": self.other_role_id, "name": "cooks", "permissions": "0"}
        everyone = role | {"id": self.guild_id, "name": "@everyone", "permissions": ALL_PERMISSIONS, "position": 0}
        places = [c for c in self.channels.values() if c.get("guild_id")]
        return {
            "id": self.guild_id, "name": "Kitchen", "owner_id": self.user("ada")["id"], "unavailable": False,
            "roles": [everyone, bot_role, other], "emojis": [], "stickers": [], "features": [], "large": False,
            "member_count": 3, "joined_at": datetime.now(UTC).isoformat(), "verification_level": 0,
            "default_message_notifications": 0, "explicit_content_filter": 0, "mfa_level": 0, "premium_tier": 0,
            "nsfw_level": 0, "system_channel_flags": 0, "preferred_locale": "en-US", "afk_timeout": 300,
            "members": [self._member(self.bot) | {"user": self.bot, "roles": [self.role_id]}],
            "channels": [c for c in places if c["type"] in (TEXT, STAGE)],
            "threads": [c for c in places if c["type"] == PUBLIC_THREAD],
            "presences": [], "voice_states": [], "stage_instances": [], "guild_scheduled_events": [],
            "soundboard_sounds": [],
        }  # fmt: skip

    def new_message(self, channel_id: str, author: Json, content: str, **more: Any) -> Json:
        """Make a message, keep it, and return it as the REST interface shows it."""
        message_id = more.pop("id", None) or self.snowflake()
        now = datetime.now(UTC).isoformat()
        message: Json = {
            "id": message_id, "channel_id": channel_id, "author": author, "content": content, "timestamp": now,
            "edited_timestamp": None, "tts": False, "mention_everyone": False, "pinned": False, "type": DEFAULT_TYPE,
            "mentions": self._mentioned(content), "mention_roles": ROLE_MENTION.findall(content), "attachments": [],
            "embeds": [], "components": [], "flags": 0,
        } | more  # fmt: skip
        if reference := more.get("message_reference"):
            target = self.find(reference.get("channel_id", channel_id), reference["message_id"])
            message |= {"type": REPLY_TYPE, "referenced_message": target}
            message["message_reference"] = {"type": 0, "channel_id": channel_id} | reference
        if not message["flags"] & EPHEMERAL:
            self.messages[channel_id].append(message)
            self.channels[channel_id]["last_message_id"] = message_id
        return message

    def find(self, channel_id: str, message_id: str) -> Json | None:
        return next((m for m in self.messages.get(channel_id, []) if m["id"] == message_id), None)

    def at_gateway(self, message: Json) -> Json:
        """Return a message as MESSAGE_CREATE has it."""
        guild_id = self.channels[message["channel_id"]].get("guild_id")
        if not guild_id:
            return message
        mentions = [user | {"member": self._member(user)} for user in message["mentions"]]
        return message | {"guild_id": guild_id, "member": self._member(message["author"]), "mentions": mentions}

    def kept_back(self, message: Json) -> Json:
        """Return a message as bots without the message content intent get it."""
        direct = self.channels[message["channel_id"]]["type"] == DIRECT
        mentioned = [user["id"] for user in message["mentions"]]
        if direct or message["author"]["id"] == self.bot["id"] or self.bot["id"] in mentioned:
            return message
        nothing: Json = {"content": "", "attachments": [], "embeds": [], "components": []}
        forwarded = [one | {"message": one["message"] | nothing} for one in message.get("message_snapshots", ())]
        kept = {name: value for name, value in message.items() if name != "poll"}
        return kept | nothing | ({"message_snapshots": forwarded} if forwarded else {})

    def member(self, name: str) -> Json:
        return self._member(self.user(name)) | {"user": self.user(name), "permissions": ALL_PERMISSIONS}

    def _member(self, user: Json) -> Json:
        now = datetime.now(UTC).isoformat()
        return {"nick": None, "roles": [], "joined_at": now, "deaf": False, "mute": False, "flags": 0}

    def _mentioned(self, content: str) -> list[Json]:
        ids = dict.fromkeys(USER_MENTION.findall(content))
        return [user for user in self.users.values() if user["id"] in ids]

    def _new_user(self, name: str, *, bot: bool = False) -> Json:
        user: Json = {"id": self.snowflake(), "username": name, "global_name": None if bot else name.title()}
        user |= {"discriminator": "0", "avatar": None, "public_flags": 0, "flags": 0}
        self.users[name] = user | {"bot": True} if bot else user
        return self.users[name]

    def _new_channel(self, kind: int, name: str) -> str:
        channel_id = self.snowflake()
        self.channels[channel_id] = {
            "id": channel_id, "type": kind, "guild_id": self.guild_id, "name": name, "position": 0, "topic": None,
            "permission_overwrites": [], "nsfw": False, "rate_limit_per_user": 0, "last_message_id": None, "flags": 0,
            "parent_id": None,
        }  # fmt: skip
        self.messages[channel_id] = []
        return channel_id
