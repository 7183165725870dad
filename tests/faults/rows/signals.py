"""Rows 2 and 3: processes that are told to end, and processes that freeze and come back."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import psutil

from contracts import topology
from tests.faults.plans import Action, Plan
from tests.faults.points import BY_NAME, Work
from tests.faults.row import Outcome, Row, Trial
from tests.faults.stack import PROCESSES, Stack, running
from tests.faults.verdict import Verdict
from tests.faults.worker import GATEWAY
from tests.faults.workload import Workload
from tests.support.waiting import until

DRAIN_S = 30.0
ACK_WAIT_S = 30.0
"""As in production: what is delivered again has been given back, not timed out on busy cores."""
LOADED_S = 1.0
"""How long the load goes on before and after each signal."""
DRIVE_EVERY_S = 2.0
STRUCK_TIMEOUT_S = 40.0
BEYOND_ACK_WAIT = 1.5

FROZEN_AT = ("ingest.planned", "embed.encoded", "embed.written", "retrieve.found", "generate.piece-sent")


class Sigterm(Row):
    number = "2"
    name = "SIGTERM"
    fault = "SIGTERM to each process under load"
    passes = "drained within 30 s, exit code 0, nothing delivered a second time"

    async def run(self, trial: Trial) -> Outcome:
        outcome = Outcome()
        patient = replace(trial.scale, ack_wait_s=ACK_WAIT_S)
        async with running(seed=trial.seed, scale=patient) as stack:
            work = Workload(stack)
            await work.prepare()
            async with work.going_on():
                for name in PROCESSES:
                    await asyncio.sleep(LOADED_S)
                    await self._restart(stack, name, outcome)
                await stack.fleet.ready()
            outcome.verdict = await stack.examine()
            again = [d for d in stack.deliveries() if d[2] > 1 and d[0] != topology.PURGE_WORKERS.durable]
            outcome.require(not again, f"delivered again (consumer, sequence, attempt): {again}")
        return outcome

    async def _restart(self, stack: Stack, name: str, outcome: Outcome) -> None:
        begun = time.monotonic()
        code = await stack.fleet.stop(name)
        drained_s = time.monotonic() - begun
        outcome.require(code == 0, f"{name} ended with {code}")
        outcome.require(drained_s <= DRAIN_S, f"{name} took {drained_s:.1f} s to drain")
        stack.launch(name)
        if name == GATEWAY:
            await stack.gateway_ready()
        outcome.notes[f"{name} drained in s"] = round(drained_s, 2)


class Zombies(Row):
    number = "3"
    name = "zombies"
    fault = "SIGSTOP to a worker at work for longer than the ack wait, then SIGCONT; another one took over"
    passes = "each effect applied once; what the zombie does late changes nothing"

    async def run(self, trial: Trial) -> Outcome:
        outcome = Outcome()
        async with running(seed=trial.seed, scale=trial.scale) as stack:
            work = Workload(stack)
            await work.prepare()
            for service in ("ingest", "embed", "retrieve", "generate"):
                stack.launch(f"{service}-2", service)
            await stack.fleet.ready()
            for point in FROZEN_AT:
                await self._freeze(stack, work, point)
                trial.say(f"{point} frozen and back")
            await work.finish()
            outcome.verdict = await stack.examine()
            outcome.require(not stack.fleet.crashes(), f"processes ended by themselves: {stack.fleet.crashes()}")
        return outcome

    async def _freeze(self, stack: Stack, work: Workload, point: str) -> None:
        plan = Plan(point=point, action=Action.STOP)
        stack.plans.arm(plan)
        await work.drive(
            BY_NAME[point].work,
            what=point,
            until_true=lambda: stack.plans.strikes(plan),
            every_s=DRIVE_EVERY_S,
            timeout_s=STRUCK_TIMEOUT_S,
        )
        frozen = stack.fleet.name_of(stack.plans.strikes(plan)[0].pid)
        await asyncio.sleep(stack.scale.longest_ack_wait_s * BEYOND_ACK_WAIT)
        if BY_NAME[point].work is Work.QUESTION:
            await work.answered()
        else:
            await work.is_ready(await work.submit())
        stack.fleet.thaw(frozen)


class StaleWriter(Row):
    number = "3"
    name = "stale writer"
    fault = "an embed worker freezes before it writes; the document is replaced and purged; then it writes"
    passes = "the rows that it writes are gone again, searches never see them"

    async def run(self, trial: Trial) -> Outcome:
        async with running(seed=trial.seed, scale=trial.scale) as stack:
            return Outcome(verdict=await stale_write(stack))


async def stale_write(stack: Stack) -> Verdict:
    """The verdict after a frozen worker has written rows of a generation that is over and purged."""
    work = Workload(stack)
    plan = Plan(point="embed.encoded", action=Action.STOP)
    stack.plans.arm(plan)
    await work.replace("frozen")
    frozen = stack.fleet.name_of((await stack.struck(plan)).pid)
    stack.launch("embed-2", "embed")
    await stack.fleet.ready("embed-2")
    await work.replace("frozen")
    await work.is_ready("frozen")
    stack.searcher.watch("frozen")

    async def at_rest() -> bool:
        return bool(await stack.oracle.settled(0))

    async with stack.searcher.resting():
        await until(at_rest, timeout_s=stack.scale.settle_s, what="the earlier version is purged")
    stack.fleet.thaw(frozen)
    await until(lambda: _is_awake(stack, frozen), timeout_s=30)
    await work.is_ready(await work.submit())
    await stack.fleet.stop(frozen)  # it finishes what it had in hand
    return await stack.examine()


def _is_awake(stack: Stack, name: str) -> bool:
    return stack.fleet.state(name) != psutil.STATUS_STOPPED
