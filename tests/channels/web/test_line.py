"""Many people wait: who reads along is told which number they are, as it changes, and no more once it is their turn."""

from collections.abc import Callable

import pytest

from channels.base import LONG_LINE
from channels.web.adapter import WebAdapter
from core.dialogue import Address
from core.events import MessageEvent
from tests.channels.web.stack import Stack
from tests.channels.web.test_api import events


def test_who_waits_in_a_long_line_is_told_their_number(
    make_stack: Callable[..., Stack], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WebAdapter, "sign_s", 0.1)
    stack = make_stack()
    for number in range(LONG_LINE + 1):
        said = MessageEvent(id=f"e{number}", address=Address(channel="x", space="s"), user=f"u{number}", text="hi")
        stack.store.inbox.accept(said)
    asked = {"message": "hi", "user": "eve"}
    with stack.client() as client, client.stream("POST", "/chat/stream", json=asked) as answer:
        seen = (event for event in events(answer.iter_lines()) if event[0] != "comment")
        assert next(seen) == ("busy", {"place": LONG_LINE + 2})
        stack.store.inbox.claim("x:-:u0", "w1")
        assert next(seen) == ("busy", {"place": LONG_LINE + 1})
        stack.store.inbox.claim("x:-:u1", "w1")
        assert next(seen) == ("busy", {"place": 0})
        stack.store.inbox.claim("x:-:u2", "w1")
        stack.start_worker()
        names = [name for name, _ in seen]
    assert "busy" not in names
    assert names[-1] == "reply"
