"""Networks that refuse, break off, forget that they said yes, deliver twice or late: under load, with real workers."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.channels.path import let_in
from tests.channels.test_contract import DOUBLES
from tests.crash.driver import Town
from tests.crash.ledger import NUMBER, Posts, read
from tests.crash.report import Table
from tests.crash.short import every
from tests.platforms.base import Double
from tests.platforms.slack import Slack
from tests.waiting import eventually

PEOPLE = [f"person{number}" for number in range(6)]
ROUNDS = 4  # of messages under each fault
Said = dict[str, list[str]]


@pytest.fixture(params=every(DOUBLES, "slack"))
def double(request: pytest.FixtureRequest) -> Iterator[Double]:
    double: Double = DOUBLES[request.param]()
    double.start()
    yield double
    double.stop()


def flood(double: Double, sent: list[str]) -> None:
    double.fault("post", "flood", times=2, wait_s=5)
    double.fault("edit", "flood", times=2, wait_s=5)


def error(double: Double, sent: list[str]) -> None:
    double.fault("post", "error", times=2)
    double.fault("edit", "error", times=2)


def late(double: Double, sent: list[str]) -> None:
    double.fault("post", "late", times=2)
    double.fault("edit", "late", times=2)


def twice(double: Double, sent: list[str]) -> None:
    for message in sent:
        double.redeliver(message)


def cut(double: Double, sent: list[str]) -> None:
    """What was on its way comes again after what was said later."""
    if isinstance(double, Slack):
        double.run(double.delivery.cut())
    double.redeliver(sent[0])


FAULTS: dict[str, Callable[[Double, list[str]], None]] = {
    "429 with waits of 5 s": flood,
    "500": error,
    "time-out after the network did accept": late,
    "duplicate deliveries": twice,
    "deliveries out of order": cut,
}


@pytest.mark.timeout(400)
def test_whatever_a_network_does_each_answer_is_seen_once(
    tmp_path: Path, table: Table, full: bool, double: Double
) -> None:
    said: Said = defaultdict(list)
    faults = FAULTS if full else {name: FAULTS[name] for name in list(FAULTS)[2:]}
    with Town(tmp_path, workers=2, channels=(double.name,), **double.environment) as town:
        let_in(double)
        _say(double, said)  # Discord does not tell a bot where somebody wrote to it for the first time
        eventually(lambda: _all_seen(double, said))
        for name, inject in faults.items():
            before = Posts.of(double)
            already = sum(map(len, said.values()))
            for _ in range(ROUNDS):
                inject(double, _say(double, said))
            eventually(lambda: _all_seen(double, said) and town.quiet, 90)
            double._faults.clear()  # fewer edits than faults for them: the rest belongs to this row
            seen = Posts.of(double)
            ledger = read(town.store, said, {}, ordered=inject is not cut)
            table.count(
                f"{double.name}: {name}",
                messages=ledger.messages - already,
                lost=len(ledger.lost),
                doubled=seen.doubled - before.doubled + len(ledger.doubled),
                reordered=len(ledger.reordered),
            )
            assert ledger.clean, f"{name}: {ledger}\n{town.tail()}"
            assert seen.doubled == 0, f"{name}: {seen}\n{town.tail()}"
            assert seen.torn <= seen.marked, "what is torn is followed by its repeat"
            assert seen.marked <= (before.marked + 4 * ROUNDS if double.name == "telegram" else 0)
            if inject is not cut:
                _check_order(double)
        assert not double.violations, double.violations


def _say(double: Double, said: Said) -> list[str]:
    """Everybody says something; return the messages as the network calls them."""
    sent = []
    for person in PEOPLE:
        said[person].append(f"{person}-{len(said[person]) + 1:03d}")
        sent.append(double.say(said[person][-1], user=person))
    return sent


def _all_seen(double: Double, said: Said) -> bool:
    return {text for texts in said.values() for text in texts} <= Posts.of(double).whole.keys()


def _check_order(double: Double) -> None:
    for person in PEOPLE:
        posts = [post for post in double.seen_by(person) if not post.deleted]
        numbers = list(dict.fromkeys(number for post in posts for number in NUMBER.findall(post.text)))
        assert numbers == sorted(numbers), "a person's answers come in the order of what was said"
