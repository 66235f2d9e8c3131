"""A double of Slack: Web API, Events API and Socket Mode, and what people do in its workspaces.

slack_state.py has what it knows, slack_doors.py and slack_web.py what the bot calls, slack_delivery.py how events
reach the bot, slack_rules.py what is refused, slack_rates.py how often it may be called, slack_payloads.py how events
look.
"""

from collections.abc import Callable
from typing import Any, Literal

from aiohttp import web

from tests.platforms import slack_payloads as payloads
from tests.platforms.base import Double, Fault, Place, Post
from tests.platforms.slack_delivery import Deliverer, Parcel
from tests.platforms.slack_doors import APP_TOKEN, Doors
from tests.platforms.slack_rates import Rates
from tests.platforms.slack_rules import EVENTS
from tests.platforms.slack_state import Clock, Conversation, Message, Workspace
from tests.platforms.slack_web import ALIASES, WebApi

SIGNING_SECRET = "signing-secret-of-the-double"


class Slack(Double):
    """One app, installed in one workspace (``add_workspace`` for more)."""

    name = "slack"
    text_limit = 12_000

    def __init__(self, mode: Literal["socket", "http"] = "socket") -> None:
        super().__init__()
        self.mode = mode
        self.clock = Clock()
        self.rates = Rates(self.violations)
        self.signing_secret = SIGNING_SECRET
        self.request_url: str | None = None  # where the bot's own HTTP server takes events
        self.ack_s = 3.0
        self.retry_after_s: tuple[float, ...] = (0.0, 0.5, 2.0)  # Slack: at once, 1 min, 5 min
        self.patience_s = 60.0
        self.stream_life_s = 300.0
        self.listening = True  # False: what happens now, the bot is never told
        self.granted: set[str] | None = None  # scopes of the app; None: all
        self.refused_scopes: set[str] = set()  # what calls lacked
        self.subscribed: set[str] | None = None  # events of the app; None: all
        self.missing: set[str] = set()  # methods that are unknown here
        self.app_token_error: str | None = None
        self.refuse_with: str | None = None  # what the fault "refuse" says; None: what fits the method
        self.error_page = b"<html>Internal Server Error</html>"
        self.given_up: list[str] = []
        self.failed_commands: list[str] = []
        self.statuses: dict[tuple[str, str], str] = {}
        self.titles: dict[tuple[str, str], str] = {}
        self.prompts: list[dict[str, Any]] = []
        self.workspaces: dict[str, Workspace] = {}
        self.home = self.add_workspace("T0ONE", "One")
        self.events: dict[str, list[dict[str, Any]]] = {}
        self.delivery = Deliverer(self)
        self.doors = Doors(self, WebApi(self))

    def add_workspace(self, team: str, name: str) -> Workspace:
        """Install the app in one more workspace."""
        short = team[2:]
        workspace = Workspace(team, name, f"xoxb-double-{short}", f"U0{short}BOT", f"B0{short}BOT")
        workspace.names[workspace.bot_user] = "Rapport"
        self.workspaces[team] = workspace
        return workspace

    def stop(self) -> None:
        self.run(self.delivery.stop())
        super().stop()

    def application(self) -> web.Application:
        application = web.Application(client_max_size=10_000_000)
        application.router.add_route("*", "/api/{method}", self.doors.method)
        application.router.add_get("/socket", self.delivery.socket)
        application.router.add_post("/response/{key}", self.doors.response_url)
        return application

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        tokens = ",".join(workspace.token for workspace in self.workspaces.values())
        intake = {"SLACK_APP_TOKEN": APP_TOKEN} if self.mode == "socket" else {"SLACK_SIGNING_SECRET": SIGNING_SECRET}
        return {"SLACK_BOT_TOKEN": tokens, "SLACK_API_URL": f"{self.base}/api/", **intake}

    def connected(self) -> bool:
        if self.mode == "socket":
            return bool(self.delivery.connections)
        return bool(self.request_url) and self.run(self._verified())

    async def _verified(self) -> bool:
        challenge = {"type": "url_verification", "token": "t", "challenge": "are you there"}
        try:
            _, _, body = await self.delivery.request(str(self.request_url), "events_api", challenge, {})
        except Exception:
            return False
        return "are you there" in body

    # What people do.

    def say(
        self,
        text: str,
        *,
        user: str = "ada",
        place: Place = "direct",
        mention: bool = True,
        team: str = "T0ONE",
        channel: str = "general",
        thread: str | None = None,
        raw: bool = False,
        **more: Any,
    ) -> str:
        """See Double.say. ``thread``: the ts of the thread; ``raw``: the text is Slack's mark-up already.

        ``more`` goes into the event as it is (files, blocks, subtype, bot_id, ...).
        """
        workspace = self.workspaces[team]
        author = workspace.user(user)
        text = text if raw else payloads.escaped(text)
        if place == "direct":
            conversation = workspace.direct(author)
        else:
            conversation = workspace.channel(channel)
            if place == "thread":
                thread = thread or self._own_thread(workspace, conversation)
            elif mention:
                text = f"<@{workspace.bot_user}> {text}"
        return self.run(self._say(workspace, conversation, author, text, thread, more))

    def _own_thread(self, workspace: Workspace, conversation: Conversation) -> str:
        """Return a thread that begins with a message of the bot."""
        for message in conversation.in_order():
            if message.body.get("client_msg_id") == "the bot's thread":
                return message.ts
        ts = self.clock.next()
        body = {"text": "Good morning!", "bot_id": workspace.bot_id, "client_msg_id": "the bot's thread"}
        conversation.messages[ts] = Message(ts, workspace.bot_user, body)
        return ts

    async def _say(
        self,
        workspace: Workspace,
        conversation: Conversation,
        author: str,
        text: str,
        thread: str | None,
        more: dict[str, Any],
    ) -> str:
        body = {"text": text, "team": workspace.id, "client_msg_id": f"m-{len(self.events)}", **more}
        message = Message(self.clock.next(), author, body, thread)
        conversation.messages[message.ts] = message
        identity = f"{workspace.id}:{conversation.id}:{message.ts}"
        shown = payloads.message(conversation, message)
        if f"<@{workspace.bot_user}>" in text and conversation.kind != "im":
            # Slack does not promise files with a mention; the message itself has them.
            kept = {key: value for key, value in shown.items() if key not in ("channel_type", "files", "subtype")}
            mention = kept | {"type": "app_mention"}
            self._tell(workspace, identity, mention, "app_mention")
        self._tell(workspace, identity, shown, f"message:{conversation.kind}")
        return identity

    def edit(self, identity: str, text: str) -> None:
        """Somebody changes a message."""
        workspace, conversation, message = self._find(identity)
        message.body["text"] = text
        self.run(self._later(lambda: self.echo(workspace, conversation, message, "message_changed")))

    def delete(self, identity: str) -> None:
        """Somebody deletes a message."""
        workspace, conversation, message = self._find(identity)
        del conversation.messages[message.ts]
        self.run(self._later(lambda: self.echo(workspace, conversation, message, "message_deleted")))

    def react(self, post: Post, name: str = "+1", user: str = "ada", *, back: bool = False) -> None:
        """Somebody reacts to a post of the bot, or takes the reaction back."""
        workspace, conversation = self._where(post)
        kind = "reaction_removed" if back else "reaction_added"
        event = payloads.reaction(
            kind, workspace.user(user), name, conversation.id, post.id, workspace.bot_user, self.clock.next()
        )
        identity = f"{workspace.id}:{conversation.id}:{event['event_ts']}"
        self.run(self._later(lambda: self._tell(workspace, identity, event, kind)))

    def press(self, post: Post, verdict: Literal["up", "down"], user: str = "ada") -> None:
        """Somebody presses one of the feedback buttons of a post."""
        workspace, conversation = self._where(post)
        author = workspace.user(user)
        message = conversation.messages.get(post.id)
        shown = conversation.shown(message, metadata=True) if message else {"ts": post.id, **post.extra}
        url = self.doors.new_url(workspace, conversation, author)
        payload = payloads.press(workspace, conversation, author, shown, verdict, url)
        self.run(self._deliver("interactive", f"{workspace.id}:press:{payload['trigger_id']}", payload))

    def slash(
        self, text: str, user: str = "ada", place: Place = "direct", team: str = "T0ONE", channel: str = "general"
    ) -> dict[str, Any] | None:
        """Somebody calls /rapport; return what the bot acknowledged with, None if it did not in time."""
        workspace = self.workspaces[team]
        author = workspace.user(user)
        conversation = workspace.direct(author) if place == "direct" else workspace.channel(channel)
        url = self.doors.new_url(workspace, conversation, author)
        payload = payloads.slash(workspace, conversation, author, text, url, f"trigger.{self.clock.next()}")
        answer = self.run(self._deliver("slash_commands", f"{team}:slash:{payload['trigger_id']}", payload))
        if answer is None:
            self.failed_commands.append(text)
        elif answer.get("text") or answer.get("blocks"):
            self.doors.show(workspace, conversation, author, answer)
        return answer

    def open_assistant(self, user: str = "ada", team: str = "T0ONE") -> str:
        """Somebody opens a new assistant thread (apps with assistant_view); return the ts of its root."""
        workspace = self.workspaces[team]
        author = workspace.user(user)
        conversation = workspace.direct(author)
        root = Message(self.clock.next(), workspace.bot_user, {"text": "New thread", "subtype": "assistant_app_thread"})
        conversation.messages[root.ts] = root
        event = payloads.assistant_started(author, conversation.id, root.ts)
        identity = f"{team}:{conversation.id}:{root.ts}"
        self.run(self._later(lambda: self._tell(workspace, identity, event, event["type"])))
        return root.ts

    def open_messages(self, user: str = "ada", team: str = "T0ONE") -> None:
        """Somebody opens the Messages tab of the app (apps with agent_view)."""
        workspace = self.workspaces[team]
        author = workspace.user(user)
        conversation = workspace.direct(author)
        event = payloads.home_opened(author, conversation.id, self.clock.next())
        identity = f"{team}:{conversation.id}:{event['event_ts']}"
        self.run(self._later(lambda: self._tell(workspace, identity, event, event["type"])))

    def redeliver(self, message: str) -> None:
        for payload in self.events[message]:
            parcel = Parcel("events_api", message, payload, first_attempt=1)
            self.run(self._later(lambda parcel=parcel: self.delivery.send(parcel)))  # type: ignore[misc]

    def seen_by(self, user: str = "ada", place: Place = "direct", team: str = "T0ONE") -> list[Post]:
        workspace = self.workspaces[team]
        author = workspace.user(user)
        conversation = workspace.direct(author) if place == "direct" else workspace.channel()
        own = self._own_thread(workspace, conversation) if place == "thread" else None
        return [
            post
            for post in self.posts
            if post.space == f"{team}/{conversation.id}"
            and not post.deleted
            and post.ephemeral_for in (None, author)
            and (place == "direct" or (post.thread == own if own else not self._in_own_thread(conversation, post)))
        ]

    def _in_own_thread(self, conversation: Conversation, post: Post) -> bool:
        root = conversation.messages.get(post.thread or "")
        return root is not None and root.body.get("client_msg_id") == "the bot's thread"

    # How the bot is told.

    def echo(self, workspace: Workspace, conversation: Conversation, message: Message, subtype: str) -> None:
        """Tell of a message that was written, changed or deleted; the bot hears of its own ones, too."""
        identity = f"{workspace.id}:{conversation.id}:{message.ts}"
        event = payloads.message(conversation, message)
        if subtype:
            event = payloads.change(subtype, event, self.clock.next())
        self._tell(workspace, identity, event, f"message:{conversation.kind}")

    def _tell(self, workspace: Workspace, identity: str, event: dict[str, Any], key: str) -> None:
        subscription, scope = EVENTS[key]
        if self.subscribed is not None and subscription not in self.subscribed:
            return
        if not self.listening or (self.granted is not None and scope is not None and scope not in self.granted):
            return
        payload = payloads.callback(workspace, event, f"Ev{self.clock.next().replace('.', '')}")
        self.events.setdefault(identity, []).append(payload)
        self.delivery.send(Parcel("events_api", identity, payload))

    async def _deliver(self, kind: Any, identity: str, payload: dict[str, Any]) -> dict[str, Any] | None:
        return await self.delivery.send(Parcel(kind, identity, payload))

    async def _later(self, do: Callable[[], Any]) -> None:
        do()

    # The names that are the same on all doubles.

    def reach(self, point: str) -> None:
        super().reach(point)
        moment, _, method = point.partition(":")
        if method in ALIASES:
            super().reach(f"{moment}:{ALIASES[method]}")

    def _next_fault(self, method: str) -> Fault | None:
        return super()._next_fault(method) or (super()._next_fault(ALIASES[method]) if method in ALIASES else None)

    def _find(self, identity: str) -> tuple[Workspace, Conversation, Message]:
        team, channel, ts = identity.split(":")
        conversation = self.workspaces[team].conversations[channel]
        return self.workspaces[team], conversation, conversation.messages[ts]

    def _where(self, post: Post) -> tuple[Workspace, Conversation]:
        team, channel = post.space.split("/")
        return self.workspaces[team], self.workspaces[team].conversations[channel]
