"""A real Celery worker process, killed and started again."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core import settings
from core.dialogue import Address
from core.events import MessageEvent, Reply
from core.store import Store, keys
from tests.waiting import eventually

ADDRESS = Address(channel="test", space="ada")
ROOT = Path(__file__).parent.parent.parent
FLAGS = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
StartWorker = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def store(redis_url: str) -> Store:
    from workers.app import WakeUps

    return Store(redis_url, settings.load(), WakeUps())


@pytest.fixture
def start_worker(redis_url: str, tmp_path: Path) -> Iterator[StartWorker]:
    """Start gated workers, whose output goes to ``log``; they are killed after the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(worker_id: str, app: str = "tests.workers.gated_worker", **env: str) -> "subprocess.Popen[bytes]":
        env = {"RAPPORT_WORKER_ID": worker_id, "RAPPORT_INBOX__LEASE_S": "1", "PYTHONPATH": "."} | env
        with (tmp_path / "log").open("a") as log:
            started.append(
                subprocess.Popen(
                    [sys.executable, "-m", "celery", "--quiet", "-A", app, "worker", *FLAGS],
                    cwd=ROOT,
                    env=os.environ | env,
                    stdout=log,
                    stderr=log,
                )
            )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def say(store: Store, text: str, user: str = "ada") -> None:
    store.inbox.accept(MessageEvent(id=text, address=ADDRESS, user=user, text=text))


def replies(store: Store) -> list[Reply]:
    return [Reply.model_validate_json(f["reply"]) for _, f in store.redis.xrange(keys.outbox("test"))]


def started(store: Store) -> list[str]:
    return store.redis.lrange("gate:started", 0, -1)


def test_celery_understands_our_wake_ups(store: Store, start_worker: StartWorker) -> None:
    store.redis.set("gate:open", 1)
    for number in range(20):
        say(store, f"m{number}", user=f"u{number}")
    start_worker("w1")
    eventually(lambda: len(replies(store)) == 20)
    assert store.redis.llen(keys.QUEUE) == 0


def test_a_worker_killed_while_it_generates_loses_and_doubles_nothing(store: Store, start_worker: StartWorker) -> None:
    first = start_worker("w1")
    say(store, "hello")
    eventually(lambda: started(store) == ["hello"])
    first.send_signal(signal.SIGKILL)
    first.wait()
    say(store, "are you there?")
    assert replies(store) == []
    store.redis.set("gate:open", 1)
    start_worker("w2")
    eventually(lambda: store.redis.zcard(keys.WAITING) == 0)
    answered = [event_id for reply in replies(store) for event_id in reply.in_reply_to]
    assert answered == ["hello", "are you there?"]


def test_a_frozen_worker_that_wakes_up_late_doubles_nothing(store: Store, start_worker: StartWorker) -> None:
    frozen = start_worker("w1")
    say(store, "hello")
    eventually(lambda: started(store) == ["hello"])
    frozen.send_signal(signal.SIGSTOP)
    store.redis.set("gate:open", 1)
    start_worker("w2")
    eventually(lambda: len(replies(store)) == 1)
    frozen.send_signal(signal.SIGCONT)
    say(store, "and again")
    eventually(lambda: store.redis.zcard(keys.WAITING) == 0)
    frozen.send_signal(signal.SIGTERM)
    frozen.wait(20)
    assert [reply.text for reply in replies(store)] == ["reply to hello", "reply to and again"]


def test_a_warm_stop_finishes_what_is_being_written(store: Store, start_worker: StartWorker) -> None:
    worker = start_worker("w1")
    say(store, "hello")
    eventually(lambda: started(store) == ["hello"])
    worker.send_signal(signal.SIGTERM)
    store.redis.set("gate:open", 1)
    worker.wait(20)
    assert [reply.text for reply in replies(store)] == ["reply to hello"]
    assert store.workers.alive() == []


def test_a_worker_with_a_broken_engine_fails_and_the_next_one_answers(store: Store, start_worker: StartWorker) -> None:
    say(store, "hello")
    assert start_worker("w1", TEST_MODEL="broken").wait(30) == os.EX_SOFTWARE
    assert replies(store) == []
    store.redis.set("gate:open", 1)
    start_worker("w2")
    eventually(lambda: store.redis.zcard(keys.WAITING) == 0)
    assert [reply.text for reply in replies(store)] == ["reply to hello"]


def test_a_thread_that_hangs_does_not_keep_a_broken_worker_alive(
    store: Store, start_worker: StartWorker, tmp_path: Path
) -> None:
    broken = start_worker("w1", TEST_MODEL="broken")
    say(store, "hang on", user="bob")
    eventually(lambda: started(store) == ["hang on"])
    say(store, "hello")
    assert broken.wait(30) == os.EX_SOFTWARE
    assert "ended by force" in (tmp_path / "log").read_text()


def test_a_worker_whose_models_cannot_be_loaded_fails(store: Store, start_worker: StartWorker, tmp_path: Path) -> None:
    say(store, "hello")
    assert start_worker("w1", TEST_MODEL="missing").wait(30) == 1
    log = (tmp_path / "log").read_text()
    assert "the worker cannot start" in log
    assert "RuntimeError: CUDA out of memory" in log
    assert store.redis.llen(keys.QUEUE) == 1  # the wake-up is still there for a worker that can answer


def test_a_broken_model_folder_ends_the_start_with_one_line(
    redis_url: str, start_worker: StartWorker, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "no such kind"}))
    assert start_worker("w1", app="workers.app", RAPPORT_GENERATION__MODEL=str(folder)).wait(60) == 1
    critical = [line for line in (tmp_path / "log").read_text().splitlines() if " C worker " in line]
    assert len(critical) == 1
    assert "[generation] model" in critical[0]
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_a_worker_is_seen_while_it_loads(store: Store, start_worker: StartWorker) -> None:
    start_worker("w1", TEST_MODEL="slow")
    (sign,) = eventually(store.workers.alive)
    assert (sign.id, sign.ready) == ("w1", False)
    store.redis.set("gate:loaded", 1)
    eventually(lambda: [sign.ready for sign in store.workers.alive()] == [True])
