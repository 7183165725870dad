"""What the harness sees when a safeguard is missing: each control must find the breach that its safeguard prevents."""

from __future__ import annotations

import asyncio

from contracts import topology
from tests.faults.plans import Action, Plan
from tests.faults.row import Control, Outcome, Trial
from tests.faults.rows.broker import IMPATIENT, cut_off_request
from tests.faults.rows.deaths import abandoned, exhausted
from tests.faults.rows.signals import stale_write
from tests.faults.stack import KEEPERS, Stack, running
from tests.faults.workload import Workload

SETTLE_S = 8.0
REPLACED_S = 6.0


class AckFirst(Control):
    name = "control: ack first"
    fault = "ingest acknowledges before the effect, and is killed"
    passes = "the oracle sees the loss"
    sees = "lost"

    async def run(self, trial: Trial) -> Outcome:
        manners = {"ingest": ("acknowledge_first",), "keeper": ("no_reconciler",)}
        async with running(seed=trial.seed, scale=trial.scale, manners=manners) as stack:
            await _killed_at(stack, "ingest.text-stored")
            return Outcome(verdict=await stack.examine(settle_s=SETTLE_S), kills=1)


class RandomIds(Control):
    name = "control: random chunk ids"
    fault = "embed invents chunk ids, and is killed after it has written"
    passes = "the oracle sees rows twice"
    sees = "doubled"

    async def run(self, trial: Trial) -> Outcome:
        async with running(seed=trial.seed, scale=trial.scale, manners={"embed": ("random_chunk_ids",)}) as stack:
            await _killed_at(stack, "embed.written")
            return Outcome(verdict=await stack.examine(), kills=1)


class NoVisibilityCheck(Control):
    name = "control: no visibility check"
    fault = "searches return what the index holds, while documents are replaced"
    passes = "the searcher sees two versions at once"
    sees = "mixtures"

    async def run(self, trial: Trial) -> Outcome:
        manners = {"retrieve": ("no_visibility_check",)}
        async with running(seed=trial.seed, scale=trial.scale, manners=manners) as stack:
            work = Workload(stack)
            await work.prepare(versioned=2)
            loop = asyncio.get_running_loop()
            until_s = loop.time() + REPLACED_S
            while loop.time() < until_s and not stack.searcher.verdict.mixtures:
                await work.is_ready(await work.replace())
            return Outcome(verdict=await stack.examine())


class NoPurge(Control):
    name = "control: no purge"
    fault = "rows of replaced versions, and those that a zombie writes late, stay"
    passes = "the oracle sees ghosts"
    sees = "ghosts"

    async def run(self, trial: Trial) -> Outcome:
        async with running(seed=trial.seed, scale=trial.scale, manners={"embed": ("no_purge",)}) as stack:
            return Outcome(verdict=await stale_write(stack))


class NoKeeper(Control):
    name = "control: no keeper"
    fault = "no keeper runs while gateway and every worker are killed"
    passes = "the oracle misses ends of queries"
    sees = "terminal_missing"

    async def run(self, trial: Trial) -> Outcome:
        async with running(seed=trial.seed, scale=trial.scale, without=KEEPERS) as stack:
            return Outcome(verdict=await abandoned(stack), kills=1)


class NoAdvisories(Control):
    name = "control: no advisories"
    fault = "nobody listens to what the broker says of messages that ran out of deliveries"
    passes = "the oracle sees messages stuck in their queue"
    sees = "stuck"

    async def run(self, trial: Trial) -> Outcome:
        manners = {"keeper": ("deaf_to_advisories", "no_reconciler")}
        async with running(seed=trial.seed, scale=trial.scale, manners=manners) as stack:
            return Outcome(verdict=await exhausted(stack))


class NoReconciler(Control):
    name = "control: no reconciler"
    fault = "the gateway is killed between a submission's ledger record and its ingest request"
    passes = "the oracle sees the document hang"
    sees = "lost"

    async def run(self, trial: Trial) -> Outcome:
        async with running(seed=trial.seed, scale=trial.scale, manners={"keeper": ("no_reconciler",)}) as stack:
            plan = Plan(point="gateway.entered", action=Action.KILL)
            stack.plans.arm(plan)
            await stack.client.submit(Workload(stack).fresh())
            await stack.struck(plan)
            return Outcome(verdict=await stack.examine(settle_s=SETTLE_S), kills=1)


class NoWatchdog(Control):
    name = "control: no watchdog"
    fault = "the ingest consumer is deleted on the server, and no keeper looks after it"
    passes = "the oracle sees the document hang"
    sees = "lost"

    async def run(self, trial: Trial) -> Outcome:
        async with running(seed=trial.seed, scale=trial.scale, manners={"keeper": ("no_watchdog",)}) as stack:
            await stack.broker.js.delete_consumer(topology.INGEST.name, topology.INGEST_WORKERS.durable)
            await Workload(stack).submit()
            return Outcome(verdict=await stack.examine(settle_s=SETTLE_S))


class BlindPublish(Control):
    name = "control: blind publish"
    fault = "the gateway does not wait until an ingest request is stored; the broker is killed; no reconciler mends it"
    passes = "the oracle sees the loss"
    sees = "lost"

    async def run(self, trial: Trial) -> Outcome:
        manners = {"gateway": ("publish_blindly",), "keeper": ("no_reconciler",)}
        async with running(seed=trial.seed, scale=trial.scale, manners=manners, settings=IMPATIENT) as stack:
            return Outcome(verdict=await cut_off_request(stack), kills=1)


async def _killed_at(stack: Stack, point: str) -> None:
    plan = Plan(point=point, action=Action.KILL)
    stack.plans.arm(plan)
    work = Workload(stack)
    await work.submit()
    await stack.struck(plan)
