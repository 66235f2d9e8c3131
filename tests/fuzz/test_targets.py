"""Every target of the table, briefly and with the same inputs each time."""

import pytest

from tests.fuzz import engine, networks, said  # noqa: F401  they fill the table
from tests.fuzz.table import TARGETS, assert_steady


@pytest.mark.parametrize("name", TARGETS)
def test_a_short_run_finds_nothing(name: str) -> None:
    TARGETS[name]()


def test_work_that_grows_too_fast_is_noticed() -> None:
    with pytest.raises(AssertionError, match="twice the text"):
        assert_steady(lambda text: sum(range(len(text) ** 2 // 8)), ("", "a", ""))
