"""Several models in one fleet: each person's wake-ups go to the workers that have their model, and none is lost."""

import base64
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core import settings
from core.dialogue import Address
from core.errors import ModelMissing, SettingsError
from core.events import MessageEvent, Reply
from core.store import Store, WorkerSign, keys
from rapport import doctor, models
from tests.conftest import forget_settings
from tests.waiting import eventually
from workers.app import WakeUps, app

ROOT = Path(__file__).parent.parent.parent
TABLE = """
[generation]
model = "someone/small"
temperature = 0.3
[models.large]
model = "someone/large"
[models.spare]
model = "someone/spare"
[route]
telegram = "large"
"slack:T1" = "large"
"slack:T2" = ""
"""
# Person -> model.
PEOPLE = {
    "telegram:-:ada": "large",
    "slack:T1:bob": "large",
    "slack:T2:eve": "",
    "slack:T3:dan": "",
    "web:api:joe:2": "",
}
ReadTable = Callable[..., None]


@pytest.fixture
def read(redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ReadTable:
    """Have these settings read from now on, here and in processes that are started."""

    def write(text: str = TABLE) -> None:
        (tmp_path / "settings.toml").write_text(f"{text}\n[inbox]\nlease_s = 1\nsweep_s = 0.1\n")
        monkeypatch.setenv("RAPPORT_SETTINGS", str(tmp_path / "settings.toml"))
        forget_settings()

    write()
    return write


def open_store() -> Store:
    return Store(settings.redis_url(), settings.load(), WakeUps())


def say(store: Store, person: str, text: str) -> None:
    channel, workspace, user = person.split(":", 2)
    address = Address(channel=channel, space=person)
    event = MessageEvent(id=f"{person} {text}", address=address, user=user, workspace=workspace, text=text)
    assert store.inbox.accept(event) == "accepted"


def replies(store: Store) -> list[Reply]:
    outboxes = {keys.outbox(person.partition(":")[0]) for person in PEOPLE}
    rows = [row for outbox in outboxes for _, row in store.redis.xrange(outbox)]
    return [Reply.model_validate_json(row["reply"]) for row in rows]


def waiting(store: Store) -> dict[str, int]:
    """Return how many wake-ups are in each queue that has any."""
    return {name: count for name in ("celery", "celery.large", "celery.spare") if (count := store.redis.llen(name))}


def fall_due(store: Store) -> None:
    """Let the sweeper look at everybody again, as if time had passed."""
    store.redis.zadd(keys.WAITING, dict.fromkeys(store.redis.zrange(keys.WAITING, 0, -1), 0))


def test_a_person_is_answered_by_the_model_of_their_workspace_or_channel(read: ReadTable) -> None:
    assert {person: settings.load().model_for(person) for person in PEOPLE} == PEOPLE
    assert settings.load().models_in_use == ("", "large")


def test_a_wake_up_goes_into_the_queue_of_the_model_and_says_so_itself(read: ReadTable) -> None:
    store = open_store()
    for person, model in PEOPLE.items():
        say(store, person, "hello")
        queue = keys.queue(model)
        message = json.loads(store.redis.lindex(queue, 0) or "")
        assert json.loads(base64.b64decode(message["body"]))[0] == [person]
        # There a worker that ends puts back what it has not begun.
        assert message["properties"]["delivery_info"] == {"exchange": "", "routing_key": queue}
    assert waiting(store) == {"celery": 3, "celery.large": 2}
    store.close()


def test_a_missing_fallback_of_a_section_is_named_as_it_stands_there(read: ReadTable) -> None:
    read(TABLE.replace('model = "someone/large"', 'model = "someone/large"\nfallback = ["models/none"]'))
    with pytest.raises(ModelMissing, match=r'\[models.large\] fallback = "models/none"'):
        models.refuse_missing(settings.load())


def test_a_worker_has_the_settings_of_its_model_and_takes_from_its_queue(
    read: ReadTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert app.conf.task_default_queue == "celery", "a channel takes from none"
    monkeypatch.setenv("RAPPORT_WORKER__SERVES", "large")
    forget_settings()
    served = settings.load().generation
    assert (served.model, served.temperature) == ("someone/large", 0.3), "what is left out is as in [generation]"
    code = "from workers.app import app; print(app.conf.task_default_queue, *app.amqp.queues)"
    asked = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert asked.stdout.split() == ["celery.large", "celery.large"]


def test_lost_wake_ups_are_sent_again_each_into_its_queue(read: ReadTable) -> None:
    store = open_store()
    for person in PEOPLE:
        say(store, person, "hello")
    store.redis.delete("celery", "celery.large")
    fall_due(store)
    assert store.inbox.sweep() == len(PEOPLE)
    assert waiting(store) == {"celery": 3, "celery.large": 2}
    store.close()


def test_a_model_without_a_worker_neither_piles_up_wake_ups_nor_keeps_others_from_theirs(read: ReadTable) -> None:
    store = open_store()
    for number in range(30):
        say(store, f"telegram:-:{number}", "hello")
    say(store, "web:api:joe", "hello")
    for _ in range(5):
        store.redis.delete("celery")
        fall_due(store)
        store.inbox.sweep()
        assert waiting(store)["celery"] == 1
    assert waiting(store)["celery.large"] <= 2 * 31
    store.close()


def test_whoever_waits_when_the_table_is_changed_is_woken_on_the_new_queue(read: ReadTable) -> None:
    store = open_store()
    say(store, "telegram:-:ada", "hello")
    store.close()
    read(TABLE.replace('telegram = "large"', 'telegram = "spare"'))
    store = open_store()
    fall_due(store)
    store.inbox.sweep()
    assert waiting(store) == {"celery.large": 1, "celery.spare": 1}
    assert store.overview.queue([]).wake_ups == 2
    store.close()


StartWorker = Callable[[str], None]


@pytest.fixture
def start_worker(read: ReadTable, tmp_path: Path) -> Iterator[StartWorker]:
    """Start workers that reply with the name of their model; they are killed after the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(serves: str) -> None:
        with (tmp_path / "log").open("a") as log:
            command = ["celery", "--quiet", "-A", "tests.workers.named_worker", "worker", "--without-gossip"]
            environment = os.environ | {"RAPPORT_WORKER__SERVES": serves, "PYTHONPATH": "."}
            worker = [sys.executable, "-m", *command]
            started.append(subprocess.Popen(worker, cwd=ROOT, env=environment, stdout=log, stderr=log))

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_two_workers_answer_each_their_own_in_order_whenever_they_come(start_worker: StartWorker) -> None:
    store = open_store()
    start_worker("")
    for number in range(6):
        for person in PEOPLE:
            say(store, person, f"message {number}")
    small = {person for person, model in PEOPLE.items() if not model}

    def answered(people: set[str]) -> bool:
        return not any(store.inbox.waits(person) for person in people)

    eventually(lambda: answered(small), 60)
    assert {reply.person for reply in replies(store)} == small, "nobody else answers for a model that is away"
    start_worker("large")
    eventually(lambda: answered(set(PEOPLE)), 60)
    said: dict[str, list[str]] = {person: [] for person in PEOPLE}
    for reply in replies(store):
        assert reply.text == f"someone/{PEOPLE[reply.person] or 'small'}"
        said[reply.person] += reply.in_reply_to
    assert said == {person: [f"{person} message {number}" for number in range(6)] for person in PEOPLE}
    assert Counter(sign.serves for sign in store.workers.alive()) == {"": 1, "large": 1}
    store.close()


def test_the_doctor_names_a_model_in_use_that_no_worker_serves(read: ReadTable) -> None:
    store = open_store()
    store.workers.beat(WorkerSign(id="w1", pid=1, host="here", ready=True))
    store.close()
    (warning,) = [found for found in doctor.examine() if found.what == "worker" and found.state == "warning"]
    assert "none serves [models.large]: telegram, slack:T1 must wait" in warning.text
    assert "RAPPORT_WORKER__SERVES=large" in warning.text


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ('[route]\ntelegram = "huge"', r'\[route\] "telegram" = "huge": there is no \[models.huge\]. Known: none'),
        ('[route]\ntelegraph = ""', r'\[route\] "telegraph" names no channel'),
        ('[route]\n"slack:T1:U2" = ""', r'\[route\] "slack:T1:U2" names no channel or workspace'),
        ('[route]\n"slack:" = ""', r'\[route\] "slack:" names no channel or workspace'),
        ('[worker]\nserves = "huge"', r'\[worker\] serves = "huge": there is no \[models.huge\]'),
        (
            '[models.large]\nmodle = "x"',
            r"\[models\] large.modle is unknown. Known keys in \[models\]: model, fallback",
        ),
        ('[models.Large]\nmodel = "x"', r"\[models\] Large"),
        ("[models.large]\nbest_of = 9", r"\[models\] large.best_of"),
    ],
)
def test_a_table_that_cannot_be_followed_ends_the_start(read: ReadTable, wrong: str, said: str) -> None:
    read(wrong)
    with pytest.raises(SettingsError, match=said):
        settings.load()
