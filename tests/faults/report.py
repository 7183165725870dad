"""What a campaign yields: a table for people, and JSON."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.faults.row import Control, Outcome, Row
from tests.faults.verdict import Verdict

COUNTS = (
    "accepted", "ready", "failed", "lost", "doubled", "ghosts", "stuck", "queries", "terminals", "terminal_missing"
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Line:
    """A row and how it went."""

    row: Row
    outcome: Outcome
    took_s: float

    @property
    def passed(self) -> bool | None:
        """None: not run."""
        return None if self.outcome.not_run else self.row.passed(self.outcome)

    @property
    def result(self) -> str:
        return {None: f"not run: {self.outcome.not_run}", True: "passed", False: "FAILED"}[self.passed]

    @property
    def is_control(self) -> bool:
        return isinstance(self.row, Control)


@dataclass(frozen=True, kw_only=True)
class Report:
    """All rows of a campaign, and what the broker's durability costs a publisher."""

    seed: int
    lines: Sequence[Line]
    durability_cost_ratio: float

    @property
    def passed(self) -> bool:
        return all(line.passed is not False for line in self.lines)

    def figures(self) -> dict[str, Any]:
        """The figures of the campaign. Controls, which lose on purpose, count only as rows."""
        tried = [line.outcome for line in self.lines if not line.is_control]
        total = sum((outcome.verdict for outcome in tried), Verdict())
        recoveries = [s for outcome in tried for s in (*outcome.messages_s, *outcome.new_work_s)]
        return {
            "kills": sum(outcome.kills for outcome in tried),
            "lost": total.lost,
            "doubled": total.doubled,
            "ghosts": total.ghosts,
            "terminal_missing": total.terminal_missing,
            "recovery_p50_s": round(median(recoveries), 3) if recoveries else None,
            "recovery_max_s": round(max(recoveries), 3) if recoveries else None,
            "durability_cost_ratio": round(self.durability_cost_ratio, 3),
        }

    def write(self, file: Path) -> None:
        machine = {"python": platform.python_version(), "machine": platform.machine()}
        rows = [_as_json(line) for line in self.lines]
        body = {"machine": machine, "seed": self.seed, **self.figures(), "passed": self.passed, "rows": rows}
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")

    def print(self, console: Console) -> None:
        table = Table(title=f"What was broken, and what became of it (seed {self.seed})")
        table.add_column("row")
        for name in (*COUNTS, "recovery p50 / max"):
            table.add_column(name.replace("_", " "), justify="right")
        table.add_column("")
        for line in self.lines:
            table.add_row(*_cells(line))
        console.print(table)
        for line in self.lines:
            for trouble in _troubles(line):
                console.print(f"[red]{line.row.name}[/]: {trouble}")
        for name, value in self.figures().items():
            console.print(f"{name}: {value}", style="dim")


def _cells(line: Line) -> Iterator[str]:
    number = f"{line.row.number} " if line.row.number else ""
    yield f"{number}{line.row.name}"
    yield from (str(getattr(line.outcome.verdict, name)) for name in COUNTS)
    recoveries = line.outcome.recoveries_s
    yield f"{median(recoveries):.1f} / {max(recoveries):.1f} s" if recoveries else ""
    if line.outcome.not_run:
        yield "[yellow]not run[/]"
    elif isinstance(line.row, Control):
        yield f"[green]saw {line.row.sees}[/]" if line.passed else f"[red]did not see {line.row.sees}[/]"
    else:
        yield "[green]passed[/]" if line.passed else "[red]failed[/]"


def _troubles(line: Line) -> Iterator[str]:
    if line.outcome.not_run:
        yield line.result
    yield from line.outcome.problems
    if not line.is_control:
        yield from line.outcome.verdict.evidence
        yield from (f"failed: {why}" for why in line.outcome.verdict.failures)


def _as_json(line: Line) -> dict[str, Any]:
    recoveries, row = line.outcome.recoveries_s, line.row
    return {
        "number": row.number,
        "name": row.name,
        "fault": row.fault,
        "passes": row.passes,
        "control": line.is_control,
        "passed": line.passed,
        "kills": line.outcome.kills,
        **asdict(line.outcome.verdict),
        "recovery_p50_s": median(recoveries) if recoveries else None,
        "recovery_max_s": max(recoveries, default=None),
        "problems": line.outcome.problems,
        "not_run": line.outcome.not_run or None,
        "notes": line.outcome.notes,
        "took_s": round(line.took_s, 1),
    }
