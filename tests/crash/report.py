"""The table at the end: fault | runs | messages | lost | doubled | reordered | recovery p95 s."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.crash.ledger import Ledger

HEAD = ("fault", "runs", "messages", "failed visibly", "lost", "doubled", "reordered", "recovery p95 s")


@dataclass
class Row:
    """What was counted under one name."""

    runs: int = 0
    messages: int = 0
    failed: int = 0
    lost: int = 0
    doubled: int = 0
    reordered: int = 0
    recovery_s: list[float] = field(default_factory=list)


class Table:
    """All rows. They are shown by name, as tests may run in any order."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}

    def add(self, fault: str, ledger: Ledger, runs: int = 1, recovery_s: Sequence[float] = ()) -> None:
        """Count a ledger under this fault, whatever the test says of it. ``recovery_s``: one figure a recovery."""
        self.count(
            fault,
            runs,
            messages=ledger.messages,
            failed=len(ledger.failed),
            lost=len(ledger.lost),
            doubled=len(ledger.doubled),
            reordered=len(ledger.reordered),
            recovery_s=recovery_s,
        )

    def count(self, fault: str, runs: int = 1, *, recovery_s: Sequence[float] = (), **counted: int) -> None:
        """The same with figures that stand in no ledger."""
        row = self.rows.setdefault(fault, Row())
        row.runs += runs
        for name, number in counted.items():
            setattr(row, name, getattr(row, name) + number)
        row.recovery_s += recovery_s

    def packed(self) -> dict[str, dict[str, Any]]:
        """Return the rows as they can be sent to another process."""
        return {fault: asdict(row) for fault, row in self.rows.items()}

    def unpack(self, rows: Mapping[str, Mapping[str, Any]]) -> None:
        """Add the rows of another table."""
        for fault, row in rows.items():
            self.count(fault, **row)

    def lines(self) -> list[str]:
        """Return it as Markdown."""
        lines = [HEAD, *map(self._cells, sorted(self.rows))]
        widths = [max(len(cells[column]) for cells in lines) for column in range(len(HEAD))]
        rule = tuple("-" * width for width in widths)
        return [
            "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"
            for cells in (lines[0], rule, *lines[1:])
        ]

    def _cells(self, fault: str) -> tuple[str, ...]:
        row = self.rows[fault]
        figures = (row.runs, row.messages, row.failed, row.lost, row.doubled, row.reordered)
        p95 = f"{percentile(row.recovery_s, 95):.1f}" if row.recovery_s else "-"
        return (fault, *map(str, figures), p95)


def percentile(figures: Sequence[float], percent: float) -> float:
    """Return the smallest figure that at least this share of them does not exceed."""
    ranked = sorted(figures)
    return ranked[max(math.ceil(len(ranked) * percent / 100) - 1, 0)]
