"""What a benchmark yields: named figures beside their baselines, as a table and as JSON."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured value. `ratio` is value / baseline, both taken in the same run.

    `bar` says what is asked of the ratio, or of the value where there is no baseline: `<= 1.25`, `>= 0.9`.
    """

    name: str
    value: float
    unit: str
    baseline: float | None = None
    ratio: float | None = None
    bar: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the bar is met; None where there is none."""
        if not self.bar:
            return None
        operator, limit = self.bar.split()
        judged = self.value if self.ratio is None else self.ratio
        return judged <= float(limit) if operator == "<=" else judged >= float(limit)


def against(name: str, value: float, baseline: float, *, unit: str, bar: str = "") -> Figure:
    return Figure(name=name, value=value, unit=unit, baseline=baseline, ratio=value / baseline, bar=bar)


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest-rank percentile; `share` in 0..1."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))]


def print_table(figures: Sequence[Figure], console: Console) -> None:
    table = Table(title="Measured side by side in one run")
    for column in ("figure", "value", "baseline", "ratio", "bar", ""):
        table.add_column(column, justify="left" if column in {"figure", "bar", ""} else "right")
    for figure in figures:
        mark = {None: "", True: "[green]met[/]", False: "[red]missed[/]"}[figure.met]
        baseline = "" if figure.baseline is None else f"{figure.baseline:.2f}"
        ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}x"
        table.add_row(figure.name, f"{figure.value:.2f} {figure.unit}", baseline, ratio, figure.bar, mark)
    console.print(table)


def write_json(figures: Sequence[Figure], file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    machine = {"python": platform.python_version(), "machine": platform.machine()}
    body = {"machine": machine, "figures": [asdict(f) | {"met": f.met} for f in figures]}
    file.write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
