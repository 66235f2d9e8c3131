"""A channel's process is killed at ten points of the path while people write; at the end the ledger is read.

`make crash` runs all points, `make test` four of them.

The points are seen from outside, by the double of the network and by the worker, so that the product has no hooks.
"""

import itertools
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.dialogue import Prompt
from core.store import Store, keys
from tests.channels.path import ChannelProcess, Worker, let_in, quick_settings, same, surroundings
from tests.channels.test_contract import DOUBLES
from tests.crash.ledger import END, Posts
from tests.crash.report import Table
from tests.platforms.base import Double
from tests.platforms.slack import Slack
from tests.waiting import eventually

MESSAGES = 20  # a point; half of it in the short form
PEOPLE = 10
POINTS = (
    "delivering",  # the network is about to hand a message over
    "delivered",  # it has
    "taken",  # a worker begins with it, so it is stored
    "acknowledged",  # the network knows that the bot has it
    "received:post",  # a reply, or the beginning of one, is on the network's doorstep
    "done:post",  # it can be seen, and the bot does not know
    "answered:post",  # the bot may know
    "received:edit",  # the same for a change of what was posted
    "done:edit",
    "committed",  # the answer is in the outbox
)
# In the short form, which every change must pass: once in each part of the path.
SHORT = ("taken", "done:post", "done:edit", "committed")
# What a process logs once the network has let it in.
JOINED = {"slack": "connected to Slack", "telegram": "this bot is", "discord": "has connected to Gateway"}
STEPS = 20
# Slack's repeats go on for minutes, and those that the process slept through are lost with its connection: here, too,
# the last one comes when it is awake again. (It sleeps as long as `eventually` waits, at most.)
LONGER_THAN_A_PAUSE = (0.0, 0.5, 15.0)
NUMBER = re.compile(r"m\d{3}")


@pytest.fixture(params=DOUBLES)
def double(request: pytest.FixtureRequest, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Double]:
    double = DOUBLES[request.param]()
    with surroundings(double, monkeypatch):
        yield double


@pytest.fixture
def worker(redis_url: str) -> Iterator[Worker]:
    worker = Worker(redis_url)
    yield worker
    worker.close()


@pytest.mark.timeout(900)
def test_killed_at_ten_points_nothing_is_lost_or_doubled(
    request: pytest.FixtureRequest,
    double: Double,
    worker: Worker,
    redis_url: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    table: Table,
) -> None:
    worker.script = answer
    process = ChannelProcess(double.name, redis_url, tmp_path / "channel.log")
    full = request.config.getoption("--crash") == "full"
    points, messages = (POINTS, MESSAGES) if full else (SHORT, MESSAGES // 2)
    killed: list[str] = []
    said: list[str] = []
    numbers = itertools.count()

    def quiet() -> bool:
        return killed[-1:] == [point] and not set(said) - Posts.of(double, NUMBER).whole.keys()

    try:
        let_in(double)
        for person in range(PEOPLE):  # Discord does not tell a bot where somebody wrote to it for the first time
            double.say("m999", user=f"person{person}")
        eventually(lambda: Posts.of(double, NUMBER).whole["m999"] == PEOPLE)
        double.posts.clear()
        for point in points:
            let_in(double)
            eventually(lambda: process.sends)
            kill_at(point, process, double, worker, killed)
            for number in itertools.islice(numbers, messages):
                said.append(f"m{number:03d}")
                double.say(said[-1], user=f"person{number % PEOPLE}")
            try:
                eventually(quiet, timeout_s=120)
            except AssertionError:
                missing = sorted(set(said) - Posts.of(double, NUMBER).whole.keys())
                pytest.fail(f"at {point}: killed at {killed}, not answered {missing}")
    finally:
        process.stop()
    ledger = Posts.of(double, NUMBER)
    with capsys.disabled():
        print(f"\n{double.name}: {len(said)} messages, {len(killed)} kills, {ledger}")
    lost = len(set(said) - ledger.whole.keys())
    fault = f"kill -9 of {double.name}'s process at {len(points)} points"
    table.count(fault, len(killed), messages=len(said), lost=lost, doubled=ledger.doubled)
    assert killed == list(points)
    assert ledger.whole.keys() == set(said)
    assert ledger.doubled == 0
    assert ledger.marked <= (len(killed) if double.name == "telegram" else 0)
    assert ledger.torn <= ledger.marked, "what is torn is followed by its repeat"
    assert not double.violations, double.violations


@pytest.mark.timeout(300)
def test_two_processes_at_once_answer_once_and_in_order(
    double: Double, worker: Worker, redis_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], table: Table
) -> None:
    worker.script = lambda prompt, on_text, cancelled: prompt.messages[-1].content + END
    processes = [ChannelProcess(double.name, redis_url, tmp_path / f"channel{number}.log") for number in (1, 2)]
    said = [f"m{number:03d}" for number in range(40)]
    try:
        # Who joins while people write catches up first, so that one person's messages may reach Redis from both.
        logs = [tmp_path / f"channel{number}.log" for number in (1, 2)]
        eventually(lambda: all(JOINED[double.name] in log.read_text() for log in logs), timeout_s=30)
        eventually(lambda: any(process.sends for process in processes))
        store = Store(redis_url, quick_settings(), same)
        for number, text in enumerate(said):
            double.say(text, user=f"person{number % PEOPLE}")
            if double.name == "slack" and number % PEOPLE == PEOPLE - 1:
                # Slack hands a message to either process, so one that is not stored yet may be overtaken by the next.
                eventually(lambda stored=number + 1: len(store.redis.keys(f"{keys.PREFIX}seen:*")) == stored)
        eventually(lambda: Posts.of(double, NUMBER).whole.keys() == set(said), timeout_s=60)
    finally:
        for process in processes:
            process.stop()
    ledger = Posts.of(double, NUMBER)
    with capsys.disabled():
        print(f"\n{double.name}: two processes, {len(said)} messages, {ledger}")
    lost = len(set(said) - ledger.whole.keys())
    table.count("two processes of a network's channel", messages=len(said), lost=lost, doubled=ledger.doubled)
    assert set(ledger.whole.values()) == {1}
    for person in range(PEOPLE):
        posts = double.seen_by(f"person{person}")
        numbers = [number for post in posts for number in NUMBER.findall(post.text)]
        assert numbers == sorted(numbers), "a person's answers come in the order of what was said"
    assert not double.violations, double.violations


@pytest.mark.timeout(300)
def test_a_process_that_stood_still_doubles_nothing(
    double: Double, worker: Worker, redis_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], table: Table
) -> None:
    """Its right to send runs out meanwhile, and another process goes on."""
    worker.script = answer
    if isinstance(double, Slack):
        double.retry_after_s = LONGER_THAN_A_PAUSE
    processes = [ChannelProcess(double.name, redis_url, tmp_path / f"channel{number}.log") for number in (1, 2)]
    said = [f"m{number:03d}" for number in range(60)]
    try:
        let_in(double)
        first = eventually(lambda: [process for process in processes if process.sends])[0]
        for number, text in enumerate(said[:30]):
            double.say(text, user=f"person{number % PEOPLE}")
        eventually(lambda: len(Posts.of(double, NUMBER).whole) > 5)
        with first.frozen():
            eventually(lambda: any(process.sends for process in processes if process is not first))
            for number, text in enumerate(said[30:]):
                double.say(text, user=f"person{number % PEOPLE}")
            eventually(lambda: len(Posts.of(double, NUMBER).whole) > 25)
        try:
            eventually(lambda: Posts.of(double, NUMBER).whole.keys() == set(said), timeout_s=90)
        except AssertionError:
            missing = sorted(set(said) - Posts.of(double, NUMBER).whole.keys())
            pytest.fail(f"not answered {missing}; the network gave up {getattr(double, 'given_up', None)}")
    finally:
        for process in processes:
            process.stop()
    ledger = Posts.of(double, NUMBER)
    with capsys.disabled():
        print(f"\n{double.name}: the sending process stood still, {len(said)} messages, {ledger}")
    lost = len(set(said) - ledger.whole.keys())
    table.count("SIGSTOP of a network's sending process", messages=len(said), lost=lost, doubled=ledger.doubled)
    # What was on its way to the network in the very moment is the one thing that cannot be taken back.
    assert ledger.doubled <= (0 if double.name == "discord" else 1)
    assert not double.violations, double.violations


def kill_at(point: str, process: ChannelProcess, double: Double, worker: Worker, killed: list[str]) -> None:
    """Have the process killed when the point is next reached."""

    def kill() -> None:
        if point not in killed:
            killed.append(point)
            process.kill()

    if point == "taken":
        worker.on_taken = kill
    elif point == "committed":
        worker.on_done = kill
    else:
        double.at(point, kill)


def answer(prompt: Prompt, on_text: Callable[[str], None], cancelled: threading.Event) -> str:
    """Take as long as the slowest network needs to show a draft and to change it."""
    whole = "; ".join(f"I heard {number} and answer at some length" for number in prompt.messages[-1].content.split())
    for step in range(1, STEPS):
        on_text(whole[: len(whole) * step // STEPS])
        cancelled.wait(3 / STEPS)
    return whole + END
