"""Row 31: half of the usual load for a long time."""

from __future__ import annotations

import asyncio

from tests.faults.row import Outcome, Row, Trial
from tests.faults.stack import EVERYBODY, running
from tests.faults.usage import Usage
from tests.faults.workload import Workload

WARM_S = 8.0
SOAK_S = 30.0
PRODUCTION_WARM_S = 60.0
PRODUCTION_SOAK_S = 600.0
REPLACED_EVERY_S = 1.0
QUESTIONS_EVERY_S = 0.5
"""Half of what other rows have going on. Documents are replaced, so that what is kept stays the same."""
VERSIONED = 12

GROWTH_TIMES = 1.1
GROWTH_MIB = 32.0
MORE_FDS = 12
MORE_TASKS = 12
"""Beyond the first third's median. What is in hand at the moment comes and goes; a leak does not stop."""


class Soak(Row):
    number = "31"
    name = "soak"
    fault = "half load for a long time: documents replaced over and over, questions"
    passes = "memory, open files and tasks of every process flat; nothing stranded"

    async def run(self, trial: Trial) -> Outcome:
        outcome = Outcome()
        warm_s, soak_s = (PRODUCTION_WARM_S, PRODUCTION_SOAK_S) if trial.scale.as_in_production else (WARM_S, SOAK_S)
        async with running(seed=trial.seed, scale=trial.scale, manners={EVERYBODY: ("tell_tasks",)}) as stack:
            work, usage = Workload(stack), Usage(stack)
            await work.prepare(versioned=VERSIONED)
            async with work.going_on(
                documents_every_s=REPLACED_EVERY_S, questions_every_s=QUESTIONS_EVERY_S, replacing=True
            ):
                await asyncio.sleep(warm_s)
                async with usage.taken():
                    await asyncio.sleep(soak_s)
            outcome.verdict = await stack.examine()
            outcome.require(not stack.fleet.crashes(), f"processes ended by themselves: {stack.fleet.crashes()}")
            _judge(usage, outcome)
            trial.say(", ".join(f"{name} {value:g}" for name, value in outcome.notes.items()))
        return outcome


def _judge(usage: Usage, outcome: Outcome) -> None:
    outcome.notes["messages stored more"] = usage.stored
    for name in usage.samples:
        first_mib, last_mib = usage.thirds(name, "rss_mib")
        outcome.notes[f"{name} MiB more"] = round(last_mib - first_mib, 1)
        most_mib = GROWTH_TIMES * first_mib + GROWTH_MIB + usage.index_mib(name)
        outcome.require(last_mib <= most_mib, f"{name} grew from {first_mib:.0f} to {last_mib:.0f} MiB")
        for what, more in (("fds", MORE_FDS), ("tasks", MORE_TASKS)):
            first, last = usage.thirds(name, what)
            outcome.notes[f"{name} {what} more"] = last - first
            outcome.require(last <= first + more, f"{name} has {last:g} {what}, {first:g} at first")
