"""``rapport status``: what it reads from a real Redis, what it makes of it, and a whole stack that falls ill."""

import json
import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from core import settings
from core.dialogue import Address
from core.events import MessageEvent, Reply
from core.store import Store, WorkerSign, keys
from rapport import status
from rapport.__main__ import app
from tests.rapport.test_local import Start, start, the_worker
from tests.waiting import eventually

__all__ = ["start"]
ADDRESS = Address(channel="web", space="ada")
PERSON = "web:-:ada"


@pytest.fixture
def store(redis_url: str) -> Iterator[Store]:
    store = Store(redis_url, settings.load(), lambda person: "wake")
    yield store
    store.close()


@pytest.fixture
def whole(store: Store) -> Store:
    """As it is when a worker and the web channel live."""
    store.workers.beat(WorkerSign(id="w1", pid=7, host="here", ready=True, chat_model="m", encoder="e", version="1"))
    assert store.outbox("web").lead("p1")
    return store


def run(*arguments: str) -> Result:
    settings.load.cache_clear()
    return CliRunner().invoke(app, ["status", *arguments])


def say(store: Store, text: str, *, user: str = "ada", ago_s: float = 0) -> None:
    at = datetime.now(UTC) - timedelta(seconds=ago_s)
    store.inbox.accept(MessageEvent(id=text, address=ADDRESS, user=user, text=text, sent_at=at))


def put(store: Store, number: int, ago_s: float = 0) -> None:
    reply = Reply(id=f"r{number}", address=ADDRESS, text="a secret", in_reply_to=("e",), person=PERSON)
    began = int((datetime.now(UTC).timestamp() - ago_s) * 1000)
    store.redis.xadd(keys.outbox("web"), {"reply": reply.model_dump_json()}, id=f"{began}-0")


def test_all_is_fine(whole: Store) -> None:
    done = run()
    assert done.exit_code == 0, done.output
    assert done.output.startswith("fine\n")
    assert "1 processes, p1 sends; 0 replies to be sent" in done.output
    assert "w1 (pid 7, 1) is ready, answers 0 people; m, e" in done.output


def test_a_program_reads_the_same(whole: Store) -> None:
    say(whole, "one", ago_s=50)
    say(whole, "two", user="bob", ago_s=10)
    say(whole, "three", user="bob")
    assert whole.inbox.claim(PERSON, "w1")
    assert whole.inbox.claim("web:-:bob", "dead-worker")
    put(whole, 1, ago_s=20)
    report = json.loads(run("--json").output)
    assert report["status"] == "fine"
    assert report["why"] == []
    queue = report["queue"]
    assert 50 <= queue.pop("oldest_s") < 60
    assert queue == {"people": 2, "messages": 3, "wake_ups": 3, "leases": 2, "stranded": 1}
    (web,) = report["channels"]
    assert 20 <= web.pop("oldest_s") < 30
    process = {"name": "p1", "pid": os.getpid(), "version": "0.1.0"}
    assert web == {"name": "web", "expected": False, "processes": [process], "senders": ["p1"], "outbox": 1}
    assert report["workers"][0]["leases"] == 1
    assert report["versions"].keys() == {"rapport", "python", "redis"}
    assert report["redis"]["memory_bytes"] > 0


def test_signs_of_a_release_that_writes_them_in_another_way_are_passed_over(whole: Store) -> None:
    for sign in ("p2", "p2|2.0|no number|web"):
        whole.redis.zadd(keys.processes("web"), {sign: 9e15})
    for number, sign in enumerate(('{"new": 1}', "no json", "[]")):
        whole.redis.set(keys.worker(f"new{number}"), sign)
    report = json.loads(run("--json").output)
    assert report["status"] == "fine"
    assert [process["name"] for process in report["channels"][0]["processes"]] == ["p1"]
    assert [worker["id"] for worker in report["workers"]] == ["w1"]


def test_one_process_sends_and_another_stands_by(whole: Store) -> None:
    assert not whole.outbox("web").lead("p2")
    (web,) = json.loads(run("--json").output)["channels"]
    assert [process["name"] for process in web["processes"]] == ["p1", "p2"]
    assert web["senders"] == ["p1"]
    whole.outbox("web").resign("p1")
    (web,) = json.loads(run("--json").output)["channels"]
    assert [process["name"] for process in web["processes"]] == ["p2"]
    assert web["senders"] == []


def test_a_process_that_is_heard_of_no_more_is_dead(whole: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.store.outbox.COURIER_TTL_S", 0.1)
    whole.outbox("web").lead("p3")
    monkeypatch.setattr("core.store.outbox.COURIER_TTL_S", 5.0)
    whole.outbox("web").lead("p1")

    def living() -> list[str]:
        whole.outbox("web").lead("p1")
        return [process.name for process in whole.overview.channel("web").processes]

    eventually(lambda: living() == ["p1"])


def test_each_terminal_has_an_outbox_of_its_own_and_they_are_one_channel(whole: Store) -> None:
    for terminal in ("terminal.host.ada./dev/pts/1", "terminal.host.bob./dev/pts/2"):
        whole.outbox(terminal).lead(f"process of {terminal}")
    whole.redis.xadd(keys.outbox("terminal.host.bob./dev/pts/2"), {"reply": "x"})
    state = whole.overview.channel("terminal")
    assert (len(state.processes), len(state.senders), state.outbox) == (2, 2, 1)


def why(done: Result, code: int) -> str:
    assert done.exit_code == code, done.output
    assert done.output.splitlines()[0] == {1: "degraded", 2: "down"}[code]
    return done.output


def test_without_a_ready_worker_it_is_down(whole: Store) -> None:
    whole.workers.gone("w1")
    assert "none gives a sign of life" in why(run(), 2)
    whole.workers.beat(WorkerSign(id="w2", pid=7, host="here", ready=False))
    assert "are being loaded" in why(run(), 2)


def test_a_model_that_people_are_routed_to_and_no_worker_serves_is_told(
    whole: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = '[models.large]\nmodel = "a/large"\n[models.spare]\nmodel = "a/spare"\n[route]\nslack = "large"\n'
    (tmp_path / "settings.toml").write_text(table)
    monkeypatch.setenv("RAPPORT_SETTINGS", str(tmp_path / "settings.toml"))
    large = WorkerSign(id="w2", pid=8, host="here", ready=False, serves="large")
    assert "No ready worker serves [models.large]: slack must wait." in why(run(), 1)
    whole.workers.beat(large)
    assert "[models.large]" in why(run(), 1)
    whole.workers.beat(large.model_copy(update={"ready": True}))
    assert run().exit_code == 0
    whole.workers.gone("w1")
    assert "No ready worker serves [generation]: all without a route must wait." in why(run(), 1)


def test_without_a_channel_it_is_down(whole: Store) -> None:
    whole.outbox("web").resign("p1")
    assert "No channel has a living process" in why(run(), 2)


def test_without_redis_it_is_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", f"unix://:hunter2@/{tmp_path}/none.sock")
    done = run("--json")
    assert done.exit_code == 2
    assert json.loads(done.output)["status"] == "down"
    assert "hunter2" not in done.output
    monkeypatch.setenv("RAPPORT_INBOX__LEASE_S", "soon")
    assert "[inbox] lease_s" in why(run(), 2)


def test_a_channel_that_is_set_up_and_does_not_run_is_missed(whole: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELEGRAM_BOT_TOKEN", "123456:very-secret-and-as-long-as-it-must-be")
    said = why(run(), 1)
    assert "telegram: no process sends; 0 replies wait." in said
    assert "very-secret" not in said
    whole.outbox("telegram").lead("p9")
    assert run().exit_code == 0


def test_replies_that_nobody_sends_are_told(whole: Store) -> None:
    whole.redis.xadd(keys.outbox("slack"), {"reply": "x"})
    assert "slack: no process sends; 1 replies wait." in why(run(), 1)


def test_a_reply_that_does_not_go_out_is_told(whole: Store) -> None:
    put(whole, 1, ago_s=400)
    assert "web: a reply has been waiting for 4" in why(run(), 1)


def test_a_message_that_waits_too_long_is_told(whole: Store) -> None:
    say(whole, "hello?", ago_s=500)
    assert "The oldest message has been waiting for 50" in why(run(), 1)


def test_what_could_not_be_answered_lately_is_told_and_what_was_not_delivered_only_counted(whole: Store) -> None:
    put(whole, 1)
    (delivery,) = whole.outbox("web").read("p1", 10) or whole.outbox("web").read("p1", 10)
    whole.outbox("web").bury(delivery, "blocked")
    assert run().exit_code == 0
    say(whole, "a secret")
    claim = whole.inbox.claim(PERSON, "w1")
    assert claim
    sorry = Reply(id="sorry", address=ADDRESS, text="sorry", in_reply_to=("e1",), person=PERSON)
    whole.inbox.commit(claim, 1, (), sorry, erase=False, go_on=False, unanswered=True)
    said = why(run(), 1)
    assert "1 messages of the last hour could not be answered" in said
    assert "2 kept (2 of the last hour), inbox: 1, web: 1; 2 ever" in said
    assert "secret" not in said


def test_a_redis_that_is_nearly_full_is_told(whole: Store) -> None:
    limit = int(whole.overview.server().used * 1.05)
    whole.redis.config_set("maxmemory", limit)
    try:
        assert "of its memory; when it is full, nothing is taken in" in why(run(), 1)
    finally:
        whole.redis.config_set("maxmemory", 0)


@pytest.mark.timeout(120)
def test_a_whole_stack_is_fine_until_its_worker_is_gone(start: Start) -> None:
    process = start("up")
    eventually(lambda: status.examine().status == "fine", 60)
    worker = eventually(lambda: the_worker(process))
    worker.send_signal(signal.SIGSTOP)
    eventually(lambda: status.examine().status == "down")
    worker.send_signal(signal.SIGCONT)
    eventually(lambda: status.examine().status == "fine")
    process.send_signal(signal.SIGINT)
    process.wait(30)
    assert status.examine().status == "down"
