"""Models that are slow, fail, hang or take their process with them, while others write."""

from pathlib import Path

import pytest

from core import settings
from tests.crash.driver import Town
from tests.crash.report import Table
from tests.waiting import eventually

NAMES = [f"person{number}" for number in range(6)]
# So that a test need not wait for minutes: attempts follow each other sooner, and what hangs is given up sooner.
QUICK = {"RAPPORT_INBOX__RETRY_S": "0.2", "RAPPORT_GENERATION__TIMEOUT_S": "5"}


@pytest.mark.timeout(200)
def test_models_that_are_slow_fail_and_hang(tmp_path: Path, table: Table, full: bool) -> None:
    with Town(tmp_path, workers=3 if full else 2, **QUICK) as town:
        for seed in range(5 if full else 1):
            town.people.write(NAMES, messages=4, pause_s=0.3, seed=seed)
            slow = town.people.say("slowly", "slow")
            flaky = town.people.say("flake", "flaky")
            failing = town.people.say("unlucky", "fail")
            eventually(lambda text=failing: town.people.answered(text))
            after = town.people.say("unlucky")  # what cannot be answered must not block what follows
            town.people.write(["hanger"], messages=1, words="hang", seed=seed)
            town.settle(90)
            eventually(lambda texts=(slow, flaky, after): all(map(town.people.answered, texts)))
            (said,) = town.people.heard[failing]
            assert (said.reason, said.text) == ("failed", settings.load().bot.apology)
        ledger = town.check()
        assert set(ledger.failed) == {text for text in town.people.said["unlucky"] if "fail" in text.split()}
        assert "The chat model hangs" in town.log.read_text()
        table.add("generation slow, failing, hanging (its worker ends)", ledger, runs=5 if full else 1)


@pytest.mark.timeout(200)
def test_a_message_that_takes_its_worker_with_it_each_time(tmp_path: Path, table: Table, full: bool) -> None:
    """It is given up after ``inbox.max_attempts`` deaths. What others had in the same hands is answered all the same:
    their attempts count as well, as nobody can know which of them it was."""
    with Town(tmp_path, workers=3 if full else 2, **QUICK) as town:
        for seed in range(5 if full else 1):
            town.people.write(NAMES, messages=5, pause_s=0.4, seed=seed)
            poison = town.people.say("poisoner", "die")
            eventually(lambda text=poison: town.people.answered(text), 90)
            town.people.say("poisoner")
            town.settle(90)
            (said,) = town.people.heard[poison]
            assert (said.reason, said.text) == ("failed", settings.load().bot.apology)
        ledger = town.check()
        assert {text for text in ledger.failed if "die" in text} == {
            text for text in town.people.said["poisoner"] if "die" in text
        }
        deaths = town.log.read_text().count("was ended by SIGKILL")
        assert deaths == settings.load().inbox.max_attempts * (5 if full else 1)
        table.add("a message that kills its worker each time", ledger, runs=5 if full else 1)
