"""``GET /metrics``: what Prometheus gets of a real Redis, by whom it may be asked, and when Redis is away."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from channels.web import metrics
from core.dialogue import Address
from core.events import MessageEvent, Reply
from core.settings import CHANNELS
from core.store import Store, WorkerSign, keys
from tests.channels.web.conftest import KEY
from tests.channels.web.stack import RedisServer, Stack
from tests.waiting import eventually

ADA = Address(channel="slack", space="C0SECRET")
PERSON = "slack:T0SECRET:U0SECRET"
TEXT = "nobody else shall read this"
LETTER = {"channel": "slack", "kind": "reply"}


@pytest.fixture(scope="module")
def idle(web_redis: RedisServer) -> Iterator[Stack]:
    """A channel without a worker."""
    stack = Stack(web_redis.url(3), route={"slack": "large"}, inbox={"lease_s": 30.0})
    yield stack
    stack.close()


@pytest.fixture
def empty(idle: Stack, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """The same on an empty database; every scrape reads anew."""
    monkeypatch.setattr(metrics, "FRESH_S", 0)
    idle.store.redis.flushdb()
    return idle


class Scrape:
    """What one answer says."""

    def __init__(self, text: str) -> None:
        self.families = {family.name: family for family in text_string_to_metric_families(text)}
        self._samples = [sample for family in self.families.values() for sample in family.samples]

    def __call__(self, name: str, **labels: str) -> float:
        (value,) = [one.value for one in self._samples if one.name == name and one.labels == labels]
        return value

    def labels(self, name: str) -> list[dict[str, str]]:
        return [one.labels for one in self._samples if one.name == name]


def scrape(stack: Stack) -> Scrape:
    answer = httpx.get(f"{stack.base}/metrics")
    assert answer.status_code == 200, answer.text
    return Scrape(answer.text)


def say(store: Store, number: int, *, user: str = "U0SECRET", ago_s: float = 0) -> None:
    at = datetime.now(UTC) - timedelta(seconds=ago_s)
    event = MessageEvent(id=f"e{number}", address=ADA, user=user, workspace="T0SECRET", text=TEXT, sent_at=at)
    assert store.inbox.accept(event)


def answer(store: Store, number: int) -> None:
    reply = Reply(id=f"r{number}", address=ADA, text=TEXT, in_reply_to=("e",), person=PERSON)
    store.redis.xadd(keys.outbox("slack"), {"reply": reply.model_dump_json()})


def refuse(store: Store) -> None:
    """As a channel does with everything in its outbox that its network refuses for good."""
    outbox = store.outbox("slack")
    outbox.open()
    for delivery in outbox.read("one", 10):
        outbox.bury(delivery, f"{PERSON} blocked the bot: {TEXT}")


def test_it_is_what_prometheus_reads(empty: Stack) -> None:
    got = httpx.get(f"{empty.base}/metrics")
    assert got.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = Scrape(got.text)
    for name, family in found.families.items():
        assert name.startswith("rapport_")
        assert family.documentation.endswith(".")
        assert family.type in ("gauge", "counter")
    (build,) = found.labels("rapport_build_info")
    assert build.keys() == {"version", "redis"}


def test_what_is_empty_is_zero_and_not_missing(empty: Stack) -> None:
    """An alert on a value that is not there never fires."""
    found = scrape(empty)
    for name in ("people_waiting", "messages_waiting", "oldest_waiting_seconds", "leases", "leases_stranded"):
        assert found(f"rapport_{name}") == 0
    for channel in CHANNELS:
        assert found("rapport_outbox_replies", channel=channel) == 0
        assert found("rapport_outbox_oldest_seconds", channel=channel) == 0
        assert found("rapport_dead_letters", channel=channel, kind="message") == 0
        assert found("rapport_dead_letters", channel=channel, kind="reply") == 0
    for queue in ("celery", "celery.large"):
        assert found("rapport_queue_wakeups", queue=queue) == 0
        for state in ("ready", "loading"):
            assert found("rapport_workers", queue=queue, state=state) == 0
    assert found("rapport_dead_letters_written_total") == 0
    assert found("rapport_redis_memory_bytes") > 0
    assert found("rapport_redis_memory_limit_bytes") == 0


def test_who_waits_is_counted(empty: Stack) -> None:
    say(empty.store, 1, ago_s=50)
    say(empty.store, 2)
    say(empty.store, 3, user="U0BOB")
    assert empty.store.inbox.claim(PERSON, "a-worker-that-died")
    found = scrape(empty)
    assert found("rapport_people_waiting") == 2
    assert found("rapport_messages_waiting") == 3
    assert 50 <= found("rapport_oldest_waiting_seconds") < 80
    assert found("rapport_leases") == 1
    assert found("rapport_leases_stranded") == 1
    assert found("rapport_queue_wakeups", queue="celery.large") == 3
    assert found("rapport_queue_wakeups", queue="celery") == 0


def test_a_dead_letter_raises_the_gauge_and_a_purge_lowers_it(empty: Stack) -> None:
    answer(empty.store, 1)
    found = scrape(empty)
    assert found("rapport_outbox_replies", channel="slack") == 1
    assert found("rapport_dead_letters", **LETTER) == 0
    refuse(empty.store)
    found = scrape(empty)
    assert found("rapport_outbox_replies", channel="slack") == 0
    assert found("rapport_dead_letters", **LETTER) == 1
    assert found("rapport_dead_letters_written_total") == 1
    empty.store.letters.purge(empty.store.letters.all())
    found = scrape(empty)
    assert found("rapport_dead_letters", **LETTER) == 0
    assert found("rapport_dead_letters_written_total") == 1


def test_letters_are_told_apart_by_kind_and_channel(empty: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.store.dead.AT_ONCE", 2)
    letters = [
        '{"reason": "x", "person": "web:api:ada", "events": ["{}"]}',
        '{"reason": "x", "person": "web:api:bob", "events": ["{}"], "outbox": ""}',
        '{"reason": "x", "person": "terminal:-:ada", "reply": "{}", "outbox": "terminal.1234"}',
        '{"reason": "x", "person": "U0SECRET", "reply": "{}", "outbox": "U0SECRET"}',
        "no json",
    ]
    for letter in letters:
        empty.store.redis.xadd(keys.DEAD, {"letter": letter})
    empty.store.redis.xadd(keys.DEAD, {"other": "field"})
    found = scrape(empty)
    assert found("rapport_dead_letters", channel="web", kind="message") == 2
    assert found("rapport_dead_letters", channel="web", kind="reply") == 0
    assert found("rapport_dead_letters", channel="terminal", kind="reply") == 1
    assert found("rapport_dead_letters", channel="unknown", kind="reply") == 3


def test_workers_and_channels_that_live_are_shown(empty: Stack) -> None:
    sign = WorkerSign(id="w1", pid=7, host="here", ready=True, chat_model="http://user:secret@there/v1#m")
    empty.store.workers.beat(sign)
    empty.store.workers.beat(sign.model_copy(update={"id": "w2", "serves": "large", "ready": False}))
    eventually(lambda: scrape(empty)("rapport_channel_up", channel="web") == 1)  # the one of this test
    found = scrape(empty)
    assert found("rapport_workers", queue="celery", state="ready") == 1
    assert found("rapport_workers", queue="celery.large", state="loading") == 1
    assert found("rapport_workers", queue="celery.large", state="ready") == 0
    assert found("rapport_channel_up", channel="slack") == 0


def test_decisions_for_safety_are_counted(empty: Stack) -> None:
    empty.store.redis.hset(keys.COUNTS, mapping={"crisis suicide": 3, "note sent": 1})
    found = scrape(empty)
    assert found.families["rapport_safety_decisions"].type == "counter"
    assert found("rapport_safety_decisions_total", decision="crisis suicide") == 3
    assert found("rapport_safety_decisions_total", decision="note sent") == 1


def test_nobody_and_no_text_is_in_it(empty: Stack) -> None:
    say(empty.store, 1)
    assert empty.store.inbox.claim(PERSON, "w1")
    answer(empty.store, 1)
    refuse(empty.store)
    answer(empty.store, 2)
    empty.store.workers.beat(WorkerSign(id="w1", pid=7, host="here", ready=True, chat_model="http://u:SECRET@there/v1"))
    text = httpx.get(f"{empty.base}/metrics").text
    assert Scrape(text)("rapport_dead_letters", **LETTER) == 1
    for private in ("SECRET", TEXT, "blocked", empty.url):
        assert private not in text


def test_redis_is_read_once_however_many_ask(empty: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "FRESH_S", 3600)
    before = httpx.get(f"{empty.base}/metrics").text
    say(empty.store, 1)
    assert httpx.get(f"{empty.base}/metrics").text == before
    monkeypatch.setattr(metrics, "FRESH_S", 0)
    assert scrape(empty)("rapport_people_waiting") == 1


def test_it_needs_the_key_of_the_api(locked: Stack) -> None:
    with locked.client() as client:
        for headers in ({}, {"Authorization": "Bearer not-the-key"}):
            refused = client.get("/metrics", headers=headers)
            assert refused.status_code == 401
            assert refused.json()["error"]["code"] == "unauthorized"
        found = client.get("/metrics", headers={"Authorization": f"Bearer {KEY}"})
        assert found.status_code == 200
        assert Scrape(found.text)("rapport_redis_memory_bytes") > 0


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path)
    yield server
    server.stop()


def test_without_redis_it_is_503_in_the_common_shape(own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "FRESH_S", 3600)
    stack = Stack(own_redis.url())
    try:
        with stack.client() as client:
            eventually(lambda: client.get("/commands").status_code == 200)  # its keys are known
            own_redis.stop()
            for _ in range(2):  # the second time as it was found the first time
                away = client.get("/metrics")
                assert away.status_code == 503
                assert away.json()["error"]["code"] == "unavailable"
                assert away.headers["retry-after"]
            own_redis.start()
            monkeypatch.setattr(metrics, "FRESH_S", 0)
            eventually(lambda: client.get("/metrics").status_code == 200)
    finally:
        stack.close()
