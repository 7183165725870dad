"""Rows 3, 6, 7, 10 and 30: what the observer says of a fault, and what it does not say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager

import psutil

from contracts import subjects, topology
from contracts.reconciliation import Remedy
from deploy.local.nats_server import NatsServer
from messaging.storage import Storage
from tests.faults.alarms import NOTICED_S, Alarms, watched
from tests.faults.clocks import clock_library, shifted
from tests.faults.disks import small_disk
from tests.faults.documents import QUESTION
from tests.faults.link import link_to
from tests.faults.row import Outcome, Row, Trial
from tests.faults.rows.fullness import DISK_BYTES
from tests.faults.stack import PROCESSES, Stack
from tests.faults.usage import MiB
from tests.faults.worker import GATEWAY
from tests.faults.workload import Workload
from tests.support.collectors import hanging_collector

DEAD, SKEWED, WRITES_FAIL, LOST = "InstanceDead", "ClockSkewed", "BrokerWritesFail", "TelemetryLost"
OF_A_FULL_DISK = frozenset({"ErrorLogsHigh", "QueryAvailabilityLow", "QueryErrorsHigh", "QuerySlow"})
"""What may be told of as well while nothing is stored: it is true."""
LEASE_OVER_S = 40.0
"""Longer than the observer's lease lasts."""
FULL_S = 60.0
HOUR_S = 3600
REPLACEMENTS = 12
WARM_S = 15.0
AWAY_S = 30.0
MOST_GROWN_MIB = 64.0
SOME = ("ingest-1", "retrieve-1", "keeper-1")
OTHERS = ("embed-1", "generate-1", GATEWAY)


class FrozenTold(Row):
    number = "3"
    name = "a frozen worker is told of"
    fault = "SIGSTOP to one of two workers until its alert fires, then SIGCONT"
    passes = "the alert fires within 15 s and resolves; no other alert"

    async def run(self, trial: Trial) -> Outcome:
        outcome = Outcome()
        async with watched(seed=trial.seed, scale=trial.scale) as alarms:
            stack = alarms.stack
            stack.launch("embed-2", "embed")
            await stack.fleet.ready()
            work = Workload(stack)
            await work.prepare(versioned=2)
            async with work.going_on(documents_every_s=1.0, questions_every_s=1.0):
                stack.fleet.freeze("embed-2")
                took_s = await alarms.fires(DEAD, instance="embed-2")
                await asyncio.sleep(1)
                stack.fleet.thaw("embed-2")
                over_s = await alarms.resolves(DEAD, instance="embed-2")
            outcome.notes |= {"fires after s": round(took_s, 1), "over after s": round(over_s, 1)}
            outcome.require(took_s <= NOTICED_S, f"noticed after {took_s:.1f} s")
            await _nothing_else(alarms, outcome, {DEAD})
            outcome.verdict = await stack.examine()
        return outcome


class PartedTold(Row):
    number = "6"
    name = "a partition is told of"
    fault = "nothing passes between the broker and first a worker, then the observer, for longer than its lease"
    passes = "the worker's alert fires within 15 s and resolves; the parted observer says nothing of anybody"

    async def run(self, trial: Trial) -> Outcome:
        outcome = Outcome()
        async with watched(seed=trial.seed, scale=trial.scale) as alarms:
            stack = alarms.stack
            assert stack.server.port is not None
            work = Workload(stack)
            await work.prepare(versioned=2)
            async with link_to(stack.server.port) as link:
                stack.fleet.start("retrieve-2", "retrieve", WAGGLE_NATS_URL=link.url)
                await stack.fleet.ready()
                async with work.going_on(documents_every_s=1.0, questions_every_s=1.0):
                    await link.silence()
                    took_s = await alarms.fires(DEAD, instance="retrieve-2")
                    await link.restore()
                    over_s = await alarms.resolves(DEAD, instance="retrieve-2")
                    trial.say(f"noticed after {took_s:.1f} s, over after {over_s:.1f} s")
                    await alarms.told_of(DEAD, over=True)
                    raised, notified = len(await alarms.events()), alarms.told()
                    await alarms.link.silence()
                    await asyncio.sleep(LEASE_OVER_S)
                    outcome.require(len(await alarms.events()) == raised, "the parted observer raised alerts")
                    said = alarms.told()[len(notified) :]
                    outcome.require(not said, f"the parted observer told people: {said}")
                    await alarms.link.restore()
                    stack.fleet.freeze("retrieve-2")
                    again_s = await alarms.fires(DEAD, instance="retrieve-2")
                    stack.fleet.thaw("retrieve-2")
                    await alarms.resolves(DEAD, instance="retrieve-2")
                    trial.say(f"the observer was back and noticed a death after {again_s:.1f} s")
                await _nothing_else(alarms, outcome, {DEAD})
                outcome.verdict = await stack.examine()
            outcome.notes |= {"fires after s": took_s, "over after s": over_s, "back and fires after s": again_s}
            outcome.require(took_s <= NOTICED_S, f"noticed after {took_s:.1f} s")
            outcome.require(not stack.fleet.exits, f"processes ended: {stack.fleet.exits}")
        return outcome


class FullTold(Row):
    number = "7"
    name = "a full disk is told of"
    fault = "the disk of the broker is full for a minute; room is made, and the broker restarted"
    passes = "an alert fires and resolves, and people are told; 0 lost"

    async def run(self, trial: Trial) -> Outcome:
        outcome = Outcome()
        with small_disk(DISK_BYTES) as disk:
            async with watched(
                seed=trial.seed, scale=trial.scale, server=NatsServer(disk.folder), hastened=(WRITES_FAIL,)
            ) as alarms:
                stack = alarms.stack
                work = Workload(stack)
                await work.prepare(versioned=2)
                async with work.going_on(documents_every_s=1.0, questions_every_s=1.0):
                    await asyncio.to_thread(disk.fill)
                    await asyncio.sleep(FULL_S)
                    outcome.notes["told while it is full"] = WRITES_FAIL in alarms.notified()
                    disk.make_room()
                    await asyncio.to_thread(stack.server.restart)
                    await stack.connected()
                    outcome.back_s.append(await work.served_after_s())
                    await alarms.fired(WRITES_FAIL)
                    outcome.notes["over after s"] = round(await alarms.resolves(WRITES_FAIL), 1)
                anew = subjects.reconcile_event(Remedy.REDRIVE, "*")
                outcome.notes["handed out anew"] = await Storage(stack.broker).count(topology.EVENTS.name, anew)
                outcome.require(WRITES_FAIL in alarms.notified(), "nobody was told")
                await _nothing_else(alarms, outcome, {WRITES_FAIL, *OF_A_FULL_DISK})
                outcome.verdict = await stack.examine()
        return outcome


class WrongClocks(Row):
    number = "10"
    name = "clocks an hour off"
    fault = "half of the processes an hour ahead, the others an hour behind; then the other way round"
    passes = "documents and questions as always, the latest version wins; no alert but ClockSkewed, which resolves"

    async def run(self, trial: Trial) -> Outcome:
        outcome = Outcome()
        async with watched(seed=trial.seed, scale=trial.scale, hastened=(SKEWED,), without=(*SOME, *OTHERS)) as alarms:
            stack = alarms.stack
            library = await asyncio.to_thread(clock_library, stack.folder)
            work = Workload(stack)
            for ahead, behind in ((SOME, OTHERS), (OTHERS, SOME)):
                shifts = dict.fromkeys(ahead, HOUR_S) | dict.fromkeys(behind, -HOUR_S)
                for name, shift_s in shifts.items():
                    await _anew(stack, name, shifted(library, shift_s))
                await _works(stack, work)
                for name in shifts:
                    await alarms.fires(SKEWED, instance=name)
                trial.say(f"{', '.join(ahead)} ahead, the others behind")
            for name in (*SOME, *OTHERS):
                await _anew(stack, name)
            await _works(stack, work)
            for name in (*SOME, *OTHERS):
                await alarms.resolves(SKEWED, instance=name)
            outcome.verdict = await stack.examine()
            await _nothing_else(alarms, outcome, {SKEWED})
            outcome.require(not stack.fleet.crashes(), f"processes ended by themselves: {stack.fleet.crashes()}")
        return outcome


class CollectorHangs(Row):
    number = "30"
    name = "a collector that hangs, then is away"
    fault = "the OTLP endpoint takes connections and says nothing; then it refuses them"
    passes = "questions are answered, the memory of every process is bounded, and the losses are counted and an alert"

    async def run(self, trial: Trial) -> Outcome:
        outcome = Outcome()
        with ExitStack() as collector:
            endpoint = collector.enter_context(hanging_collector())
            settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
            async with watched(seed=trial.seed, scale=trial.scale, hastened=(LOST,), settings=settings) as alarms:
                stack = alarms.stack
                work = Workload(stack)
                await work.prepare()
                answered: list[bool] = []
                async with work.going_on(), _asked(stack, answered):
                    await asyncio.sleep(WARM_S)
                    before = _memory(stack)
                    await alarms.fires(LOST, component="retrieve")
                    collector.close()
                    trial.say("told of the collector that hangs; now it is away")
                    await asyncio.sleep(AWAY_S)
                    after = _memory(stack)
                    outcome.require(await alarms.is_firing(LOST, component="retrieve"), "what is lost is not counted")
                for name, size in after.items():
                    grown = (size - before[name]) / MiB
                    outcome.notes[f"{name} grew by MiB"] = round(grown, 1)
                    outcome.require(grown <= MOST_GROWN_MIB, f"{name} grew by {grown:.0f} MiB")
                outcome.verdict = await stack.examine()
                outcome.require(all(answered), f"{answered.count(False)} of {len(answered)} questions failed")
                outcome.notes["questions answered"] = len(answered)
                await _nothing_else(alarms, outcome, {LOST})
        return outcome


async def _nothing_else(alarms: Alarms, outcome: Outcome, expected: set[str]) -> None:
    raised, notified = await alarms.raised(), alarms.notified()
    letters = await alarms.letters() if "DeadLetters" in raised - expected else []
    events = [event for name in sorted(raised - expected) for event in await alarms.events(name)]
    said = [f"{each.starts_at:%H:%M:%S} {each.name} {each.labels.get('instance', '')} {each.state}" for each in events]
    outcome.require(raised <= expected, f"raised as well: {raised - expected} {said} {letters}")
    outcome.require(notified <= expected, f"told as well: {notified - expected}")


async def _anew(stack: Stack, name: str, environment: Mapping[str, str] | None = None) -> None:
    """Start a process with this environment; one that runs is stopped in order before."""
    if name in stack.fleet:
        await stack.fleet.stop(name)
    stack.fleet.start(name, PROCESSES[name], **(environment or {}))


async def _works(stack: Stack, work: Workload) -> None:
    """Every process is there: versions follow one another, and questions are answered."""
    await stack.fleet.ready()
    await stack.gateway_ready()
    await work.prepare()
    async with work.going_on():
        for _ in range(REPLACEMENTS):
            await work.replace()
    for name in work.versions:
        await work.is_ready(name)
    await work.answered()


def _memory(stack: Stack) -> dict[str, int]:
    """Bytes that each process has resident."""
    return {name: psutil.Process(stack.fleet.pid(name)).memory_info().rss for name in stack.fleet.names()}


@asynccontextmanager
async def _asked(stack: Stack, answered: list[bool]) -> AsyncIterator[None]:
    """Ask one question after the other while the body runs, and note which were answered."""
    over = asyncio.Event()

    async def asking() -> None:
        while not over.is_set():
            answered.append((await stack.client.ask(QUESTION)).ok)

    task = asyncio.create_task(asking())
    try:
        yield
    finally:
        over.set()
        await task
