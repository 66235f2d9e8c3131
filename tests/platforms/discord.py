"""A double of Discord: REST interface and gateway v10, as discord.py speaks them, and what people do there.

The other files discord_*.py hold the world, the gateway, the calls and the rules. Points beyond those of base:
``delivering``, ``delivered`` and ``acknowledged`` (for a message all when it has been sent into the gateway; for an
interaction ``acknowledged`` comes with the callback). A permanent refusal is 50001 Missing Access.
"""

import asyncio
import base64
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from tests.platforms.base import Double, Dropped, Place, Post
from tests.platforms.discord_gateway import MESSAGE_CONTENT, Gateway
from tests.platforms.discord_rest import Handler, Interaction, Rest, major_of
from tests.platforms.discord_rules import MAX_CONTENT, Refusal, answer
from tests.platforms.discord_world import DIRECT, Json, World

API = "/api/v10"
OPEN_TO_ALL = ("callback", "original", "followup", "edit_followup", "delete_followup")  # their address is the secret
BUTTON = 2


class DiscordDouble(Double):
    """The platform. ``world``, ``gateway`` and ``rest`` may be looked at and turned by tests."""

    name = "discord"
    text_limit = MAX_CONTENT

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.token = f"{base64.b64encode(self.world.bot['id'].encode()).decode().rstrip('=')}.GdOubl.fak3-token-of-it"
        self.gateway = Gateway(self.world, lambda: self.token, self.violations)
        self.rest = Rest(self)
        self._said: dict[str, Json] = {}

    def start(self) -> None:
        super().start()
        self.gateway.url = f"ws://127.0.0.1:{self.port}/gateway"

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/gateway", self.gateway.handle)
        app.router.add_get("/gateway/", self.gateway.handle)
        for verb, path, name, handler in self.rest.routes():
            app.router.add_route(verb, API + path, self._call(name, handler))
        app.on_shutdown.append(lambda _: self.gateway.cut(1001))
        return app

    @property
    def environment(self) -> dict[str, str]:
        return {
            "DISCORD_BOT_TOKEN": self.token,
            "DISCORD_API_URL": f"http://127.0.0.1:{self.port}{API}",
            "DISCORD_GATEWAY_URL": self.gateway.url,
        }

    def connected(self) -> bool:
        return self.gateway.ready()

    def grant_message_content(self) -> None:
        """Switch the privileged intent on, as in the developer portal."""
        self.gateway.granted |= MESSAGE_CONTENT
        self.rest.application_flags |= 1 << 19

    def place(self, place: Place, user: str) -> str:
        """Return the channel where ``say`` writes."""
        places = {"group": self.world.general, "thread": self.world.thread}
        return places.get(place) or self.world.direct(user)

    def say(
        self,
        text: str,
        *,
        user: str = "ada",
        place: Place = "direct",
        mention: bool = True,
        channel: str | None = None,
        reply_to: str | None = None,
        deliver: bool = True,
        **more: Any,
    ) -> str:
        """A person writes. ``deliver=False``: the gateway loses it; more keys go into the message as they are."""
        space = channel or self.place(place, user)
        direct = self.world.channels[space]["type"] == DIRECT
        content = text if direct or not mention else f"<@{self.world.bot['id']}> {text}"
        if reply_to:
            more["message_reference"] = {"message_id": reply_to}
        author = self.world.user(user) | ({"bot": True} if more.pop("bot", False) else {})

        async def do() -> str:
            message = self.world.new_message(space, author, content, **more)
            self._said[message["id"]] = message
            if deliver:
                await self._deliver(message)
            return str(message["id"])

        return self.run(do())

    def redeliver(self, message: str) -> None:
        self.run(self._deliver(self._said[message]))

    def edit(self, message: str, text: str) -> None:
        """A person changes what they wrote."""
        self._said[message] |= {"content": text, "edited_timestamp": self._said[message]["timestamp"]}
        self.run(self.happen("MESSAGE_UPDATE", self.world.at_gateway(self._said[message])))

    def delete(self, post: Post) -> None:
        """A moderator deletes a message of the bot."""
        self.run(self.rest.remove(post.space, post.id))

    def take_back(self, message: str) -> None:
        """A person deletes what they wrote."""
        said = self._said[message]
        self.world.messages[said["channel_id"]].remove(said)
        gone = {"id": message, "channel_id": said["channel_id"]}
        if guild_id := self.world.channels[said["channel_id"]].get("guild_id"):
            gone["guild_id"] = guild_id
        self.run(self.happen("MESSAGE_DELETE", gone))

    def command(self, name: str, *, user: str = "ada", place: Place = "direct", **options: str) -> Interaction:
        """A person uses a slash command."""
        data = {"id": self.world.snowflake(), "name": name, "type": 1}
        data["options"] = [{"name": option, "type": 3, "value": value} for option, value in options.items()]
        return self._interact(2, data, user, self.place(place, user))

    def press(self, post: Post, *, up: bool = True, user: str = "ada") -> Interaction:
        """A person presses a button below a message of the bot."""
        buttons = [one for row in post.extra["components"] for one in row["components"] if one["type"] == BUTTON]
        data = {"component_type": BUTTON, "custom_id": buttons[0 if up else 1]["custom_id"]}
        message = self.world.find(post.space, post.id)
        return self._interact(3, data, user, post.space, message=message)

    def react(self, post: Post, emoji: str, *, user: str = "ada", take_back: bool = False) -> None:
        """A person reacts to a message of the bot."""
        who = self.world.user(user)
        data = {"user_id": who["id"], "channel_id": post.space, "message_id": post.id, "burst": False, "type": 0}
        data |= {"emoji": {"id": None, "name": emoji}, "message_author_id": self.world.bot["id"]}
        if guild_id := self.world.channels[post.space].get("guild_id"):
            data["guild_id"] = guild_id
            if not take_back:
                data["member"] = self.world.member(user)
        self.run(self.happen(f"MESSAGE_REACTION_{'REMOVE' if take_back else 'ADD'}", data))

    def seen_by(self, user: str = "ada", place: Place = "direct") -> list[Post]:
        space = self.place(place, user)
        mine = (None, user)
        return [p for p in self.posts if p.space == space and not p.deleted and p.ephemeral_for in mine]

    def gateway_answer(self) -> Json:
        left = max(0, self.gateway.session_starts_left)
        limit = {"total": 1000, "remaining": left, "reset_after": 86_400_000, "max_concurrency": 1}
        return {"url": self.gateway.url, "shards": self.gateway.shards, "session_start_limit": limit}

    def happen(self, event: str, data: Json) -> Awaitable[bool]:
        return self.gateway.dispatch(event, data)

    async def _deliver(self, message: Json) -> None:
        at = time.monotonic()
        self.reach("delivering")
        reached = await self.happen("MESSAGE_CREATE", self.world.at_gateway(message))
        self.reach("delivered")
        if reached:
            self.acknowledged.append((message["id"], time.monotonic() - at))
            self.reach("acknowledged")

    def _interact(self, kind: int, data: Json, user: str, space: str, **more: Any) -> Interaction:
        channel = self.world.channels[space]
        guild_id = channel.get("guild_id")
        interaction = Interaction(self.world.snowflake(), f"aW50{self.world.snowflake()}", space, user)
        payload = {
            "id": interaction.id, "application_id": self.world.bot["id"], "type": kind, "data": data, "version": 1,
            "token": interaction.token, "channel_id": space, "channel": channel, "locale": "en-US",
            "context": 0 if guild_id else 1, "entitlements": [], "authorizing_integration_owners": {"0": "0"},
            "app_permissions": "0", "attachment_size_limit": 10_485_760,
        } | more  # fmt: skip
        if guild_id:
            payload |= {"guild_id": guild_id, "member": self.world.member(user), "guild_locale": "en-US"}
        else:
            payload["user"] = self.world.user(user)

        async def do() -> Interaction:
            interaction.said_at = time.monotonic()
            self.rest.watch(interaction)
            self.reach("delivering")
            await self.happen("INTERACTION_CREATE", payload)
            self.reach("delivered")
            return interaction

        return self.run(do())

    def _call(self, name: str, handler: Handler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            if name not in OPEN_TO_ALL and request.headers.get("Authorization") != f"Bot {self.token}":
                self.rest.rates.invalid_requests += 1
                return answer({"message": "401: Unauthorized", "code": 0}, 401)
            raw = await request.text()
            body = json.loads(raw) if raw else {}
            path, major = dict(request.match_info), major_of(request)

            async def do() -> web.StreamResponse:
                headers, limited = self.rest.rates.take(name, major)
                if limited:
                    return limited
                try:
                    result = handler(path, body, dict(request.query))
                    response = answer(await result if asyncio.iscoroutine(result) else result)
                except Refusal as refusal:
                    response = refusal.response()
                    self.rest.rates.invalid_requests += response.status in (401, 403)
                response.headers.update(headers)
                return response

            def refuse() -> web.StreamResponse:
                self.rest.rates.invalid_requests += 1
                return Refusal(50001).response()

            try:
                response = await self.answer(
                    name,
                    path | (body if isinstance(body, dict) else {"commands": body}),
                    do,
                    flood=lambda wait_s: self.rest.rates.flood(name, major, wait_s),
                    error=lambda: answer({"message": "Internal Server Error", "code": 0}, 500),
                    refuse=refuse,
                )
            except Dropped:
                if request.transport:
                    request.transport.close()
                return web.Response(status=500)
            if name == "callback" and response.status == 204:
                self.reach("acknowledged")
            return response

        return handle
