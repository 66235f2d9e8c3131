"""What a server's failure means: which of them pass, which are the request's own, and how long a server is left alone.

Pure but for the clock: the asking itself is in remote.py.
"""

import math
import random
import re
import threading
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from json import JSONDecodeError
from typing import Literal

import openai

from core.errors import EngineError, EngineFull, GenerationFailed, PromptTooLong
from core.remote import RemoteModel

# down: nobody answers. busy: asked too often. failing: this answer went wrong, another may not. refused: it will
# always say no to us. long: the prompt does not fit. odd: it does not take something in the request. failed: the rest.
Kind = Literal["down", "busy", "failing", "refused", "long", "odd", "failed"]

TRIES = 3
PATIENCE_S = 5.0  # a longer wait is not waited for within a request: another engine may be free
FIRST_PAUSE_S = 0.25
FIRST_REST_S = 5.0
LONGEST_REST_S = 60.0
LONGEST_WAIT_S = 600.0  # that a server can demand
WORDS = 200  # characters that are told of what a server says
_OUT_OF_CREDIT = re.compile(r"insufficient_quota|exceeded your current quota|billing|credit", re.IGNORECASE)
_TOO_LONG = re.compile(
    r"context.{0,5}(length|size|window)|maximum (context|input|model)|too (long|many tokens|large to process)"
    r"|max_(new_)?tokens.{0,80}(must be|too large|at least 1, got)|exceed_context",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Fault:
    """A failure of a server: its kind and what it said.

    ``wait_s`` is how long it asks us to wait, ``param`` which part of the request it does not take, if it says so;
    ``tries`` is how often a request may meet it before it is given up.
    """

    kind: Kind
    text: str
    wait_s: float | None = None
    param: str = ""
    tries: int = 1

    def pause_s(self, tries: int) -> float | None:
        """Return how long to wait before the request is sent again; None if it should not be."""
        if tries >= self.tries:
            return None
        spread = 1 + random.random() / 4  # so that those who were refused together do not come back together
        pause = (FIRST_PAUSE_S * 2 ** (tries - 1) if self.wait_s is None else self.wait_s) * spread
        return pause if pause <= PATIENCE_S else None

    def error(self) -> EngineError:
        """Return it as the error of a request."""
        kinds: dict[Kind, type[EngineError]] = {"busy": EngineFull, "long": PromptTooLong}
        return kinds.get(self.kind, GenerationFailed)(self.text)


class Circuit:
    """Remembers that a server is of no use now, so that nobody waits for it. Thread-safe.

    Once the rest is over one request tries it, while others are still turned away; each failure doubles the rest.
    """

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._fault: Fault | None = None
        self._failures = 0
        self._since = self._until = self._first = 0.0

    def refuse(self) -> None:
        """Raise what the server last failed with, unless it may be asked.

        Raises:
            EngineFull: it wants to be asked less, and has for less than ``patience_s``.
            GenerationFailed: it is down, or has turned us away.
        """
        with self._lock:
            now = time.monotonic()
            if self._fault is None:
                return
            if now >= self._until:
                self._until = now + FIRST_REST_S  # for the others, while this one tries
                return
            full = self._fault.kind == "busy" and now - self._first < self._patience_s
            raise (EngineFull if full else GenerationFailed)(f"{self._fault.text} It is left alone for a while.")

    def open(self, fault: Fault, asked_at: float) -> float:
        """Leave the server alone; return for how long (seconds), 0 if one asked later has told us already."""
        with self._lock:
            if asked_at < self._since:
                return 0.0
            now = self._since = time.monotonic()
            self._first = self._first if self._fault else now
            own = LONGEST_REST_S if fault.kind == "refused" else FIRST_REST_S * 2.0 ** min(self._failures, 8)
            rest = max(min(own, LONGEST_REST_S), min(fault.wait_s or 0.0, LONGEST_WAIT_S))
            self._fault, self._failures, self._until = fault, self._failures + 1, now + rest
            return rest

    def close(self) -> None:
        """Ask it as ever: it has answered."""
        with self._lock:
            self._fault, self._failures = None, 0


def understand(error: Exception, server: RemoteModel, key: str) -> Fault:
    """Return what an error of the client means. The key is taken out of what the server said."""
    said = _said(error, key)
    where = f"{server.host}: "
    if isinstance(error, (openai.APITimeoutError, TimeoutError)):
        return Fault("down", f"{where}it did not answer in time.")
    if isinstance(error, openai.APIConnectionError):
        cause = type(error.__cause__ or error).__name__
        return Fault("down", f"{where}it cannot be reached ({cause}).", tries=2)  # a kept connection may have died
    if isinstance(error, openai.APIStatusError):
        return _refusal(error, where, said, server, bool(key))
    if isinstance(error, openai.APIError):
        return Fault("long" if _TOO_LONG.search(said) else "failed", f"{where}{said}")
    if isinstance(error, (JSONDecodeError, UnicodeDecodeError)):
        return Fault("failed", f"{where}what it sends is not JSON. Is it an OpenAI-compatible server?")
    return Fault("failed", f"{where}{type(error).__name__}: {said}")


def _refusal(error: openai.APIStatusError, where: str, said: str, server: RemoteModel, has_key: bool) -> Fault:
    status, wait_s = error.status_code, retry_after(error.response.headers.get("retry-after"))
    if status in (401, 403):
        # What it says may hold a part of the key.
        wants = f"it refuses the key in {server.key_variable}. Correct it"
        return Fault("refused", f"{where}{wants if has_key else f'it wants a key. Set {server.key_variable}'} in .env.")
    if status == 402 or (status == 429 and _OUT_OF_CREDIT.search(f"{error.code} {error.type} {said}")):
        return Fault("refused", f"{where}the account has no credit left: {said}")
    if status == 404:
        hint = "Correct the name behind the # in the settings, or the address before it: most end in /v1."
        return Fault("refused", f'{where}it has no model "{server.model}": {said} {hint}')
    if status == 429 or (status == 503 and "busy" in said):
        return Fault("busy", f"{where}it has too much to do: {said}", wait_s, tries=TRIES)
    if status in (502, 503, 504, 529):
        return Fault("down", f"{where}it is not ready: {said}", wait_s, tries=TRIES)
    if status in (400, 413, 422, 500) and _TOO_LONG.search(f"{error.code} {error.type} {said}"):
        return Fault("long", f"{where}{said}")
    if status in (400, 422):
        return Fault("odd", f"{where}{said}", param=error.param or "")
    if status in (408, 409, 424, 425) or status >= 500:
        return Fault("failing", f"{where}it failed with {status}: {said}", wait_s, tries=TRIES)
    return Fault("failed", f"{where}it answered {status}: {said}")


def retry_after(header: str | None) -> float | None:
    """Return the seconds that a Retry-After header asks for, be it a number or a date; None if it says nothing."""
    if not header:
        return None
    try:
        wait_s = float(header)
    except ValueError:
        try:
            wait_s = parsedate_to_datetime(header).timestamp() - time.time()
        except ValueError:
            return None
    return max(0.0, wait_s) if math.isfinite(wait_s) else None


def _said(error: Exception, key: str) -> str:
    """Return the beginning of what the server said, wherever it put it, without the key."""
    body: object = getattr(error, "body", None)
    for field in ("error", "message", "detail"):
        if isinstance(body, dict) and body.get(field):
            body = body[field]
    if isinstance(body, list) and body and isinstance(body[0], dict):  # its other fields repeat what people wrote
        body = f"{body[0].get('msg')} ({body[0].get('loc')})"
    text = body if isinstance(body, str) and body.strip() else getattr(error, "message", "") or str(error)
    whole = " ".join(str(text).split())
    hidden = whole.replace(key, "[secret]") if key else whole  # before the cut, which could leave a part of it
    return hidden[:WORDS] or type(error).__name__
