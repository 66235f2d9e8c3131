"""What a request must fulfil before a route sees it: host, origin, key, content type, size. And security headers.

Plain ASGI, as it must neither buffer a stream nor a body.
"""

import hmac
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from channels.web.problems import Problem
from channels.web.settings import is_loopback

SECURITY = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
# Probes, and pages that hold nothing but their own text.
OPEN = {"/", "/docs", "/healthz", "/readyz"}
OPEN_BELOW = "/static/"
# Where networks call us. They come from anywhere and have no key of ours: each hook checks who it is by itself.
HOOKS = "/hooks/"
MAX_HOOK_BODY = 1024 * 1024  # the largest event of Slack or Telegram is far below


class Guard:
    """Refuses what must not pass. Without a key only this machine is served, and no other site's pages."""

    def __init__(self, app: ASGIApp, key: str | None, host: str, max_body: int) -> None:
        self._app = app
        self._key = key.encode() if key else None
        self._host = host.lower()
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        left = MAX_HOOK_BODY if scope["path"].startswith(HOOKS) else self._max_body

        async def limited() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                raise self._too_large()
            return message

        async def secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-cache" if _is_open(scope["path"]) else "no-store")
            await send(message)

        try:
            self._check(scope)
        except Problem as problem:
            await problem.response()(scope, receive, secured)
        else:
            await self._app(scope, limited, secured)

    def _check(self, scope: Scope) -> None:
        if scope["path"].startswith(HOOKS):
            return
        headers = Headers(scope=scope)
        if self._key is None:
            self._check_neighbourhood(headers)
        elif not _is_open(scope["path"]):
            self._check_key(headers.get("authorization", ""))
        if scope["method"] == "POST":
            self._check_body(headers)

    def _check_neighbourhood(self, headers: Headers) -> None:
        """Refuse names that somebody else's DNS made point here, and calls from other sites' pages."""
        host = headers.get("host", "")
        name = (_hostname(f"//{host}") or "").lower()
        if not (is_loopback(name) or name == self._host):
            raise Problem(403, "forbidden_host", "Call me by the address that I listen on.")
        origin = headers.get("origin")
        if origin is not None and origin.lower() not in (f"http://{host}".lower(), f"https://{host}".lower()):
            raise Problem(403, "forbidden_origin", "Pages of other sites may not call me.")

    def _check_key(self, given: str) -> None:
        assert self._key is not None
        scheme, _, key = given.partition(" ")
        # Header values arrive as Latin-1; back to the bytes that were sent.
        same = hmac.compare_digest(key.strip().encode("latin-1"), self._key)
        if scheme.lower() != "bearer" or not same:
            text = "This needs the key of this bot: Authorization: Bearer YOUR_KEY."
            raise Problem(401, "unauthorized", text, {"WWW-Authenticate": "Bearer"})

    def _check_body(self, headers: Headers) -> None:
        # Only a page of our own may send JSON: for a form of another site the browser would have to ask first.
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise Problem(415, "wrong_type", "Send JSON, with the header Content-Type: application/json.")
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > self._max_body:
            raise self._too_large()

    def _too_large(self) -> Problem:
        return Problem(413, "too_large", f"The request is larger than {self._max_body:,} bytes. Please send less.")


def _is_open(path: str) -> bool:
    return path in OPEN or path.startswith(OPEN_BELOW)


def _hostname(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
