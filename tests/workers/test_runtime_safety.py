"""Safety from a message to the outboxes, with scripted models on a real Redis."""

import logging
import threading
from collections.abc import Callable, Iterator

import pytest

from core import settings
from core.dialogue import Address, Prompt
from core.events import Draft, MessageEvent, Reply
from core.safety import crisis_answer
from core.store import Store, keys
from tests.waiting import eventually
from tests.workers.scripted import Script, models
from workers.runtime import Runtime

ADDRESS = Address(channel="test", space="ada")
PERSON = "test:-:ada"
Start = Callable[[Script], Runtime]


@pytest.fixture
def store(redis_url: str) -> Store:
    return Store(redis_url, settings.load(), lambda person: "wake")


@pytest.fixture
def start(redis_url: str) -> Iterator[Start]:
    base = settings.load()
    conf = base.model_copy(update={"safety": base.safety.model_copy(update={"notify": "discord:123"})})
    started: list[Runtime] = []

    def make(script: Script) -> Runtime:
        runtime = Runtime(conf, Store(redis_url, conf, lambda person: "wake"), models(script), "w")
        started.append(runtime)
        return runtime

    yield make
    for runtime in started:
        runtime.close()


def say(store: Store, text: str) -> None:
    store.inbox.accept(MessageEvent(id=text, address=ADDRESS, user="ada", text=text))


def replies(store: Store, outbox: str = "test") -> list[Reply]:
    return [Reply.model_validate_json(fields["reply"]) for _, fields in store.redis.xrange(keys.outbox(outbox))]


def test_a_crisis_reaches_the_person_and_who_looks_after_them(
    start: Start, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    def never(prompt: Prompt, on_text: Callable[[str], None], cancelled: threading.Event) -> str:
        raise AssertionError("no model is asked in a crisis")

    caplog.set_level(logging.DEBUG)
    runtime = start(never)
    for text in ("I want to kill myself", "I want to die"):
        say(store, text)
        runtime.drain(PERSON)
    first, second = replies(store)
    assert first.text == second.text == crisis_answer("suicide", settings.load().safety)
    (note,) = replies(store, "discord")
    assert note.person == PERSON
    assert "kill" not in note.model_dump_json()
    assert store.counts.all() == {"crisis suicide": 2, "note held back": 1, "note sent": 1}
    assert [turn.text for turn in store.people.history(PERSON)][::2] == ["I want to kill myself", "I want to die"]
    assert "kill myself" not in caplog.text
    assert "want to die" not in caplog.text


def test_a_refused_reply_is_written_anew_and_never_seen(start: Start, store: Store) -> None:
    sayings = iter(["My friend bob@company.com can help you", "I can help you"])
    seen_enough = threading.Event()

    def script(prompt: Prompt, on_text: Callable[[str], None], cancelled: threading.Event) -> str:
        text = next(sayings)
        on_text("My friend is")
        assert seen_enough.wait(20)
        on_text(f"{text} today")
        return text

    drafts: list[str] = []
    with store.outbox("test").news() as feed:

        def shown() -> bool:
            found = feed.next(0.1)
            drafts.append(found.text if isinstance(found, Draft) else "")
            return drafts[-1] == "My friend"

        say(store, "who can help me?")
        runtime = start(script)
        thread = threading.Thread(target=runtime.drain, args=(PERSON,))
        thread.start()
        eventually(shown)
        seen_enough.set()
        thread.join()
        while found := feed.next(0.2):
            drafts.append(found.text if isinstance(found, Draft) else "")
    (reply,) = replies(store)
    assert reply.text == "I can help you"
    assert not any("bob" in text for text in drafts)
    assert store.counts.all() == {"refused personal": 1}
