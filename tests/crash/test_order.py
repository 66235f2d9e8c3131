"""Many workers, and many people who write at the same time with pauses: each gets their answers in their order."""

from pathlib import Path

import pytest

from tests.crash.driver import Town
from tests.crash.report import Table


@pytest.mark.timeout(300)
def test_no_inversions_with_many_workers(tmp_path: Path, table: Table, full: bool) -> None:
    workers, people, each = (8, 50, 20) if full else (3, 20, 6)
    with Town(tmp_path, workers=workers) as town:
        # With pauses as long as a generation takes, some write while they are answered and others after it.
        town.people.write([f"person{number}" for number in range(people)], messages=each, pause_s=0.3)
        town.settle(200)
        ledger = town.check()
        assert (ledger.messages, ledger.answered, ledger.failed) == (people * each, people * each, [])
        for name, said in town.people.said.items():
            heard = sorted((one.at, said.index(text)) for text in said for one in town.people.heard[text])
            numbers = [number for _, number in heard]
            assert numbers == sorted(numbers), f"{name} heard answers in another order than they wrote: {numbers}"
        table.add(f"none; {workers} workers, {people} people who write at once", ledger)
