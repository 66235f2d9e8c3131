"""The contract of channels.base for the web: the HTTP server within the event loop, and replies to who waits."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator, Sequence

import uvicorn
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from channels.base import LONG_LINE, Accept, AsgiApp, Hook
from channels.web.api import Routes, max_body
from channels.web.attempts import Attempts
from channels.web.connections import MAX_HEAD, Connection, allow_files
from channels.web.guard import HOOKS, Guard
from channels.web.keyring import KeyRing
from channels.web.settings import Web, is_loopback, refuse_open_door
from channels.web.waiting import WaitingRoom
from core.errors import SettingsError, StoreUnavailable
from core.events import Draft, Heard, Reply
from core.settings import Settings, variables
from core.store import Bucket, Store

GRACE_S = 3  # for responses that are being sent when the channel ends

log = logging.getLogger(__name__)


class WebAdapter:
    """HTTP API and chat page."""

    name = "web"
    via: str | None = None
    sign_s = 3.0  # an open request is a sign by itself, but who waits in a long line is told so
    sign_budget = Bucket("signs", per_s=200, burst=400)  # here they cost no network anything
    text_limit = 100_000  # HTTP has none; far above what a model writes

    def __init__(
        self, web: Web, key: str | None, settings: Settings, redis_url: str, hooks: Sequence[Hook] = ()
    ) -> None:
        self._web = web
        self._settings = settings
        self._store = Store(redis_url, settings, _never_woken)
        self._keys = KeyRing(key, self._store.api_keys.all)
        self._has_own_key = key is not None
        self._attempts = Attempts()
        self._room = WaitingRoom()
        self._hooks = hooks

    async def run(self, accept: Accept) -> None:
        """Serve until cancelled.

        Raises:
            SettingsError: the address cannot be listened on, or others could reach the bot without a key.
            StoreUnavailable: whether there is a key for them could not be read.
        """
        with_key = await self._asks_for_a_key()
        listener = _listen(self._web)
        routes = Routes(accept, self._room, self._store, self._settings, self._web.reply_timeout_s)
        served = routes.app(with_key=with_key)
        for hook in self._hooks:
            served.router.routes.append(Route(f"{HOOKS}{hook.name}", _Endpoint(hook.app(accept))))
            log.info("%s can call at %s%s", hook.name, HOOKS, hook.name)
        app = Guard(served, self._keys, self._attempts, self._web.host, max_body(self._settings))
        server = _Server(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,  # addresses hold names of users
                server_header=False,
                lifespan="off",
                http=Connection,
                ws="none",
                h11_max_incomplete_event_size=MAX_HEAD,
                # Whose word on a caller's address and on https counts: a proxy on this machine, unless told otherwise.
                forwarded_allow_ips=variables().get("FORWARDED_ALLOW_IPS", "127.0.0.1,::1"),
                timeout_graceful_shutdown=GRACE_S,
            )
        )
        allow_files()
        self._announce(with_key=with_key)
        watching = asyncio.create_task(self._keys.watch(), name="keys")
        serving = asyncio.create_task(server.serve(sockets=[listener]), name="http")
        try:
            await asyncio.shield(serving)
        except asyncio.CancelledError:
            self._room.stop()
            server.should_exit = True
            await serving
            raise
        finally:
            watching.cancel()

    async def send(self, reply: Reply) -> None:
        """Give the reply to who waits for it. If nobody does, it is delivered by standing in the history."""
        self._room.deliver(reply)

    async def working(self, heard: Heard) -> None:
        """Tell who waits which number they are while the line is long; 0 once it is not."""
        self._room.tell_place(heard.event_id, heard.place if heard.place > LONG_LINE else 0)

    async def draft(self, draft: Draft) -> bool:
        """Give partial text to who waits for the reply."""
        self._room.show(draft)
        return True

    async def close(self) -> None:
        """Close the hooks and the connections to the store."""
        for hook in self._hooks:
            await hook.close()
        self._store.close()

    async def _asks_for_a_key(self) -> bool:
        """Say whether callers need a key now. It may be another answer later, as named keys come and go."""
        if self._has_own_key:
            return True
        try:
            await self._keys.look()
        except StoreUnavailable:
            if not is_loopback(self._web.host):
                raise
            return False  # not known; the guard lets nobody in until it is
        refuse_open_door(self._web, has_key=self._keys.is_needed())
        return self._keys.is_needed()

    def _announce(self, *, with_key: bool) -> None:
        host = f"[{self._web.host}]" if ":" in self._web.host else self._web.host
        log.info("chat page and API are at http://%s:%d/ (API: /docs)", host, self._web.port)
        if with_key:
            log.info("every call needs an API key: Authorization: Bearer KEY; the page asks for it")
        else:
            log.info("there is no API key, so only this machine is served")


class _Endpoint:
    """An application that answers at exactly one path.

    Mounted, it would redirect to the path with a slash behind it, and networks follow no redirects.
    """

    def __init__(self, app: AsgiApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


class _Server(uvicorn.Server):
    """Leaves the signals to the composition root, which stops the runner and so this server."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _listen(web: Web) -> socket.socket:
    family = socket.AF_INET6 if ":" in web.host else socket.AF_INET
    try:
        return socket.create_server((web.host, web.port), family=family)
    except OSError as error:
        raise SettingsError(
            f"[web] cannot listen on {web.host} port {web.port}: {error.strerror}. "
            "Set another host or port in settings.toml, or RAPPORT_WEB__PORT."
        ) from None


def _never_woken(person: str) -> str:
    raise RuntimeError(f"the web channel only reads here; the runner accepts (asked to wake {person})")
