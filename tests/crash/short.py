"""What every change must pass, and what only ``make crash`` does."""

from collections.abc import Iterable
from typing import Any

import pytest


def every(cases: Iterable[Any], short: Any) -> list[Any]:
    """Return the cases for ``parametrize``; all but one are for the full form alone."""
    return [case if case == short else pytest.param(case, marks=pytest.mark.full) for case in cases]
