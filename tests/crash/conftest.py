"""All tests here have the marker ``crash`` and write into one table, which is printed at the end.

``RAPPORT_CRASH_REPORT=path`` has it written into a file as well.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.report import Table

FILE = os.environ.get("RAPPORT_CRASH_REPORT")
ROWS = "crash-rows"
_table = Table()


def pytest_itemcollected(item: pytest.Item) -> None:
    """Called for what is in this folder alone."""
    item.add_marker("crash")
    # Each starts many processes: no more than two at a time, beside tests that need less.
    networks = item.path.stem in ("test_channels", "test_platforms")
    item.add_marker(pytest.mark.xdist_group("crash-networks" if networks else "crash"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--crash") == "full":
        return
    left_out = [item for item in items if item.get_closest_marker("full")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("full")]


@pytest.fixture
def table(request: pytest.FixtureRequest) -> Iterator[Table]:
    """What one test counts; it goes to whoever prints the whole, which may be another process."""
    own = Table()
    yield own
    request.node.user_properties.append((ROWS, own.packed()))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "teardown":
        for name, value in report.user_properties:
            if name == ROWS:
                _table.unpack(value)


@pytest.fixture
def full(request: pytest.FixtureRequest) -> bool:
    """Whether all is to be done (``make crash``), or what every change must pass."""
    return bool(request.config.getoption("--crash") == "full")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not _table.rows:
        return
    terminalreporter.section("faults")
    for line in _table.lines():
        terminalreporter.write_line(line)
    if FILE:
        Path(FILE).write_text("\n".join(_table.lines()) + "\n", "utf-8")
