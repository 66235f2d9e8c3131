"""The REST interface of the double of Discord: every call that the bot may make, by its own short name.

The names are those for ``fault`` and ``at``: post, edit, delete, message, history, typing, thread, reaction, direct,
callback, original, followup, edit_followup, delete_followup, commands, put_commands, me, application, gateway, channel.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from aiohttp import web

from tests.platforms.base import Post
from tests.platforms.discord_rules import Rates, Refusal, check_commands, check_message, pings
from tests.platforms.discord_world import EPHEMERAL, Json, World

Handler = Callable[[dict[str, str], Json, dict[str, str]], Any]
NONCE_S = 180.0


@dataclass
class Interaction:
    """One interaction. ``said_at`` is when it was delivered; its token lives from then."""

    id: str
    token: str
    channel_id: str
    user: str
    said_at: float = field(default_factory=time.monotonic)
    answer_type: int | None = None
    flags: int = 0
    original: Json | None = None
    withdrawn: bool = False
    followups: dict[str, Json] = field(default_factory=dict)


class Host(Protocol):
    """What the double does for its REST interface."""

    world: World
    posts: list[Post]
    violations: list[str]
    signs: list[tuple[str, float]]
    acknowledged: list[tuple[str, float]]
    feedback_buttons: int

    def happen(self, event: str, data: Json) -> Awaitable[bool]:
        """Give an event to the gateway."""

    def gateway_answer(self) -> Json:
        """Return what /gateway/bot says."""


class Rest:
    """The calls. Tests may change the public attributes."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._world = host.world
        self.rates = Rates(host.violations)
        # Channel or user id -> code of the error that calls there get; "threads": what opening a thread gets.
        self.refusals: dict[str, int] = {}
        self.without_history: set[str] = set()  # channels where the bot lacks Read Message History
        self.application_flags = 0
        self.content_kept_back = lambda: not self.application_flags & (1 << 19)
        self.interactions_endpoint: str | None = None
        self.commands: list[Json] = []
        self.command_writes = 0
        self.command_quota = 200
        self.deadline_s = 3.0
        self.token_s = 900.0
        self.nonce_s = NONCE_S
        self.nonces: dict[str, tuple[float, Json]] = {}
        self.interactions: dict[str, Interaction] = {}  # by token

    def routes(self) -> list[tuple[str, str, str, Handler]]:
        """Return HTTP method, path, name and handler of every call."""
        message = "/channels/{channel}/messages/{message}"
        hook = "/webhooks/{application}/{token}"
        return [
            ("GET", "/users/@me", "me", lambda *_: self._world.bot),
            ("GET", "/oauth2/applications/@me", "application", lambda *_: self._application()),
            ("GET", "/applications/@me", "application", lambda *_: self._application()),
            ("GET", "/gateway/bot", "gateway", lambda *_: self._host.gateway_answer()),
            ("GET", "/channels/{channel}", "channel", lambda path, *_: self._channel(path)),
            ("POST", "/users/@me/channels", "direct", self._direct),
            ("POST", "/channels/{channel}/messages", "post", self._post),
            ("GET", "/channels/{channel}/messages", "history", self._history),
            ("GET", message, "message", lambda path, *_: self._message(path)),
            ("PATCH", message, "edit", self._edit),
            ("DELETE", message, "delete", self._delete),
            ("POST", "/channels/{channel}/typing", "typing", self._typing),
            ("POST", message + "/threads", "thread", self._thread),
            ("PUT", message + "/reactions/{emoji}/@me", "reaction", lambda path, *_: self._message(path) and None),
            ("POST", "/interactions/{id}/{token}/callback", "callback", self._callback),
            ("GET", hook + "/messages/@original", "original", lambda path, *_: self._open(path).original),
            ("PATCH", hook + "/messages/@original", "original", self._set_original),
            ("DELETE", hook + "/messages/@original", "original", self._drop_original),
            ("POST", hook, "followup", self._followup),
            ("PATCH", hook + "/messages/{message}", "edit_followup", self._edit_followup),
            ("DELETE", hook + "/messages/{message}", "delete_followup", self._drop_followup),
            ("GET", "/applications/{application}/commands", "commands", lambda *_: self.commands),
            ("PUT", "/applications/{application}/commands", "put_commands", self._put_commands),
        ]

    def _application(self) -> Json:
        return {
            "id": self._world.bot["id"], "name": "Rapport", "icon": None, "description": "", "bot_public": True,
            "bot_require_code_grant": False, "verify_key": "00", "flags": self.application_flags, "summary": "",
            "interactions_endpoint_url": self.interactions_endpoint, "owner": self._world.user("ada"), "hook": True,
        }  # fmt: skip

    def _channel(self, path: dict[str, str]) -> Json:
        channel = self._world.channels.get(path["channel"])
        if channel is None:
            raise Refusal(10003)
        if code := self.refusals.get(path["channel"]):
            raise Refusal(code)
        return channel

    def _message(self, path: dict[str, str]) -> Json:
        self._channel(path)
        found = self._world.find(path["channel"], path["message"])
        if found is None:
            raise Refusal(10008)
        return found

    def _direct(self, _: dict[str, str], body: Json, __: dict[str, str]) -> Json:
        name = self._world.name_of(str(body["recipient_id"]))
        if name not in self._world.users:
            raise Refusal(10013)
        if code := self.refusals.get(str(body["recipient_id"])):
            self.refusals[self._world.direct(name)] = code  # it shows when something is sent there
        return self._world.channels[self._world.direct(name)]

    async def _post(self, path: dict[str, str], body: Json, _: dict[str, str]) -> Json:
        self._channel(path)
        nonce, now = body.get("nonce"), time.monotonic()
        if nonce and body.get("enforce_nonce"):
            at, first = self.nonces.get(nonce, (-1e9, {}))
            if now - at < self.nonce_s:  # the message of this nonce, if it is there yet
                return self._message({"channel": first["channel_id"], "message": first["id"]})
        check_message(body, new=True)
        self._note_pings(body)
        more = {"components": body.get("components", []), "flags": body.get("flags", 0)}
        if reference := body.get("message_reference"):
            if path["channel"] in self.without_history:
                raise Refusal(160002)
            if self._world.find(path["channel"], reference["message_id"]):
                more["message_reference"] = {"message_id": reference["message_id"]}
            elif reference.get("fail_if_not_exists", True):
                error = {"code": "REPLIES_UNKNOWN_MESSAGE", "message": "Unknown message"}
                raise Refusal(50035, {"message_reference": {"_errors": [error]}})
        made = self._world.new_message(path["channel"], self._world.bot, body["content"].strip(), **more)
        if nonce:
            self.nonces[nonce] = (now, made)
        self._record(made)
        if self._world.channels[path["channel"]].get("parent_id") and "member" not in (
            thread := self._world.channels[path["channel"]]
        ):
            self._world.join(thread["id"])
            member = {"id": thread["id"], "guild_id": thread["guild_id"], "member_count": 3}
            await self._host.happen("THREAD_MEMBERS_UPDATE", member | {"added_members": [thread["member"]]})
        await self._host.happen("MESSAGE_CREATE", self._world.at_gateway(made | ({"nonce": nonce} if nonce else {})))
        return made

    def _history(self, path: dict[str, str], _: Json, query: dict[str, str]) -> list[Json]:
        self._channel(path)
        after, limit = int(query.get("after", 0)), int(query.get("limit", 50))
        if not 1 <= limit <= 100:
            raise Refusal(50035)
        if path["channel"] in self.without_history:
            return []
        later = sorted((m for m in self._world.messages[path["channel"]] if int(m["id"]) > after), key=_age)
        page = (later[:limit] if "after" in query else later[-limit:])[::-1]  # the newest first, in each page
        return [self._world.kept_back(message) for message in page] if self.content_kept_back() else page

    async def _edit(self, path: dict[str, str], body: Json, _: dict[str, str]) -> Json:
        message = self._message(path)
        if message["author"]["id"] != self._world.bot["id"]:
            raise Refusal(50005)
        self._change(message, body)
        await self._host.happen("MESSAGE_UPDATE", self._world.at_gateway(message))
        return message

    async def _delete(self, path: dict[str, str], _: Json, __: dict[str, str]) -> None:
        await self.remove(path["channel"], path["message"])

    async def remove(self, channel: str, message_id: str) -> None:
        """Delete a message."""
        message = self._message({"channel": channel, "message": message_id})
        self._world.messages[channel].remove(message)
        self._gone(message)

    def _typing(self, path: dict[str, str], _: Json, __: dict[str, str]) -> None:
        self._channel(path)
        self._host.signs.append((path["channel"], time.monotonic()))

    async def _thread(self, path: dict[str, str], body: Json, _: dict[str, str]) -> Json:
        self._message(path)
        if code := self.refusals.get("threads"):
            raise Refusal(code)
        if path["message"] in self._world.channels:
            raise Refusal(160004)
        if not 1 <= len(body["name"]) <= 100:
            raise Refusal(50035, {"name": {"_errors": [{"code": "BASE_TYPE_BAD_LENGTH", "message": "1 to 100"}]}})
        bot = self._world.bot["username"]
        self._world.new_thread(path["channel"], body["name"], joined=True, thread_id=path["message"], owner=bot)
        thread = self._world.channels[path["message"]]
        await self._host.happen("THREAD_CREATE", thread | {"newly_created": True})
        return thread

    def _callback(self, path: dict[str, str], body: Json, _: dict[str, str]) -> None:
        interaction = self.interactions.get(path["token"])
        if interaction is None or interaction.id != path["id"]:
            raise Refusal(10062)
        waited = time.monotonic() - interaction.said_at
        if interaction.answer_type is not None:
            raise Refusal(40060)
        if waited > self.deadline_s:
            raise Refusal(10062)
        data = body.get("data") or {}
        if body["type"] == 4:
            check_message(data, new=True)
        interaction.answer_type, interaction.flags = body["type"], data.get("flags", 0)
        self._host.acknowledged.append((interaction.id, waited))
        self._host.signs.append((interaction.channel_id, time.monotonic()))
        if body["type"] == 4:
            interaction.original = self._new_answer(interaction, data)

    def _set_original(self, path: dict[str, str], body: Json, _: dict[str, str]) -> Json:
        interaction = self._open(path)
        if interaction.original is None:
            check_message(body, new=True)
            interaction.original = self._new_answer(interaction, body | {"flags": interaction.flags})
        else:
            self._change(interaction.original, body)
        return interaction.original

    def _drop_original(self, path: dict[str, str], _: Json, __: dict[str, str]) -> None:
        interaction = self._open(path)
        if interaction.original:
            self._gone(interaction.original)
        interaction.withdrawn = True  # what is still "thinking" goes as well

    def _followup(self, path: dict[str, str], body: Json, _: dict[str, str]) -> Json:
        interaction = self._open(path)
        check_message(body, new=True)
        made = self._new_answer(interaction, body)
        interaction.followups[made["id"]] = made
        return made

    def _edit_followup(self, path: dict[str, str], body: Json, _: dict[str, str]) -> Json:
        message = self._answer_of(path)
        self._change(message, body)
        return message

    def _drop_followup(self, path: dict[str, str], _: Json, __: dict[str, str]) -> None:
        self._gone(self._answer_of(path))

    def _answer_of(self, path: dict[str, str]) -> Json:
        interaction = self._open(path)
        answers = dict(interaction.followups)
        if interaction.original:
            answers[interaction.original["id"]] = interaction.original
        if path["message"] not in answers:
            raise Refusal(10008)
        return answers[path["message"]]

    def _open(self, path: dict[str, str]) -> Interaction:
        """Return the interaction of this token, while it may be answered."""
        interaction = self.interactions.get(path["token"])
        if interaction is None or time.monotonic() - interaction.said_at > self.token_s:
            raise Refusal(50027)
        if interaction.answer_type is None:
            raise Refusal(10015)
        if interaction.withdrawn:
            raise Refusal(10008)
        return interaction

    def _new_answer(self, interaction: Interaction, body: Json) -> Json:
        self._note_pings(body)
        made = self._world.new_message(
            interaction.channel_id,
            self._world.bot,
            body["content"].strip(),
            flags=body.get("flags", 0),
            components=body.get("components", []),
        )
        self._record(made, interaction.user if body.get("flags", 0) & EPHEMERAL else None)
        return made

    def _put_commands(self, _: dict[str, str], body: Any, __: dict[str, str]) -> list[Json]:
        check_commands(body)
        known = {command["name"] for command in self.commands}
        new = sum(command["name"] not in known for command in body)
        if new > self.command_quota:
            raise Refusal(30034)
        self.command_quota -= new
        self.command_writes += 1
        extra = {"application_id": self._world.bot["id"], "default_member_permissions": None, "nsfw": False,
                 "dm_permission": True, "name_localizations": None, "description_localizations": None}  # fmt: skip
        self.commands = [
            {"type": 1, "id": self._world.snowflake(), "version": self._world.snowflake()} | extra | command
            for command in body
        ]
        return self.commands

    def _note_pings(self, body: Json) -> None:
        if whom := pings(body):
            self._host.violations.append(f"a message of the bot pings {', '.join(whom)}")

    def _record(self, message: Json, ephemeral_for: str | None = None) -> None:
        reference = message.get("message_reference")
        self._host.feedback_buttons += bool(message["components"])
        self._host.posts.append(
            Post(
                id=message["id"],
                space=message["channel_id"],
                thread=None,
                texts=[message["content"]],
                reply_to=reference["message_id"] if reference else None,
                ephemeral_for=ephemeral_for,
                extra={"components": message["components"], "flags": message["flags"]},
            )
        )

    def _change(self, message: Json, body: Json) -> None:
        check_message(body, new=False)
        self._note_pings(body)
        post = next(post for post in self._host.posts if post.id == message["id"])
        if (content := body.get("content")) is not None:
            message |= {"content": content.strip(), "edited_timestamp": datetime.now(UTC).isoformat()}
            post.texts.append(message["content"])
        if (components := body.get("components")) is not None:
            self._host.feedback_buttons += bool(components) and not message["components"]
            message["components"] = post.extra["components"] = components

    def _gone(self, message: Json) -> None:
        for post in self._host.posts:
            if post.id == message["id"]:
                post.deleted = True

    def watch(self, interaction: Interaction) -> None:
        """Begin the 3 seconds in which an interaction must be answered. Runs on the double's loop."""
        self.interactions[interaction.token] = interaction

        def check() -> None:
            if interaction.answer_type is None:
                self._host.violations.append(f"interaction {interaction.id} was not answered in {self.deadline_s} s")

        asyncio.get_running_loop().call_later(self.deadline_s, check)


def _age(message: Json) -> int:
    return int(message["id"])


def major_of(request: web.Request) -> str:
    """Return the part of a path that has rate limits of its own."""
    found = request.match_info
    return found.get("channel") or found.get("token") or ""
