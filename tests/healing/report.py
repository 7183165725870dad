"""What a campaign yields: a table for people, and JSON."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from tests.healing.fault import Line, Repairer

LEAST_RIGHT: Final = 0.95
COLUMNS: Final = ("fault", "detected", "cause right", "action", "repaired", "wrong actions", "notifications", "")


@dataclass(frozen=True, kw_only=True)
class Report:
    """All faults of a campaign."""

    seed: int
    lines: Sequence[Line]

    @property
    def passed(self) -> bool:
        right = sum(line.cause_right for line in self.lines)
        return all(line.passed for line in self.lines) and right >= LEAST_RIGHT * len(self.lines)

    def figures(self) -> dict[str, Any]:
        """Times in seconds. Repairs of the platform count since the process ended, others since they were detected."""
        detected = [line.detected_s for line in self.lines if line.detected_s is not None]
        repaired = [line.repaired_s for line in self.lines if line.repaired_s is not None]
        return {
            "faults": len(self.lines),
            "detected": len(detected),
            "cause_right": sum(line.cause_right for line in self.lines),
            "repairable": sum(line.repairable for line in self.lines),
            "repaired": len(repaired),
            "wrong_actions": sum(len(line.wrong) for line in self.lines),
            "blind_actions": sum(len(line.blind) for line in self.lines),
            "detect_p50_s": _rounded(median(detected) if detected else None),
            "detect_max_s": _rounded(max(detected, default=None)),
            "repair_p50_s": _rounded(median(repaired) if repaired else None),
            "repair_max_s": _rounded(max(repaired, default=None)),
        }

    def write(self, file: Path) -> None:
        machine = {"python": platform.python_version(), "machine": platform.machine()}
        rows = [_as_json(line) for line in self.lines]
        body = {"machine": machine, "seed": self.seed, **self.figures(), "passed": self.passed, "rows": rows}
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")

    def print(self, console: Console) -> None:
        table = Table(title=f"What was broken, and how it was repaired (seed {self.seed}; times in seconds)")
        for name in COLUMNS:
            table.add_column(name, justify="right" if name in {"detected", "repaired", "wrong actions"} else "left")
        for line in self.lines:
            table.add_row(*_cells(line))
        console.print(table)
        for line in self.lines:
            for problem in line.problems:
                console.print(f"{line.fault.name}: {problem}", style="red", highlight=False)
        for name, value in self.figures().items():
            console.print(f"{name}: {value}", style="dim")


def _cells(line: Line) -> Iterator[str]:
    yield line.fault.name
    yield _time(line.detected_s)
    yield "yes" if line.cause_right else "[red]no[/]"
    yield ", ".join(line.actions) or ("by the platform" if line.fault.repairer is Repairer.PLATFORM else "none")
    yield _time(line.repaired_s) if line.repairable else "not repairable"
    yield str(len(line.wrong) + len(line.blind))
    yield ", ".join(line.notified) or "none"
    yield "[green]passed[/]" if line.passed else "[red]failed[/]"


def _time(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.1f}"


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


def _as_json(line: Line) -> dict[str, Any]:
    return {
        "name": line.fault.name,
        "fault": line.fault.fault,
        "passes": line.fault.passes,
        "what": line.what,
        "passed": line.passed,
        "repairer": line.fault.repairer.value,
        "detected_s": _rounded(line.detected_s),
        "cause_right": line.cause_right,
        "causes": line.causes,
        "actions": line.actions,
        "repaired_s": _rounded(line.repaired_s),
        "wrong_actions": line.wrong,
        "blind_actions": line.blind,
        "notifications": line.notified,
        "problems": line.problems,
        "decisions": line.decisions,
        "took_s": round(line.took_s, 1),
    }
