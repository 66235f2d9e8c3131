"""From a claim to a commit, with scripted models on a real Redis."""

import threading
from collections.abc import Callable, Iterator

import pytest

from core import settings
from core.dialogue import Address, Completion, Prompt
from core.errors import EngineBroken, EngineFull, GenerationFailed
from core.events import Draft, MessageEvent, Reply
from core.responder import Responder
from core.store import Store, keys
from tests.waiting import eventually
from tests.workers.scripted import Script, models
from workers import runtime as runtime_module
from workers.runtime import Runtime

ADDRESS = Address(channel="test", space="ada")
PERSON = "test:-:ada"
Start = Callable[..., Runtime]


@pytest.fixture
def store(redis_url: str) -> Store:
    return Store(redis_url, settings.load(), lambda person: "wake")


@pytest.fixture
def start(redis_url: str) -> Iterator[Start]:
    """Start runtimes with short times; they are closed after the test."""
    base = settings.load()
    started: list[Runtime] = []

    def make(script: Script, on_broken: Callable[[], None] = lambda: None, retry_s: float = 0) -> Runtime:
        inbox = base.inbox.model_copy(update={"lease_s": 1.0, "sweep_s": 0.1, "retry_s": retry_s})
        generation = base.generation.model_copy(update={"timeout_s": 0.1})
        quick = base.model_copy(update={"inbox": inbox, "generation": generation})
        store = Store(redis_url, quick, lambda person: "wake")
        runtime = Runtime(quick, store, models(script), f"w{len(started)}", on_broken)
        started.append(runtime)
        return runtime

    yield make
    for runtime in started:
        runtime.close()


def say(store: Store, *texts: str, user: str = "ada") -> None:
    for text in texts:
        store.inbox.accept(MessageEvent(id=text, address=ADDRESS, user=user, text=text))


def replies(store: Store) -> list[Reply]:
    found = store.redis.xrange(keys.outbox("test"))
    return [Reply.model_validate_json(fields["reply"]) for _, fields in found]


def echo(prompt: Prompt, on_text: Callable[[str], None], cancelled: threading.Event) -> str:
    return f"you said {prompt.messages[-1].content}"


def test_a_waiting_message_is_answered(start: Start, store: Store) -> None:
    say(store, "hello")
    start(echo).drain(PERSON)
    (reply,) = replies(store)
    assert reply.text == "you said hello"
    assert reply.tone == "plain"
    assert [turn.text for turn in store.people.history(PERSON)] == ["hello", "you said hello"]


def test_what_arrives_meanwhile_is_the_next_turn(start: Start, store: Store) -> None:
    def script(prompt: Prompt, on_text: Callable[[str], None], cancelled: threading.Event) -> str:
        if prompt.messages[-1].content == "one":
            say(store, "two", "three")
        return echo(prompt, on_text, cancelled)

    say(store, "one")
    start(script).drain(PERSON)
    assert [reply.in_reply_to for reply in replies(store)] == [("one",), ("two", "three")]


def test_a_second_wake_up_finds_nothing(start: Start, store: Store) -> None:
    say(store, "hello")
    runtime = start(echo)
    runtime.drain(PERSON)
    runtime.drain(PERSON)
    assert len(replies(store)) == 1


def test_a_lease_is_renewed_while_the_work_lasts(start: Start, store: Store) -> None:
    working, go_on = threading.Event(), threading.Event()

    def script(prompt: Prompt, on_text: Callable[[str], None], cancelled: threading.Event) -> str:
        working.set()
        assert go_on.wait(20)
        return "late"

    say(store, "hello")
    runtime = start(script)
    thread = threading.Thread(target=runtime.drain, args=(PERSON,))
    thread.start()
    assert working.wait(5)
    for _ in range(3):
        store.redis.pexpire(keys.lease(PERSON), 400)  # as if time had passed
        eventually(lambda: store.redis.pttl(keys.lease(PERSON)) > 400)
    go_on.set()
    thread.join()
    assert [reply.text for reply in replies(store)] == ["late"]


def test_a_lost_lease_ends_the_generation_and_its_answer_is_thrown_away(start: Start, store: Store) -> None:
    working = threading.Event()

    def script(prompt: Prompt, on_text: Callable[[str], None], cancelled: threading.Event) -> str:
        working.set()
        assert cancelled.wait(20)
        return "stale"

    say(store, "hello")
    runtime = start(script)
    thread = threading.Thread(target=runtime.drain, args=(PERSON,))
    thread.start()
    assert working.wait(5)
    store.inbox.break_leases("w0")
    thread.join()
    assert replies(store) == []
    start(echo).drain(PERSON)
    assert [reply.text for reply in replies(store)] == ["you said hello"]


def test_stop_ends_the_reply_that_is_being_written(start: Start, store: Store) -> None:
    working = threading.Event()

    def script(prompt: Prompt, on_text: Callable[[str], None], cancelled: threading.Event) -> str:
        working.set()
        assert cancelled.wait(20)
        return "so far"

    say(store, "tell me a long story")
    runtime = start(script)
    thread = threading.Thread(target=runtime.drain, args=(PERSON,))
    thread.start()
    assert working.wait(5)
    store.inbox.request_stop(PERSON)
    say(store, "/stop")
    thread.join()
    first, second = replies(store)
    assert (first.text, first.finish_reason) == ("so far", "cancelled")
    assert second.finish_reason == "command"


def test_stop_that_was_said_before_the_reply_was_begun_ends_it(start: Start, store: Store) -> None:
    def script(prompt: Prompt, on_text: Callable[[str], None], cancelled: threading.Event) -> str:
        assert cancelled.wait(20)
        return ""

    say(store, "tell me a long story", "/stop")
    start(script).drain(PERSON)
    assert [reply.finish_reason for reply in replies(store)] == ["cancelled", "command"]


def test_a_failing_generation_is_tried_again(start: Start, store: Store) -> None:
    failures = iter([GenerationFailed("first"), ValueError("second")])

    def script(prompt: Prompt, on_text: Callable[[str], None], cancelled: threading.Event) -> str:
        for error in failures:
            raise error
        return "third time lucky"

    say(store, "hello")
    runtime = start(script)
    for _ in range(3):
        runtime.drain(PERSON)
    assert [reply.text for reply in replies(store)] == ["third time lucky"]


def test_a_poison_message_gets_an_apology_and_blocks_nobody(start: Start, store: Store) -> None:
    def script(prompt: Prompt, on_text: Callable[[str], None], cancelled: threading.Event) -> str:
        if any("poison" in one.content for one in prompt.messages):
            raise GenerationFailed("always")
        return "fine"

    say(store, "poison")
    runtime = start(script)
    attempts = settings.load().inbox.max_attempts
    for _ in range(attempts):
        runtime.drain(PERSON)
        assert replies(store) == []
    runtime.drain(PERSON)
    say(store, "hello")
    runtime.drain(PERSON)
    first, second = replies(store)
    assert (first.text, first.finish_reason) == (settings.load().bot.apology, "failed")
    assert second.text == "fine"


def test_a_generation_without_a_word_in_time_is_tried_again(start: Start, store: Store) -> None:
    said = iter([Completion(text="", finish_reason="timeout", prompt_tokens=1, completion_tokens=0), "in time"])
    say(store, "hello")
    runtime = start(lambda *_: next(said))
    runtime.drain(PERSON)
    assert replies(store) == []
    runtime.drain(PERSON)
    assert [reply.text for reply in replies(store)] == ["in time"]


def test_a_failed_attempt_delays_the_next_one_and_nobody_else(start: Start, store: Store) -> None:
    failures = [GenerationFailed("first"), GenerationFailed("second")]

    def script(prompt: Prompt, on_text: Callable[[str], None], cancelled: threading.Event) -> str:
        if "poison" in prompt.messages[-1].content and failures:
            raise failures.pop(0)
        return "fine"

    say(store, "poison")
    say(store, "hello", user="bob")
    runtime = start(script, retry_s=30)
    for least_s, most_s in ((0, 30), (30, 60)):
        runtime.drain(PERSON)
        assert store.inbox.claim(PERSON, "another worker") is None
        assert least_s * 1000 < store.redis.pttl(keys.later(PERSON)) <= most_s * 1000
        runtime.drain(PERSON)  # too early: no attempt
        runtime.drain("test:-:bob")
        assert [reply.person for reply in replies(store)] == ["test:-:bob"]
        store.redis.pexpire(keys.later(PERSON), 1)  # as if time had passed
        eventually(lambda: not store.redis.exists(keys.later(PERSON)))
    runtime.drain(PERSON)
    assert [reply.person for reply in replies(store)] == ["test:-:bob", PERSON]


def test_an_apology_that_fails_costs_an_attempt_too(
    start: Start, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def script(prompt: Prompt, on_text: Callable[[str], None], cancelled: threading.Event) -> str:
        raise GenerationFailed("always")

    say(store, "hello")
    runtime = start(script)
    with monkeypatch.context() as patch:
        patch.setattr(Responder, "apologise", lambda *_: int("unexpected"))
        for _ in range(settings.load().inbox.max_attempts + 2):
            runtime.drain(PERSON)
    assert replies(store) == []
    runtime.drain(PERSON)
    assert [reply.finish_reason for reply in replies(store)] == ["failed"]


def test_a_broken_engine_ends_the_worker_and_costs_no_attempt(start: Start, store: Store) -> None:
    def script(prompt: Prompt, on_text: Callable[[str], None], cancelled: threading.Event) -> str:
        raise EngineBroken("the device is gone")

    ends: list[str] = []
    say(store, "hello")
    runtime = start(script, lambda: ends.append("end"))
    runtime.drain(PERSON)
    runtime.drain(PERSON)
    assert runtime.broken
    assert ends == ["end"]
    claim = store.inbox.claim(PERSON, "next")
    assert claim
    assert claim.attempt == 1


def test_a_broken_engine_ends_the_worker_even_if_redis_refuses(start: Start, store: Store) -> None:
    def script(prompt: Prompt, on_text: Callable[[str], None], cancelled: threading.Event) -> str:
        store.redis.config_set("maxmemory", 1)  # from now on nothing can be written
        raise EngineBroken("the device is gone")

    ended = threading.Event()
    say(store, "hello")
    runtime = start(script, ended.set)
    try:
        runtime.drain(PERSON)
    finally:
        store.redis.config_set("maxmemory", 0)
    assert ended.is_set()
    store.inbox.break_leases("w0")
    start(echo).drain(PERSON)
    assert [reply.text for reply in replies(store)] == ["you said hello"]


def test_a_model_that_hangs_ends_the_worker_and_costs_an_attempt(
    start: Start, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = threading.Event()

    def script(prompt: Prompt, on_text: Callable[[str], None], cancelled: threading.Event) -> str:
        over.wait(60)
        return "too late"

    monkeypatch.setattr(runtime_module, "HANG_GRACE_S", 0.1)
    ended = threading.Event()
    say(store, "hello")
    start(script, ended.set).drain(PERSON)
    over.set()
    assert ended.is_set()
    assert replies(store) == []
    claim = store.inbox.claim(PERSON, "next")
    assert claim
    assert claim.attempt == 2


def test_a_full_engine_costs_no_attempt(start: Start, store: Store) -> None:
    refusals = iter([EngineFull("full")] * 10)

    def script(prompt: Prompt, on_text: Callable[[str], None], cancelled: threading.Event) -> str:
        for error in refusals:
            raise error
        return "at last"

    say(store, "hello")
    runtime = start(script)
    for _ in range(11):
        runtime.drain(PERSON)
    assert [reply.text for reply in replies(store)] == ["at last"]


def test_partial_text_goes_out_as_drafts(start: Start, store: Store) -> None:
    heard, go_on = threading.Event(), threading.Event()

    def script(prompt: Prompt, on_text: Callable[[str], None], cancelled: threading.Event) -> str:
        on_text("Once upon")
        assert go_on.wait(20)
        return "Once upon a time"

    with store.outbox("test").news() as feed:
        say(store, "a story please")
        runtime = start(script)
        thread = threading.Thread(target=runtime.drain, args=(PERSON,))
        thread.start()
        draft = eventually(lambda: isinstance(found := feed.next(0.1), Draft) and found.text and found)
        heard.set()
        go_on.set()
        thread.join()
    (reply,) = replies(store)
    assert draft.text == "Once", "the last word may not be whole yet"
    assert draft.reply_id == reply.id
    assert draft.in_reply_to == reply.in_reply_to


def test_forget_erases_every_trace(start: Start, store: Store) -> None:
    def bury(person: str) -> None:
        reply = Reply(id=person, address=ADDRESS, text="secret", in_reply_to=("e",), person=person)
        store.redis.xadd(keys.outbox("test"), {"reply": reply.model_dump_json()})
        outbox = store.outbox("test")
        outbox.open()
        for delivery in outbox.read("one", 10):
            outbox.bury(delivery, "blocked")

    runtime = start(echo)
    say(store, "my secret")
    runtime.drain(PERSON)
    store.redis.delete(keys.outbox("test"))
    bury(PERSON)
    bury("test:-:bob")
    say(store, "/forget")
    runtime.drain(PERSON)
    (reply,) = replies(store)
    assert "2 messages" in reply.text
    assert [letter.person for letter in store.letters.all()] == ["test:-:bob"]
    assert not [key for key in store.redis.scan_iter("rapport:*") if PERSON in key and "seen" not in key]


def test_a_worker_gives_signs_of_life(start: Start, store: Store) -> None:
    runtime = start(echo)
    assert [sign.id for sign in eventually(store.workers.alive)] == ["w0"]
    runtime.close()
    assert store.workers.alive() == []
