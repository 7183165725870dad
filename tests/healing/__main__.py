"""`make campaign`: break a stack that repairs itself, again and again, and look how it does that."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from pathlib import Path

import structlog
import uvloop
from rich.console import Console

from tests.healing import campaign
from tests.healing.campaign import Trial, drawn
from tests.healing.faults import FAULTS
from tests.healing.report import Report
from tests.healing.scale import PRODUCTION, SCALED

REPORT = Path("build/campaign.json")
WIDTH = 200
"""The table needs it, whatever the terminal or pipe claims to have."""


def main() -> int:
    arguments = _arguments()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    console, begun = Console(), time.monotonic()
    console.width = max(console.width, WIDTH)
    trial = Trial(
        seed=arguments.seed,
        scale=PRODUCTION if arguments.production_times else SCALED,
        say=lambda text: console.print(f"{time.monotonic() - begun:6.0f} s  {text}", style="dim", highlight=False),
    )
    faults = [fault for fault in FAULTS if not arguments.only or fault.name in arguments.only]
    chosen = drawn(faults, seed=trial.seed, runs=arguments.runs or len(faults))
    report = Report(seed=trial.seed, lines=uvloop.run(campaign.run(chosen, trial)))
    report.print(console)
    report.write(arguments.json)
    console.print(f"written to {arguments.json}")
    return 0 if report.passed else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Break a Waggle that repairs itself, and look what it finds, does and tells."
    )
    parser.add_argument("--seed", type=int, default=1, help="the same seed breaks the same things (default 1)")
    parser.add_argument("--runs", type=int, default=0, help="how many faults (default each once)")
    parser.add_argument(
        "--only", choices=sorted(fault.name for fault in FAULTS), action="append", help="only this fault; repeatable"
    )
    parser.add_argument("--production-times", action="store_true", help="the shipped policy instead of a scaled one")
    parser.add_argument("--json", type=Path, default=REPORT, help=f"where to write the figures (default {REPORT})")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
