"""Rows 4 and 9, and consumers that vanish: what the broker may do to us."""

from __future__ import annotations

import asyncio
import time

from contracts import topology
from tests.faults.client import UNAVAILABLE
from tests.faults.documents import Text
from tests.faults.plans import Action, Plan
from tests.faults.points import Work
from tests.faults.row import Outcome, Row, Trial
from tests.faults.stack import Stack, running
from tests.faults.verdict import Verdict
from tests.faults.workload import Workload
from tests.support.freezing import freeze

KILLS = 5
DOWN_S = 1.0
LOADED_S = 2.0
BACK_S = 10.0
DRIVE_EVERY_S = 2.0
STRUCK_TIMEOUT_S = 40.0

UNACKNOWLEDGED = {
    "ingest.unacknowledged": Work.DOCUMENT,
    "embed.unacknowledged": Work.DOCUMENT,
    "purge.unacknowledged": Work.REPLACEMENT,
    "retrieve.unacknowledged": Work.QUESTION,
    "generate-stable.unacknowledged": Work.QUESTION,
}


class BrokerKills(Row):
    number = "4"
    name = "broker kill -9"
    fault = "the broker killed five times under load"
    passes = (
        "0 acknowledged lost; back within 10 s; 503 with Retry-After meanwhile, never 202 for what was not accepted"
    )

    async def run(self, trial: Trial) -> Outcome:
        outcome = Outcome()
        async with running(seed=trial.seed, scale=trial.scale) as stack:
            work = Workload(stack)
            await work.prepare()
            async with work.going_on():
                for number in range(KILLS):
                    await asyncio.sleep(LOADED_S)
                    await self._kill(stack, work, outcome)
                    trial.say(f"{number + 1} of {KILLS} broker kills, back after {outcome.back_s[-1]:.1f} s")
            await stack.connected()
            outcome.verdict = await stack.examine()
            outcome.require(not stack.fleet.crashes(), f"processes ended by themselves: {stack.fleet.crashes()}")
            outcome.require(max(outcome.back_s) <= BACK_S, f"served again only after {max(outcome.back_s):.1f} s")
        return outcome

    async def _kill(self, stack: Stack, work: Workload, outcome: Outcome) -> None:
        await asyncio.to_thread(stack.server.kill)
        outcome.kills += 1
        until_s = time.monotonic() + DOWN_S
        while time.monotonic() < until_s:
            await self._refused(stack, work.fresh(), outcome)
        await asyncio.to_thread(stack.server.start)
        outcome.back_s.append(await work.served_after_s())

    async def _refused(self, stack: Stack, text: Text, outcome: Outcome) -> None:
        reply = await stack.client.submit(text)
        outcome.require(
            reply.status == UNAVAILABLE and "Retry-After" in reply.headers,
            f"without a broker a document was answered {reply.status}, headers {dict(reply.headers)}",
        )


class BrokerBeforeAck(Row):
    number = "9"
    name = "broker before ack"
    fault = "the broker killed between effect and ack; its memory of message ids is gone"
    passes = "0 doubled"

    async def run(self, trial: Trial) -> Outcome:
        outcome = Outcome()
        async with running(seed=trial.seed, scale=trial.scale) as stack:
            work = Workload(stack)
            await work.prepare()
            for point, kind in UNACKNOWLEDGED.items():
                await self._restart_at(stack, work, point, kind)
                outcome.kills += 1
                trial.say(f"restarted at {point}")
            await work.finish()
            outcome.verdict = await stack.examine()
            outcome.require(not stack.fleet.crashes(), f"processes ended by themselves: {stack.fleet.crashes()}")
        return outcome

    async def _restart_at(self, stack: Stack, work: Workload, point: str, kind: Work) -> None:
        plan = Plan(point=point, action=Action.PAUSE)
        stack.plans.arm(plan)
        await work.drive(
            kind,
            what=point,
            until_true=lambda: stack.plans.strikes(plan),
            every_s=DRIVE_EVERY_S,
            timeout_s=STRUCK_TIMEOUT_S,
        )
        await asyncio.to_thread(stack.server.restart, crash=True)
        stack.plans.release(plan)
        await stack.connected()
        await work.is_ready(await work.submit())
        await work.answered()


class LostConsumers(Row):
    name = "consumers deleted"
    fault = "every consumer of the workers is deleted on the server, under load"
    passes = "restored by the keeper; 0 lost, 0 doubled"

    async def run(self, trial: Trial) -> Outcome:
        outcome = Outcome()
        async with running(seed=trial.seed, scale=trial.scale) as stack:
            work = Workload(stack)
            await work.prepare()
            async with work.going_on():
                for consumer in topology.CONSUMERS:
                    if consumer.durable != topology.GENERATE_CANARY_WORKERS.durable:  # nobody reads it here
                        await self._delete(stack, work, consumer, outcome)
            outcome.verdict = await stack.examine()
            outcome.require(not stack.fleet.crashes(), f"processes ended by themselves: {stack.fleet.crashes()}")
        return outcome

    async def _delete(self, stack: Stack, work: Workload, consumer: topology.Consumer, outcome: Outcome) -> None:
        await stack.broker.js.delete_consumer(consumer.stream.name, consumer.durable)
        begun = time.monotonic()
        await work.is_ready(await work.submit())
        await work.answered()
        outcome.back_s.append(time.monotonic() - begun)


class BrokerBeforeRequest(Row):
    name = "broker mid-submission"
    fault = "the broker freezes between a submission's ledger record and its ingest request, and is killed"
    passes = "not answered 202, or not lost"

    async def run(self, trial: Trial) -> Outcome:
        async with running(seed=trial.seed, scale=trial.scale, settings=IMPATIENT) as stack:
            return Outcome(verdict=await cut_off_request(stack), kills=1)


IMPATIENT = {"WAGGLE_PUBLISH_TIMEOUT_S": "1"}


async def cut_off_request(stack: Stack) -> Verdict:
    """The verdict on a document whose ingest request the broker took from the socket and never stored."""
    work = Workload(stack)
    plan = Plan(point="gateway.entered", action=Action.PAUSE)
    stack.plans.arm(plan)
    submitting = asyncio.create_task(stack.client.submit(work.fresh()))
    await stack.struck(plan)
    assert stack.server.pid is not None
    freeze(stack.server.pid)
    stack.plans.release(plan)
    await submitting
    await asyncio.to_thread(stack.server.restart, crash=True)
    await stack.connected()
    return await stack.examine(settle_s=15.0)
