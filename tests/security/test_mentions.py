"""Nobody is called by the bot: the doubles of the networks take note of every text of it that would ring somewhere."""

import threading
from collections.abc import Callable, Iterator

import pytest

from core.dialogue import Prompt
from tests.channels.path import ChannelThread, Worker, let_in, quick_settings, surroundings
from tests.channels.test_contract import DOUBLES, texts
from tests.platforms.base import Double
from tests.waiting import eventually

PINGS = "@everyone @here @channel <!channel> <!here> <!everyone> <@U0ONEADA> <@1001> <@!1001> <@&2> <!subteam^S1>"


@pytest.fixture(params=DOUBLES)
def double(request: pytest.FixtureRequest, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Double]:
    monkeypatch.setenv("RAPPORT_BOT__APOLOGY", f"Sorry. {PINGS} apology")
    monkeypatch.setenv("RAPPORT_INBOX__MAX_ATTEMPTS", "1")
    double = DOUBLES[request.param]()
    with surroundings(double, monkeypatch):
        yield double
    assert not double.violations, double.violations


def script(prompt: Prompt, on_text: Callable[[str], None], cancelled: threading.Event) -> str:
    """Write what was said, slowly; fail where that is asked for."""
    said = prompt.messages[-1].content
    if "fail" in said:
        raise RuntimeError(said)
    words = f"{said} {PINGS} end".split()
    for count in range(1, len(words)):
        on_text(" ".join(words[:count]))
        cancelled.wait(0.05)
    return " ".join(words)


def test_no_text_of_any_kind_rings(double: Double, redis_url: str, worker: Worker) -> None:
    worker.script = script
    channel = ChannelThread(double.name, redis_url)
    let_in(double)

    def arrives(word: str, place: str) -> None:
        eventually(lambda: any(word in text for text in texts(double, place)), 30)

    double.say(f"draft and reply, and the title of its thread {PINGS}", place="group")
    arrives("end", "group")
    double.say(f"please fail {PINGS}", place="thread")
    arrives("apology", "thread")
    double.say(f"private words {PINGS}")
    arrives("end", "direct")
    double.say("/export")
    arrives("Everything I keep", "direct")
    double.say("x" * (quick_settings().inbox.max_chars + 1) if double.name == "slack" else f"/help {PINGS}")
    eventually(lambda: [text for text in texts(double) if "I can take" in text or "I also know" in text], 30)
    channel.stop()
    assert len(double.posts) >= 5
    assert any(len(post.texts) > 1 for post in double.posts), "drafts were among them"
