"""Versions of one document that overtake each other, and deletions that overtake ingestion."""

from __future__ import annotations

import asyncio

from contracts import topology
from messaging.storage import Storage
from tests.faults.documents import QUESTION, text_of
from tests.faults.plans import Action, Plan
from tests.faults.row import Outcome, Row, Trial
from tests.faults.stack import Stack, running
from tests.faults.workload import Workload

HELD_AT = (
    "ingest.received",
    "ingest.text-stored",
    "ingest.planned",
    "ingest.batch-published",
    "embed.received",
    "embed.encoded",
    "embed.written",
    "embed.counted",
)
QUICKLY = 12
VERSIONS = 4


class Overtaking(Row):
    name = "two versions racing"
    fault = "the first version is held at each point while the second is finished; and versions in quick succession"
    passes = "the later version is the one that is there; nothing of the earlier is left"

    async def run(self, trial: Trial) -> Outcome:
        async with running(seed=trial.seed, scale=trial.scale) as stack:
            work = Workload(stack)
            for point in HELD_AT:
                name = f"raced-{point.replace('.', '-')}"
                plan = await _held(stack, work, name, point)
                await work.replace(name)
                await work.is_ready(name)
                stack.searcher.watch(name)
                stack.plans.release(plan)
                trial.say(f"first version held at {point}")
            await asyncio.gather(*(self._in_succession(stack, work, f"quick-{n}") for n in range(QUICKLY)))
            return Outcome(verdict=await stack.examine())

    async def _in_succession(self, stack: Stack, work: Workload, name: str) -> None:
        for version in range(1, VERSIONS + 1):
            await stack.client.submit_surely(text_of(name, version, stack.seed))
        await work.is_ready(name)


class Deletion(Row):
    name = "delete racing ingest"
    fault = "a document is deleted while its ingestion is held at each point"
    passes = "it stays deleted and invisible; no row and no upload of it is left"

    async def run(self, trial: Trial) -> Outcome:
        outcome = Outcome()
        async with running(seed=trial.seed, scale=trial.scale) as stack:
            work = Workload(stack)
            for point in HELD_AT:
                name = f"deleted-{point.replace('.', '-')}"
                plan = await _held(stack, work, name, point)
                await stack.client.delete(name)
                outcome.require(not await _found(stack, name), f"{name} is found after its deletion")
                stack.plans.release(plan)
                trial.say(f"deleted at {point}")
            outcome.verdict = await stack.examine()
            uploads = await Storage(stack.broker).count(f"OBJ_{topology.UPLOADS.name}", "$O.uploads.>")
            outcome.require(not uploads, f"{uploads} pieces of uploads of deleted documents are left")
        return outcome


async def _held(stack: Stack, work: Workload, name: str, point: str) -> Plan:
    """Submit a document whose first version stops at a point until it is released."""
    plan = Plan(point=point, action=Action.PAUSE, containing=f'"{name}"')
    stack.plans.arm(plan)
    await work.replace(name)
    await stack.struck(plan)
    return plan


async def _found(stack: Stack, document_id: str) -> bool:
    reply = await stack.client.ask(QUESTION, generate=False, documents=(document_id,))
    assert reply.ok, f"a search was answered {reply.status}: {reply.body}"
    return bool(reply.body["passages"])
