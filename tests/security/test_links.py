"""Addresses in replies: those that nobody gave are left out, on every channel, in drafts too; fixed texts keep them."""

import re
import threading
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import settings as core_settings
from core.dialogue import Prompt
from core.events import Draft
from core.safety import Links
from core.safety.links import NOTE
from tests.channels.path import ChannelThread, Worker, let_in
from tests.channels.test_contract import texts
from tests.core.test_responder import Model, event, ignore
from tests.platforms.base import Double
from tests.waiting import eventually

LINKS = Links(["rapport.chat"], ["look at github.com/x please"])


@pytest.mark.parametrize(
    ("text", "cleared"),
    [
        ("go to https://evil.net/x.", f"go to {NOTE}."),
        ("[the book](https://evil.net/a_(b)) yes", f"the book {NOTE} yes"),
        ('[the book](<https://evil.net> "title")', f"the book {NOTE}"),
        ("![cat](http://evil.net/c.png)", f"cat {NOTE}"),
        ("[https://github.com](https://evil.net)", NOTE),
        ("[run](javascript:alert(1)) [ada](tg://user?id=1)", f"run {NOTE} ada {NOTE}"),
        ("<https://evil.net|label> HTTPS://EVIL.NET", f"{NOTE} {NOTE}"),
        ("https://github.com@evil.net https://evil.net\\@github.com", f"{NOTE} {NOTE}"),
        ("https://github.com.evil.net https://notgithub.com", f"{NOTE} {NOTE}"),
        ("www.evil.net evil.net/x bit.ly/abc t.me/x discord.gg/y", " ".join([NOTE] * 5)),
        ("[a][1]\n\n[1]: https://evil.net/", f"[a][1]\n\n[1]: {NOTE}"),
        ("...evil.net x/evil.net my_evil.net müll.net", f"...{NOTE} x/{NOTE} {NOTE} {NOTE}"),
        ("http://[::1 slack://open", f"{NOTE} {NOTE}"),
    ],
)
def test_what_nobody_gave_is_left_out(text: str, cleared: str) -> None:
    assert LINKS.cleared(text) == cleared


@pytest.mark.parametrize(
    "text",
    [
        "https://github.com/y, www.github.com and [it](https://github.com)",
        "https://docs.rapport.chat/a rapport.chat http://example.org/q",
        "use main.py, node.js or e.g. foo; 1.5/2 and/or 24/7",
        "x = a[0](b) and f[i](j); [ok](/relative) [y](#a)",
        "Hello.It is fine.So am I. Co. Ltd. at 3 p.m.",
        "me@mail.net or a.b@x.mail.net.",
    ],
)
def test_the_rest_stays(text: str) -> None:
    assert LINKS.cleared(text) == text


def test_all_may_stand_if_the_settings_say_so() -> None:
    assert Links(["*"], []).cleared("https://evil.net") == "https://evil.net"


PIECES = [
    "https://evil.net/a",
    "[see ",
    "this](",
    "http://",
    "www.",
    "evil.net",
    ")",
    "](",
    "[",
    " ",
    "\n",
    "word",
    ".",
]


@settings(deadline=None)
@given(text=st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_no_draft_shows_an_address_or_its_beginning(text: str) -> None:
    for end in range(len(text) + 1):
        shown = LINKS.shown(text[:end])
        assert not re.search(r"evil\.net(?![\w@.-])", shown), "what another word goes on with is another word"
        assert "https://" not in shown


LIE = "Read https://made-up.net/faq or [this](https://made-up.net) now, and then tell me"


def test_a_reply_and_its_history_have_no_made_up_link() -> None:
    drafts: list[Draft | None] = []
    model = Model(LIE)
    answer = model.responder().respond([event("where?")], [], lambda name, make: drafts.append(make()))
    assert answer.reply.text == f"Read {NOTE} or this {NOTE} now, and then tell me"
    assert answer.turns[-1].text == answer.reply.text, "else the next reply could say it again"
    assert answer.decisions == ("link left out",)
    given = Model(LIE).responder().respond([event("is made-up.net any good?")], [], ignore)
    assert given.reply.text == LIE
    assert given.decisions == ()


def test_helplines_and_commands_keep_their_links() -> None:
    answer = Model().responder().respond([event("I want to kill myself")], [], ignore)
    assert "https://findahelpline.com" in answer.reply.text
    history = Model().responder().respond([event("see https://mine.net")], [], ignore).turns
    assert history[0].text == "see https://mine.net", "what a person says stays as it is"


def telling(prompt: Prompt, on_text: Callable[[str], None], cancelled: threading.Event) -> str:
    for end in range(1, len(LIE) + 1):
        on_text(LIE[:end])
        if end % 8 == 0:
            cancelled.wait(0.1)
    return LIE


def test_no_network_shows_one_not_even_for_a_moment(double: Double, redis_url: str, worker: Worker) -> None:
    worker.script = telling
    channel = ChannelThread(double.name, redis_url)
    let_in(double)
    double.say("where?")
    eventually(lambda: any("and then tell me" in text for text in texts(double)), 30)
    versions = [text for post in double.posts for text in post.texts]
    assert len(versions) > 1, "it was seen being written"
    assert not [text for text in versions if "made-up" in text]
    channel.stop()


def test_hosts_are_checked_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAPPORT_SAFETY__LINKS", '["https://example.org/"]')
    with pytest.raises(Exception, match=r"\[safety\] links.*must be a host"):
        core_settings.load()
