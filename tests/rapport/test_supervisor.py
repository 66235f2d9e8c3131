import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from core import settings
from core.dialogue import Address
from core.events import MessageEvent
from core.process import VARIABLE
from core.store import Store, keys
from rapport.procfile import ChannelProcess, WorkerProcess
from rapport.supervisor import TROUBLE_AFTER, Backoff, Child, Launch, Supervisor
from tests.waiting import eventually

QUICK = {"first_s": 0.05, "longest_s": 0.2}
FOR_EVER = (sys.executable, "-u", "-c", "print('up'); import signal; signal.pause()")


def child(tmp_path: Path, command: tuple[str, ...], **options: object) -> tuple[Child, list[str]]:
    said: list[str] = []
    made = Child(
        "thing", lambda: Launch(command), folder=tmp_path, say=said.append, backoff=Backoff(**QUICK), **options
    )
    return made, said


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_the_wait_doubles_up_to_a_limit_and_starts_anew_after_a_long_life() -> None:
    backoff = Backoff()
    assert [backoff.after(lived_s=1) for _ in range(8)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert [backoff.after(lived_s=61), backoff.after(lived_s=1)] == [0.5, 1]


def test_a_killed_child_comes_back_and_its_output_is_passed_on(tmp_path: Path) -> None:
    thing, said = child(tmp_path, FOR_EVER)
    with Supervisor([thing]):
        eventually(lambda: said == ["up"])
        first = thing.pid
        assert first
        os.kill(first, signal.SIGKILL)
        eventually(lambda: said.count("up") == 2)
        assert thing.pid not in (None, first)
        assert said[1] == "thing was ended by SIGKILL; it starts again in 0.1 s"
    assert thing.pid is None
    assert thing.deaths == 2


def test_a_child_that_fails_again_and_again_is_reported_with_its_last_words(tmp_path: Path) -> None:
    troubled: list[tuple[str, ...]] = []
    command = (sys.executable, "-c", "import sys; sys.exit('no such setting')")
    thing, _ = child(tmp_path, command, on_trouble=lambda failed: troubled.append(failed.last_lines))
    with Supervisor([thing]):
        eventually(lambda: troubled)
    assert thing.deaths >= 3
    assert "no such setting" in troubled[0]


def test_a_program_that_is_not_there_is_a_failure_like_any_other(tmp_path: Path) -> None:
    troubled = threading.Event()
    thing, said = child(tmp_path, ("/no/such/program",), on_trouble=lambda _: troubled.set())
    with Supervisor([thing]):
        assert troubled.wait(20)
    assert "/no/such/program cannot be started: No such file or directory" in said


def test_a_child_that_does_not_want_to_end_is_ended(tmp_path: Path) -> None:
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf'); signal.pause()"
    thing, said = child(tmp_path, (sys.executable, "-u", "-c", deaf))
    hurry = threading.Event()
    with Supervisor([thing], hurry):
        eventually(lambda: said == ["deaf"])
        pid = thing.pid
        assert pid
        hurry.set()
    assert gone(pid)


def test_a_death_that_cannot_be_tidied_up_after_keeps_nothing_from_starting_again(tmp_path: Path) -> None:
    def away(child: Child) -> None:
        raise ConnectionError("Redis is away")

    thing, said = child(tmp_path, FOR_EVER, on_death=away)
    with Supervisor([thing]):
        eventually(lambda: said == ["up"])
        assert thing.pid
        os.kill(thing.pid, signal.SIGKILL)
        eventually(lambda: said.count("up") == 2)
    assert "thing, after its end: Redis is away" in said


def test_a_start_that_cannot_be_prepared_is_a_failure_like_any_other(tmp_path: Path) -> None:
    full, troubled, said = threading.Event(), threading.Event(), []
    full.set()

    def launch() -> Launch:
        if full.is_set():
            raise OSError("no space left")
        return Launch(FOR_EVER)

    thing = Child(
        "thing",
        launch,
        folder=tmp_path,
        say=said.append,
        on_trouble=lambda _: troubled.set(),
        backoff=Backoff(**QUICK),
    )
    with Supervisor([thing]):
        assert troubled.wait(20)
        full.clear()
        eventually(lambda: "up" in said)
    assert said[:2] == [
        "thing cannot be started: no space left",
        "thing ended with exit code 1; it starts again in 0.1 s",
    ]


def test_trouble_that_cannot_be_told_keeps_nothing_from_starting_again(tmp_path: Path) -> None:
    def closed(*_: object) -> None:
        raise BrokenPipeError("nobody reads")

    command = (sys.executable, "-c", "import sys; sys.exit(1)")
    thing, _ = child(tmp_path, command, on_trouble=closed)
    thing._say = closed
    with Supervisor([thing]):
        eventually(lambda: thing.deaths > TROUBLE_AFTER)
    assert "thing, in trouble: nobody reads" in thing.last_lines


def test_children_do_not_outlive_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    program = f"""
from pathlib import Path
from rapport.supervisor import Child, Launch, Supervisor
thing = Child("thing", lambda: Launch({FOR_EVER!r}), folder=Path({str(tmp_path)!r}), say=lambda line: ready.set())
import threading
ready = threading.Event()
with Supervisor([thing]):
    ready.wait()
    print(thing.pid, flush=True)
    threading.Event().wait()
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=settings.ROOT) as supervisor:
        assert supervisor.stdout
        pid = int(supervisor.stdout.readline())
        assert not gone(pid)
        supervisor.kill()
    eventually(lambda: gone(pid))


def test_a_dead_workers_leases_are_broken_at_once(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAPPORT_INBOX__LEASE_S", "600")  # it must not be the time that frees it
    settings.load.cache_clear()
    from workers.app import WakeUps

    store = Store(redis_url, settings.load(), WakeUps())
    event = MessageEvent(id="e1", address=Address(channel="test", space="ada"), user="ada", text="hello")
    worker = WorkerProcess(redis_url, FOR_EVER)
    said: list[str] = []
    thing = Child("worker", worker.launch, folder=tmp_path, say=said.append, on_death=worker.clean_up)
    with Supervisor([thing]):
        eventually(lambda: said == ["up"])
        first = worker.id
        store.inbox.accept(event)
        assert store.inbox.claim(event.person, first)
        assert store.inbox.claim(event.person, "another") is None
        store.redis.delete(keys.QUEUE)
        assert thing.pid
        os.kill(thing.pid, signal.SIGKILL)
        eventually(lambda: store.redis.llen(keys.QUEUE) == 1)
        claim = store.inbox.claim(event.person, "another")
        assert claim
        assert [waiting.id for waiting in claim.events] == ["e1"]
        eventually(lambda: worker.id != first)
    store.close()


def test_a_dead_channels_right_to_send_is_free_at_once(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.store.outbox.COURIER_TTL_S", 600)  # it must not be the time that frees it
    monkeypatch.setattr("rapport.procfile.command", lambda name: FOR_EVER)
    store = Store(redis_url, settings.load(), lambda person: person)
    channel = ChannelProcess(redis_url, "web")
    said: list[str] = []
    thing = Child("web", channel.launch, folder=tmp_path, say=said.append, on_death=channel.clean_up)
    with Supervisor([thing]):
        eventually(lambda: said == ["up"])
        assert thing.pid
        assert store.outbox("web").lead(channel.id)
        os.kill(thing.pid, signal.SIGKILL)
        eventually(lambda: store.outbox("web").lead("another"))
    store.close()


def test_a_channel_process_has_the_name_that_is_cleaned_up(redis_url: str) -> None:
    launch = ChannelProcess(redis_url, "web").launch()
    code = "from core.process import process_name; print(process_name())"
    named = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | launch.environment, capture_output=True, text=True, check=True
    )
    assert named.stdout.strip() == launch.environment[VARIABLE]
