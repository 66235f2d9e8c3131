"""The driver itself: a day without faults, and that its ledger sees what it must see."""

from pathlib import Path

import pytest

from core.dialogue import Turn
from core.store import keys
from tests.crash.driver import Town
from tests.crash.report import Table

NAMES = [f"quiet{number}" for number in range(6)]


@pytest.mark.timeout(120)
def test_a_day_without_faults_and_a_ledger_that_sees(tmp_path: Path, table: Table) -> None:
    with Town(tmp_path, workers=2) as town:
        town.people.write(NAMES, messages=5, pause_s=0.2)
        town.settle()
        ledger = town.check()
        assert (ledger.messages, ledger.answered, ledger.failed) == (30, 30, [])
        assert not town.people.unheard
        table.add("none", ledger)
        history = keys.history("web:api:quiet0")
        first, second, *_ = town.store.redis.lrange(history, 0, -1)
        town.store.redis.lrem(history, 1, first)
        town.store.redis.lrem(history, 1, second)
        assert any(text.startswith("quiet0-001") for text in town.ledger().lost)
        town.store.redis.rpush(history, first, second)
        assert town.ledger().reordered
        town.store.redis.rpush(history, first, second)
        assert town.ledger().doubled
        made_up = Turn.model_validate_json(second).model_copy(update={"text": "something else"})
        town.store.redis.lset(history, -1, made_up.model_dump_json())
        assert town.ledger().wrong
