"""What Discord refuses: forms, pings that nobody wanted, rates, and interactions that are answered too late."""

import json
import re
import time
from collections import deque
from dataclasses import dataclass, field

from aiohttp import web

from tests.platforms.discord_world import ROLE_MENTION, USER_MENTION, Json

MAX_CONTENT, MAX_NONCE, MAX_CUSTOM_ID = 2000, 25, 100
EVERYONE = re.compile(r"@(everyone|here)\b")
COMMAND_NAME = re.compile(r"[-_'\w]{1,32}")
# Calls in a window of seconds, for each channel. Discord promises none of them; these are what is seen.
RATES = {
    "post": (5, 5.0), "edit": (5, 5.0), "delete": (5, 1.0), "typing": (5, 5.0), "history": (10, 5.0),
    "reaction": (1, 0.25), "thread": (5, 5.0),
}  # fmt: skip
ANY_RATE = (50, 1.0)
GLOBAL_RATE = (50, 1.0)
OUTSIDE_GLOBAL = ("callback", "original", "followup", "edit_followup", "delete_followup")
CODES = {
    10002: (404, "Unknown Application"),
    10003: (404, "Unknown Channel"),
    10008: (404, "Unknown Message"),
    10013: (404, "Unknown User"),
    10015: (404, "Unknown Webhook"),
    10062: (404, "Unknown interaction"),
    30034: (400, "Max number of daily application command creates has been reached (200)"),
    40060: (400, "Interaction has already been acknowledged."),
    50001: (403, "Missing Access"),
    50005: (403, "Cannot edit a message authored by another user"),
    50006: (400, "Cannot send an empty message"),
    50007: (403, "Cannot send messages to this user"),
    50013: (403, "Missing Permissions"),
    50027: (401, "Invalid Webhook Token"),
    50083: (400, "Thread is archived"),
    160002: (403, "Cannot reply without permission to read message history"),
    160004: (400, "A thread has already been created for this message"),
    160006: (400, "Maximum number of active threads reached"),
}


class Refusal(Exception):
    """A call that Discord answers with an error."""

    def __init__(self, code: int, errors: Json | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.errors = errors

    def response(self) -> web.Response:
        status, message = CODES.get(self.code, (400, "Invalid Form Body"))
        body: Json = {"message": message, "code": self.code}
        if self.errors:
            body["errors"] = self.errors
        return answer(body, status)


def answer(body: object = None, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """Return an answer as Discord gives it; its content type names no charset."""
    if body is None:
        return web.Response(status=204, headers=headers)
    return web.Response(body=json.dumps(body).encode(), status=status, content_type="application/json", headers=headers)


def too_long(field_name: str, limit: int) -> Refusal:
    """Return the refusal of a field that is too long."""
    error = {"code": "BASE_TYPE_MAX_LENGTH", "message": f"Must be {limit} or fewer in length."}
    return Refusal(50035, {field_name: {"_errors": [error]}})


def check_message(body: Json, *, new: bool) -> None:
    """Raise Refusal for what cannot be posted. Length is counted in code points."""
    content = body.get("content")
    if content is not None and len(content) > MAX_CONTENT:
        raise too_long("content", MAX_CONTENT)
    if (new or content is not None) and not (content or "").strip() and not body.get("embeds"):
        raise Refusal(50006)
    if len(str(body.get("nonce", ""))) > MAX_NONCE:
        raise too_long("nonce", MAX_NONCE)
    for row in body.get("components", []):
        if row["type"] != 1 or not 1 <= len(row["components"]) <= 5:
            raise Refusal(50035, {"components": {"_errors": [{"code": "BASE_TYPE_BAD_LENGTH", "message": "1 to 5"}]}})
        if any(len(button["custom_id"]) > MAX_CUSTOM_ID for button in row["components"]):
            raise too_long("components.custom_id", MAX_CUSTOM_ID)


def pings(body: Json) -> list[str]:
    """Return whom a message of the bot would ping."""
    content, allowed = body.get("content") or "", body.get("allowed_mentions")
    wanted = {
        "everyone": [found.group() for found in EVERYONE.finditer(content)],
        "roles": ROLE_MENTION.findall(content),
        "users": USER_MENTION.findall(content),
    }
    if allowed is None:
        return [one for kind in wanted.values() for one in kind]
    parse = allowed.get("parse", [])
    return [one for kind, found in wanted.items() for one in found if kind in parse or one in allowed.get(kind, [])]


def check_commands(commands: list[Json]) -> None:
    """Raise Refusal for application commands that cannot be registered."""
    for command in commands:
        if not COMMAND_NAME.fullmatch(command["name"]) or command["name"] != command["name"].lower():
            raise Refusal(50035, {"name": {"_errors": [{"code": "STRING_TYPE_REGEX", "message": "bad name"}]}})
        for item in [command, *command.get("options", [])]:
            if not 1 <= len(item["description"]) <= 100:
                raise too_long("description", 100)
        if len(command.get("options", [])) > 25:
            raise too_long("options", 25)


@dataclass
class _Window:
    """A fixed window of one bucket, and until when nothing may be sent after a 429."""

    ends: float = 0.0
    used: int = 0
    closed_until: float = 0.0


@dataclass
class Rates:
    """All buckets. ``enforced`` off: headers are given, nothing is refused but during a wait that was told."""

    violations: list[str]
    enforced: bool = True
    invalid_requests: int = 0
    limited: list[tuple[str, float]] = field(default_factory=list)
    _windows: dict[str, _Window] = field(default_factory=dict)
    _recent: deque[float] = field(default_factory=deque)
    _told: bool = False
    _closed_until: float = 0.0
    _banned: bool = False

    def take(self, method: str, major: str) -> tuple[dict[str, str], web.Response | None]:
        """Count a call; return the headers of its answer, and the 429 if it is one too many."""
        now = time.monotonic()
        if refusal := self._closed(method, now) or self._global(method, now):
            return {}, refusal
        limit, span = RATES.get(method, ANY_RATE)
        window = self._windows.setdefault(f"{method}:{major}", _Window())
        if now < window.closed_until:
            self.violations.append(f"{method} was called {window.closed_until - now:.2f} s before a 429 allowed it")
            return {}, self._refuse(method, window.closed_until - now, "user")
        if now >= window.ends:
            window.ends, window.used = now + span, 0
        window.used += 1
        if window.used > limit and self.enforced:
            return {}, self._refuse(method, window.ends - now, "user")
        return {
            "X-RateLimit-Bucket": f"bucket-{method}", "X-RateLimit-Limit": str(limit),
            "X-RateLimit-Remaining": str(max(0, limit - window.used)),
            "X-RateLimit-Reset-After": f"{window.ends - now:.3f}",
            "X-RateLimit-Reset": f"{time.time() + window.ends - now:.3f}",
        }, None  # fmt: skip

    def flood(self, method: str, major: str, wait_s: float) -> web.Response:
        """Refuse a call and close its bucket for so long."""
        self._windows.setdefault(f"{method}:{major}", _Window()).closed_until = time.monotonic() + wait_s
        return self._refuse(method, wait_s, "shared")

    def close(self, wait_s: float, *, ban: bool = False) -> None:
        """Refuse all calls for so long: the limit of all calls, or a ban by Cloudflare, which names no time."""
        self._closed_until, self._banned, self._told = time.monotonic() + wait_s, ban, False

    def _closed(self, method: str, now: float) -> web.Response | None:
        """Refuse a call while all are; the first is told, further ones show that it was not heeded."""
        if now >= self._closed_until or (method in OUTSIDE_GLOBAL and not self._banned):
            return None
        if self._told and method != "callback":
            self.violations.append(f"{method} was called {self._closed_until - now:.2f} s before any call was allowed")
        self._told = True
        if self._banned:
            return web.Response(text="error code: 1015", status=429, content_type="text/plain")
        return self._refuse(method, self._closed_until - now, "global")

    def _global(self, method: str, now: float) -> web.Response | None:
        limit, span = GLOBAL_RATE
        if method in OUTSIDE_GLOBAL or not self.enforced:
            return None
        while self._recent and self._recent[0] < now - span:
            self._recent.popleft()
        self._recent.append(now)
        return self._refuse(method, span, "global") if len(self._recent) > limit else None

    def _refuse(self, method: str, wait_s: float, scope: str) -> web.Response:
        self.limited.append((method, wait_s))
        self.invalid_requests += scope != "shared"
        body = {"message": "You are being rate limited.", "retry_after": round(wait_s, 3), "global": scope == "global"}
        headers = {"Via": "1.1 google", "Retry-After": str(int(wait_s) + 1), "X-RateLimit-Scope": scope}
        return answer(body, 429, headers)
