"""What a request must fulfil before a route sees it: host, origin, key, content type, size. And security headers.

Plain ASGI, as it must neither buffer a stream nor a body.
"""

from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from channels.web.attempts import Attempts
from channels.web.connections import MAX_HEAD
from channels.web.keyring import KeyRing
from channels.web.problems import Problem, problem_of
from channels.web.settings import is_loopback
from core.errors import StoreUnavailable

SECURITY = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        # The browser itself refuses to read any text as mark-up or script, should the page ever ask for it.
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
}
# A proxy says by these that it speaks for somebody else.
PASSED_ON = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip")
# Probes, and pages that hold nothing but their own text.
OPEN = {"/", "/docs", "/healthz", "/readyz"}
OPEN_BELOW = "/static/"
# Where networks call us. They come from anywhere and have no key of ours: each hook checks who it is by itself.
HOOKS = "/hooks/"
MAX_HOOK_BODY = 1024 * 1024  # the largest event of Slack or Telegram is far below


class Guard:
    """Refuses what must not pass. Where no key is needed, only this machine is served, and no other site's pages."""

    def __init__(self, app: ASGIApp, keys: KeyRing, attempts: Attempts, host: str, max_body: int) -> None:
        self._app = app
        self._keys = keys
        self._attempts = attempts
        self._host = host.lower()
        self._is_local = is_loopback(host)
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
        except (Problem, StoreUnavailable) as error:
            await problem_of(error).response()(scope, receive, secured)
        else:
            await self._app(scope, limited, secured)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        if _size(scope) > MAX_HEAD:
            raise Problem(431, "too_large", f"The head of the request is larger than {MAX_HEAD:,} bytes.")
        if scope["path"].startswith(HOOKS):
            return
        if self._needs_key(scope["path"]):
            if not _is_open(scope["path"]):
                self._check_key(headers.get("authorization", ""), (scope.get("client") or ("",))[0])
        else:
            self._check_neighbourhood(headers, scope["path"])
        if scope["method"] == "POST":
            self._check_body(headers)

    def _needs_key(self, path: str) -> bool:
        """Say whether keys decide who may call; raises StoreUnavailable if that is not known and matters."""
        try:
            return not self._is_local or self._keys.is_needed()
        except StoreUnavailable:
            if _is_open(path):
                return True  # nobody is asked for it there
            raise

    def _check_neighbourhood(self, headers: Headers, path: str) -> None:
        """Refuse what is not from this machine, and other sites' pages in a browser on it."""
        if any(name in headers for name in PASSED_ON):
            text = "A proxy passes calls of others on to me. Make a key first: rapport keys add NAME, or WEB_API_KEY."
            raise Problem(403, "forbidden_proxy", text)
        host = headers.get("host", "")
        name = (_hostname(f"//{host}") or "").lower()
        if not (is_loopback(name) or name == self._host):
            # Somebody else's DNS may point here, and then their pages count as ours in a browser.
            raise Problem(403, "forbidden_host", "Call me by the address that I listen on.")
        origin = headers.get("origin")
        if origin is not None and origin.lower() not in (f"http://{host}".lower(), f"https://{host}".lower()):
            raise Problem(403, "forbidden_origin", "Pages of other sites may not call me.")
        # Links from elsewhere lead to the page. They bring no cookie, so elsewhere they would have it replaced.
        if headers.get("sec-fetch-site", "none") not in ("same-origin", "none") and not _is_open(path):
            raise Problem(403, "forbidden_origin", "Pages of other sites may not call me.")

    def _check_key(self, given: str, address: str) -> None:
        scheme, _, key = given.partition(" ")
        if scheme.lower() == "bearer" and key.strip():
            wait_s = self._attempts.wait_s(address)
            # Header values arrive as Latin-1; back to the bytes that were sent.
            if self._keys.admits(key.strip().encode("latin-1"), only_named=wait_s > 0):
                return
            if wait_s:
                text = f"Too many wrong keys came from your address. Please try again in {wait_s} s."
                raise Problem(429, "too_many_attempts", text, {"Retry-After": str(wait_s)})
            self._attempts.failed(address)
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


def _size(scope: Scope) -> int:
    fields = sum(len(name) + len(value) for name, value in scope["headers"])
    return fields + len(scope.get("raw_path") or b"") + len(scope["query_string"])


def _is_open(path: str) -> bool:
    return path in OPEN or path.startswith(OPEN_BELOW)


def _hostname(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
