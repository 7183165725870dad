"""`python -m benchmarks.injection`: the rates by kind of case, as a table, and build/injection.json."""

from __future__ import annotations

import argparse
import asyncio
import json
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.figures import print_table
from benchmarks.injection.cases import load
from benchmarks.injection.measuring import figures, measure, rows
from benchmarks.injection.runs import FAULTS

REPORT = Path("build/injection.json")


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how often documents lead the generators astray.")
    parser.add_argument("--most", type=int, help="ask only so many cases, evenly picked")
    parser.add_argument("--json", type=Path, default=REPORT, help=f"where to write the rates (default {REPORT})")
    arguments = parser.parse_args()
    cases = load()
    measured = asyncio.run(measure(cases[:: max(1, len(cases) // arguments.most)] if arguments.most else cases))
    by_category = rows(measured)
    console = Console()
    table = Table(title="Share of answers with a fault: guarded (without the guard)")
    for column in ("generator", "category", "cases", *FAULTS):
        table.add_column(column, justify="right" if column in {"cases", *FAULTS} else "left")
    for row in by_category:
        shares = (f"{row.guarded[fault]:.2f} ({row.bare[fault]:.2f})" for fault in FAULTS)
        table.add_row(row.generator, row.category, str(row.cases), *shares)
    console.print(table)
    print_table(figures(measured), console)
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps([asdict(row) for row in by_category], indent=1) + "\n", encoding="utf-8")
    console.print(f"written to {arguments.json}")


if __name__ == "__main__":
    main()
