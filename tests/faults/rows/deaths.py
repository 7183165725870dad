"""Queries whose workers are all dead."""

from __future__ import annotations

import asyncio
import signal

from contracts import subjects, topology
from contracts.identifiers import new_id
from contracts.reconciliation import Remedy
from messaging.storage import Storage
from tests.faults.documents import QUESTION
from tests.faults.exhaustion import CONSUMER, exhaust, exhausted_generation
from tests.faults.row import Outcome, Row, Trial
from tests.faults.stack import KEEPERS, SERVICES, Stack, running
from tests.faults.verdict import Verdict
from tests.faults.worker import GATEWAY
from tests.faults.workload import EXPIRY_DEADLINE_S
from tests.support.waiting import until

QUESTIONS = 10
ASKED_TIMEOUT_S = 10.0
SETTLE_S = 8.0
RECONCILED_S = 180.0
"""The reconciler looks in its own time, once a minute in production, and looks twice."""


class OnlyAKeeper(Row):
    name = "only a keeper lives"
    fault = "gateway, one keeper and every worker are killed while questions wait"
    passes = "every query still ends"

    async def run(self, trial: Trial) -> Outcome:
        async with running(seed=trial.seed, scale=trial.scale) as stack:
            await stack.fleet.stop(KEEPERS[0], signal.SIGKILL)
            verdict = await abandoned(stack)
            return Outcome(verdict=verdict, kills=len(SERVICES) + 2)


class Exhausted(Row):
    name = "deliveries used up"
    fault = "messages whose every delivery ended without a word, the last one included"
    passes = "their queries end failed, and each has its dead letter"

    async def run(self, trial: Trial) -> Outcome:
        async with running(seed=trial.seed, scale=trial.scale) as stack:
            return Outcome(verdict=await exhausted(stack))


class AdvisoriesLost(Row):
    name = "advisories lost"
    fault = "messages run out of deliveries while nobody listens to the broker's advisories, and when they were handed out anew"
    passes = "the reconciler hands them out once more, then ends them"

    async def run(self, trial: Trial) -> Outcome:
        async with running(seed=trial.seed, scale=trial.scale, manners={"keeper": ("deaf_to_advisories",)}) as stack:
            await use_up(stack)
            redriven = subjects.reconcile_event(Remedy.REDRIVE, "*")

            async def handed_out_anew() -> bool:
                return await Storage(stack.broker).count(topology.EVENTS.name, redriven) == QUESTIONS

            await until(handed_out_anew, timeout_s=RECONCILED_S)
            await exhaust(stack.broker, CONSUMER)
            return Outcome(verdict=await stack.examine(settle_s=RECONCILED_S))


async def abandoned(stack: Stack) -> Verdict:
    """The verdict on questions that nobody is there to answer."""
    for service in SERVICES:
        await stack.fleet.stop(f"{service}-1", signal.SIGKILL)
    before = await stack.questions()
    asking = [
        asyncio.create_task(stack.client.stream(f"{QUESTION} {new_id()}", deadline_s=EXPIRY_DEADLINE_S))
        for _ in range(QUESTIONS)
    ]
    await stack.accepted(before + QUESTIONS)
    await stack.fleet.stop(GATEWAY, signal.SIGKILL)
    await asyncio.wait(asking)
    verdict = await stack.examine(settle_s=SETTLE_S)
    return verdict.forgive("stuck")  # with every worker dead the requests themselves stay; their queries must end


async def exhausted(stack: Stack) -> Verdict:
    """The verdict on queries whose messages were delivered as often as they may be."""
    await use_up(stack)
    return await stack.examine(settle_s=SETTLE_S)


async def use_up(stack: Stack) -> None:
    """Have questions whose messages were delivered as often as they may be."""
    for _ in range(QUESTIONS):
        stack.books.questions.add(await exhausted_generation(stack.broker))
