"""Runs rows one after another."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace

from tests.faults.report import Line
from tests.faults.row import NotPossibleHere, Outcome, Row, Trial


async def run(rows: Iterable[type[Row]], trial: Trial) -> list[Line]:
    """Every row on a stack of its own. What a row waited for in vain is a problem of it, not the end of the campaign."""
    lines = []
    for kind in rows:
        row = kind()
        say, begun = _saying(trial, row), time.monotonic()
        say(row.fault)
        outcome = await _outcome(row, replace(trial, say=say))
        line = Line(row=row, outcome=outcome, took_s=time.monotonic() - begun)
        say(f"{line.result} after {line.took_s:.0f} s")
        lines.append(line)
    return lines


def _saying(trial: Trial, row: Row) -> Callable[[str], None]:
    return lambda text: trial.say(f"{row.name}: {text}")


async def _outcome(row: Row, trial: Trial) -> Outcome:
    try:
        return await row.run(trial)
    except NotPossibleHere as error:
        return Outcome(not_run=str(error))
    except AssertionError as error:
        return Outcome(problems=[str(error)])
