"""Row 13: what the workers call is away for longer than all attempts of a message would last."""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import ClassVar

from contracts import subjects, topology
from messaging.fleet import FleetView
from messaging.provisioning import provision_consumer
from messaging.storage import Storage
from tests.faults.backends import Backend, away
from tests.faults.client import TOO_MANY, Reply
from tests.faults.documents import QUESTION
from tests.faults.plans import Action, Plan
from tests.faults.row import Control, Outcome, Row, Trial
from tests.faults.stack import SERVICES, Stack, running
from tests.faults.worker import GATEWAY
from tests.faults.workload import Workload
from tests.support.waiting import until

MAX_DELIVER = 4
"""So that all attempts are over after seconds, with any times."""
OUTAGE_S = 12.0
PRODUCTION_OUTAGE_S = 60.0
OPENED_S = 30.0
BACK_S = 15.0
SCALED_BACK_S = 45.0
"""The looks at a backend are those of production; so much more is for cores that others use."""
BRIEF_S = 3.0
PATIENT_BEFORE_S = 5.0
"""So long before the return a question is asked that can wait."""
PATIENT_S = 30.0
VERSIONED = 2
DOCUMENTS_EVERY_S = 1.0
QUESTIONS_EVERY_S = 1.0
EXPIRED = 504


class Outage(Row):
    """A backend and the services that call it; `concerns_questions` tells whether questions need it."""

    number = "13"
    backend: ClassVar[Backend]
    services: ClassVar[tuple[str, ...]]
    concerns_questions: ClassVar[bool] = True
    passes = (
        "nothing dead-lettered; the breaker opens and closes; all is done within 15 s of the return; questions end "
        "by their deadline"
    )

    async def run(self, trial: Trial) -> Outcome:
        outcome = Outcome()
        async with _impatient(trial, _minding(self.backend, self.services)) as stack, _heard(stack) as fleet:
            work = Workload(stack)
            await work.prepare(versioned=VERSIONED)
            plan = await _in_hand(stack, work)
            async with work.going_on(documents_every_s=DOCUMENTS_EVERY_S, questions_every_s=QUESTIONS_EVERY_S):
                with away(stack.folder, self.backend):
                    stack.plans.release(plan)
                    await self._opened(stack, fleet)
                    trial.say("all breakers are open")
                    patient = await self._outage(stack, trial, outcome)
                await self._return(stack, work, trial, outcome)
                outcome.require(
                    (await patient).ok, f"a question that could wait was answered {patient.result().status}"
                )
            await until(lambda: not any(_breakers(fleet, self.backend)), timeout_s=OPENED_S, what="it is closed again")
            outcome.verdict = await stack.examine()
            outcome.require(not outcome.verdict.failed, f"{outcome.verdict.failed} documents failed")
            letters = await _letters(stack)
            outcome.require(not letters, f"{letters} dead letters")
            outcome.require(not stack.fleet.crashes(), f"processes ended by themselves: {stack.fleet.crashes()}")
        return outcome

    @abstractmethod
    async def ask(self, stack: Stack, *, deadline_s: float) -> Reply:
        """A question that needs the backend, where any does."""

    async def _opened(self, stack: Stack, fleet: FleetView) -> None:
        async def opened() -> bool:
            await self.ask(stack, deadline_s=1.0)  # something has to call it
            opened = _breakers(fleet, self.backend)
            return bool(opened) and all(opened)

        await until(opened, timeout_s=OPENED_S, what=f"all breakers of the {self.backend} are open")

    async def _outage(self, stack: Stack, trial: Trial, outcome: Outcome) -> asyncio.Task[Reply]:
        brief = await self.ask(stack, deadline_s=BRIEF_S)
        if self.concerns_questions:
            outcome.require(brief.status == EXPIRED, f"a question that could not wait was answered {brief.status}")
        else:
            outcome.require(brief.ok, f"a question without need of it was answered {brief.status}")
        await asyncio.sleep((PRODUCTION_OUTAGE_S if trial.scale.as_in_production else OUTAGE_S) - PATIENT_BEFORE_S)
        patient = asyncio.create_task(self._patient(stack))
        await asyncio.sleep(PATIENT_BEFORE_S)
        return patient

    async def _patient(self, stack: Stack) -> Reply:
        """Ask, and when told to come back later, come back then."""
        until_s = time.monotonic() + PATIENT_S
        while True:
            reply = await self.ask(stack, deadline_s=PATIENT_S)
            if reply.status != TOO_MANY or time.monotonic() > until_s:
                return reply
            await asyncio.sleep(float(reply.headers["Retry-After"]))

    async def _return(self, stack: Stack, work: Workload, trial: Trial, outcome: Outcome) -> None:
        begun = time.monotonic()
        for document_id in sorted(stack.books.promises):
            await work.is_ready(document_id)
        took_s = time.monotonic() - begun
        trial.say(f"all done {took_s:.1f} s after the return")
        outcome.back_s.append(took_s)
        most_s = BACK_S if trial.scale.as_in_production else SCALED_BACK_S
        outcome.require(took_s <= most_s, f"all was done only {took_s:.1f} s after the return")


class IndexAway(Outage):
    name = "index away"
    fault = "the index fails at everything, for longer than all attempts would last"
    backend = Backend.INDEX
    services = ("embed", "retrieve")

    async def ask(self, stack: Stack, *, deadline_s: float) -> Reply:
        return await stack.client.ask(QUESTION, deadline_s=deadline_s, generate=False)


class EncoderAway(Outage):
    name = "encoder away"
    fault = "the encoder fails at everything, for longer than all attempts would last"
    backend = Backend.ENCODER
    services = ("embed", "retrieve")

    async def ask(self, stack: Stack, *, deadline_s: float) -> Reply:
        return await stack.client.ask(QUESTION, deadline_s=deadline_s, generate=False, mode="vector")


class GeneratorAway(Outage):
    name = "generator away"
    fault = "the generator fails at everything, for longer than all attempts would last"
    backend = Backend.GENERATOR
    services = ("generate",)

    async def ask(self, stack: Stack, *, deadline_s: float) -> Reply:
        return await stack.client.ask(QUESTION, deadline_s=deadline_s)


class UploadsAway(Outage):
    name = "object store away"
    fault = "the object store does not answer, for longer than all attempts would last"
    backend = Backend.UPLOADS
    services = ("ingest", "embed", GATEWAY)
    concerns_questions = False

    async def ask(self, stack: Stack, *, deadline_s: float) -> Reply:
        return await stack.client.ask(QUESTION, deadline_s=deadline_s, generate=False)


class NoHold(Control):
    name = "control: no hold"
    fault = "the index fails at everything, and messages are tried again instead of held"
    passes = "the oracle sees documents that failed"
    sees = "failed"

    async def run(self, trial: Trial) -> Outcome:
        outcome = Outcome()
        async with _impatient(trial, {"embed": ("fragile_index", "no_hold")}) as stack:
            work = Workload(stack)
            with away(stack.folder, Backend.INDEX):
                await work.submit()

                async def lettered() -> bool:
                    return bool(await _letters(stack))

                await until(lettered, timeout_s=trial.scale.settle_s, what="a dead letter")
            outcome.verdict = await stack.examine()
        return outcome


@asynccontextmanager
async def _impatient(trial: Trial, manners: Mapping[str, tuple[str, ...]]) -> AsyncIterator[Stack]:
    """A stack whose workers try each message a few times only."""
    late = (*(f"{service}-1" for service in SERVICES), GATEWAY)
    async with running(seed=trial.seed, scale=trial.scale, without=late, manners=manners) as stack:
        for consumer in trial.scale.table.consumers:
            if consumer.stream.name != topology.ADVISORIES.name:
                await provision_consumer(stack.broker, replace(consumer, max_deliver=MAX_DELIVER))
        await stack.start(*late)
        yield stack


@asynccontextmanager
async def _heard(stack: Stack) -> AsyncIterator[FleetView]:
    """What the fleet's heartbeats tell."""
    fleet = FleetView(stack.broker)
    await fleet.start()
    try:
        yield fleet
    finally:
        await fleet.stop()


def _minding(backend: Backend, services: tuple[str, ...]) -> Mapping[str, tuple[str, ...]]:
    return dict.fromkeys(services, (f"fragile_{backend}",))


async def _in_hand(stack: Stack, work: Workload) -> Plan:
    """A document that ingest has just been given, and holds until the plan is released."""
    plan = Plan(point="ingest.received", action=Action.PAUSE)
    stack.plans.arm(plan)
    await work.submit()
    await stack.struck(plan)
    return plan


def _breakers(fleet: FleetView, backend: Backend) -> list[bool]:
    """Of each process that has one, whether its breaker is open."""
    checks = [check for member in fleet.members() if member.alive for check in member.heartbeat.checks]
    details = [check.detail for check in checks if check.name == backend and check.detail.startswith("breaker")]
    return [not detail.startswith("breaker closed") for detail in details]


async def _letters(stack: Stack) -> int:
    return await Storage(stack.broker).count(topology.DLQ.name, f"{subjects.DEAD_LETTERS}.>")
