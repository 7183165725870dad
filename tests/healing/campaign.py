"""Draws faults by a seed and runs them, those of one setup on one stack as far as they do not disturb each other."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from tests.healing.fault import Fault, Line
from tests.healing.procedure import Procedure
from tests.healing.scale import SCALED, Scale
from tests.healing.site import running

MOST_TOGETHER: Final = 6
"""Faults on one stack: beyond that there are not enough processes that were not struck yet."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """How a campaign is run; `say` tells of progress."""

    seed: int = 1
    scale: Scale = SCALED
    say: Callable[[str], None] = lambda _: None


def drawn(faults: Sequence[type[Fault]], *, seed: int, runs: int) -> list[type[Fault]]:
    """So many faults: every one before any comes again, each round in an order of its own."""
    source, chosen = random.Random(seed), list[type[Fault]]()
    while len(chosen) < runs:
        round_ = list(faults)
        source.shuffle(round_)
        chosen += round_
    return chosen[:runs]


def together(faults: Sequence[type[Fault]]) -> list[list[type[Fault]]]:
    """Faults that share a stack: lonely ones have one each, nothing comes twice on one, and what clouds comes last."""
    groups: list[list[type[Fault]]] = []
    for fault in faults:
        fitting = next((group for group in groups if _fits(fault, group)), None)
        if fitting is None:
            groups.append([fault])
        else:
            fitting.append(fault)
    return [sorted(group, key=lambda fault: fault.clouds) for group in groups]


def _fits(fault: type[Fault], group: Sequence[type[Fault]]) -> bool:
    return (
        not any(each.lonely for each in (fault, *group))
        and not (fault.clouds and any(each.clouds for each in group))
        and fault not in group
        and group[0].setup == fault.setup
        and len(group) < MOST_TOGETHER
    )


async def run(faults: Sequence[type[Fault]], trial: Trial) -> list[Line]:
    """All of them, each group on a stack of its own."""
    lines = []
    for number, group in enumerate(together(faults)):
        source = random.Random(f"{trial.seed}/{number}")
        trial.say(f"a stack for {', '.join(fault.name for fault in group)}")
        async with running(group[0].setup, seed=source, scale=trial.scale) as site:
            for kind in group:
                say = _saying(trial, kind)
                line = await Procedure(kind(), site, say).run()
                say(f"{'passed' if line.passed else 'FAILED'} after {line.took_s:.0f} s {line.problems or ''}")
                lines.append(line)
    return lines


def _saying(trial: Trial, kind: type[Fault]) -> Callable[[str], None]:
    return lambda text: trial.say(f"{kind.name}: {text}")
