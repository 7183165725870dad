"""`make faults`: break everything, again and again, and count what is lost."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from pathlib import Path

import structlog
import uvloop
from rich.console import Console

from tests.faults import campaign
from tests.faults.durability import durability_cost_ratio
from tests.faults.report import Report
from tests.faults.row import Trial
from tests.faults.rows import CONTROLS, ROWS
from tests.faults.scale import PRODUCTION, SCALED

REPORT = Path("build/faults.json")
EVERY_ROW = (*ROWS, *CONTROLS)
RUNS = 240
WIDTH = 170
"""The table needs it, whatever the terminal or pipe claims to have."""


def main() -> int:
    arguments = _arguments()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    console, begun = Console(), time.monotonic()
    console.width = max(console.width, WIDTH)
    trial = Trial(
        seed=arguments.seed,
        scale=PRODUCTION if arguments.production_times else SCALED,
        runs=arguments.runs,
        say=lambda text: console.print(f"{time.monotonic() - begun:6.0f} s  {text}", style="dim", highlight=False),
    )
    rows = [row for row in EVERY_ROW if not arguments.only or row.name in arguments.only]
    lines = uvloop.run(campaign.run(rows, trial))
    report = Report(seed=trial.seed, lines=lines, durability_cost_ratio=uvloop.run(durability_cost_ratio()))
    report.print(console)
    report.write(arguments.json)
    console.print(f"written to {arguments.json}")
    return 0 if report.passed else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Break a running Waggle in every way there is, and count what is lost."
    )
    parser.add_argument("--seed", type=int, default=1, help="the same seed breaks the same things (default 1)")
    parser.add_argument("--runs", type=int, default=RUNS, help=f"how many kills (default {RUNS})")
    parser.add_argument(
        "--only", choices=sorted(row.name for row in EVERY_ROW), action="append", help="run only this row"
    )
    parser.add_argument("--production-times", action="store_true", help="ack waits as in production instead of 3 s")
    parser.add_argument("--json", type=Path, default=REPORT, help=f"where to write the figures (default {REPORT})")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
