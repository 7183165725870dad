"""Row 1: SIGKILL to each kind of process at each point."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from contracts import subjects, topology
from contracts.reconciliation import Remedy
from messaging.storage import Storage
from tests.faults.plans import Action, InHand, Plan, Strike
from tests.faults.points import POINTS, Point, Work
from tests.faults.row import Outcome, Row, Trial
from tests.faults.stack import PROCESSES, Stack, running
from tests.faults.worker import GATEWAY
from tests.faults.workload import Workload
from tests.support.waiting import until

REACHED_TIMEOUT_S = 90.0
DRIVE_EVERY_S = 2.0
KILLS_PER_ROUND = 12
ENTERED = "gateway.entered"
SLACK_S = 5.0
"""What a recovery may take beyond the ack wait; a slower one is told, not judged: the cores may be busy."""

_QUERY_SIDE = frozenset({"retrieve", "generate", "keeper"})
_WORK_OF = {"ingest": Work.DOCUMENT, "embed": Work.DOCUMENT, GATEWAY: Work.DOCUMENT}


@dataclass(frozen=True, kw_only=True)
class Target:
    """Kill a process of a service at a point, or while it has nothing to do."""

    service: str
    point: Point | None = None
    let_pass: int = 0

    @property
    def name(self) -> str:
        return self.point.name if self.point else f"{self.service}.idle"


def targets(seed: random.Random) -> Iterator[Target]:
    """Every kind of process at every point, in ever new orders."""
    services = sorted(set(PROCESSES.values()))
    while True:
        turn = [Target(service=service) for service in services]
        turn += [Target(service=p.service, point=p, let_pass=seed.choice((0, 0, 1))) for p in POINTS]
        seed.shuffle(turn)
        firsts = {target.service: target for target in reversed(turn)}
        yield from firsts.values()  # so that even a short campaign has struck every kind
        yield from (target for target in turn if target is not firsts[target.service])


class Kills(Row):
    """The documents' side and the questions' side are killed at the same time, the gateway between."""

    number = "1"
    name = "kill -9"
    fault = "SIGKILL to each kind of process: idle, before, during, and after the effect but before the ack"
    passes = "0 lost, 0 doubled, 0 ghosts, every query one end; resumes within ack wait + 5 s"

    def __init__(self) -> None:
        self._doors = 0
        """How often the gateway was killed where only the reconciler can go on."""

    async def run(self, trial: Trial) -> Outcome:
        seed, outcome = trial.random(self.name), Outcome()
        async with running(seed=trial.seed, scale=trial.scale) as stack:
            work = Workload(stack)
            await work.prepare()
            killing = Killing(stack, work, outcome)
            wanted = islice(targets(seed), trial.runs)
            while batch := list(islice(wanted, KILLS_PER_ROUND)):
                await killing.round(batch)
                self._doors += sum(target.name == ENTERED for target in batch)
                await work.finish()
                verdict = await stack.examine()
                outcome.verdict = outcome.verdict.then(verdict)
                trial.say(
                    f"{outcome.kills} of {trial.runs} kills; {verdict.breaches or 'nothing lost, nothing doubled'}"
                )
            await self._require_little_mended(stack, outcome)
            crashes = stack.fleet.crashes()
            outcome.require(not crashes, f"processes ended by themselves: {crashes}")
        slow = [s for s in outcome.recoveries_s if s > trial.scale.longest_ack_wait_s + SLACK_S]
        outcome.notes["slower than ack wait + 5 s"] = len(slow)
        return outcome

    async def _require_little_mended(self, stack: Stack, outcome: Outcome) -> None:
        """Only a gateway that dies between two writes may leave a document to the reconciler; all else mends itself."""
        count = Storage(stack.broker).count
        for remedy in (Remedy.REDRIVE, Remedy.RERUN, Remedy.FAIL):
            mended = await count(topology.EVENTS.name, f"{subjects.EVENTS}.reconcile.{remedy}.*")
            outcome.notes[f"reconciler: {remedy}"] = mended
            allowed = self._doors if remedy is Remedy.REDRIVE else 0
            outcome.require(mended <= allowed, f"the reconciler had to {remedy} {mended} documents, not {allowed}")


@dataclass
class Killing:
    """Kills, and measures how long it takes until all is well again."""

    stack: Stack
    work: Workload
    outcome: Outcome
    _storage: Storage = field(init=False)

    def __post_init__(self) -> None:
        self._storage = Storage(self.stack.broker)

    async def round(self, batch: Sequence[Target]) -> None:
        """Both sides at once; then the gateway, which both need."""
        sides: dict[bool, list[Target]] = {True: [], False: []}
        door = [target for target in batch if target.service == GATEWAY]
        for target in batch:
            if target.service != GATEWAY:
                sides[target.service in _QUERY_SIDE].append(target)
        await asyncio.gather(*(self._one_by_one(side) for side in sides.values()))
        await self._one_by_one(door)

    async def _one_by_one(self, side: Sequence[Target]) -> None:
        for target in side:
            await self.stack.fleet.ready()
            await self.kill(target)

    async def kill(self, target: Target) -> None:
        """Kill once, and wait until the work that was cut off and new work are done."""
        strike = await (self._at(target) if target.point else self._idle(target.service))
        self.outcome.kills += 1
        await asyncio.gather(self._resumed(strike), self._served(target, strike))
        note = f"longest after {target.name} in s"
        self.outcome.notes[note] = max(self.outcome.notes.get(note, 0.0), round(time.time() - strike.at, 1))

    async def _idle(self, service: str) -> Strike:
        name = self.stack.seed.choice(self.stack.fleet.names(service))
        return Strike(plan="", point=f"{service}.idle", pid=self.stack.fleet.pid(name), at=self.stack.fleet.kill(name))

    async def _at(self, target: Target) -> Strike:
        point = target.point
        assert point is not None
        plan = Plan(point=point.name, action=Action.KILL, let_pass=target.let_pass)
        self.stack.plans.arm(plan)
        frozen = self.stack.fleet.names("generate") if point.work is Work.EXPIRY else []
        for name in frozen:
            self.stack.fleet.freeze(name)
        try:
            await self.work.drive(
                point.work,
                what=point.name,
                until_true=lambda: self.stack.plans.strikes(plan),
                every_s=DRIVE_EVERY_S,
                timeout_s=REACHED_TIMEOUT_S,
            )
        finally:
            self.stack.plans.disarm(point.name)
            for name in frozen:
                self.stack.fleet.thaw(name)
        return self.stack.plans.strikes(plan)[0]

    async def _resumed(self, strike: Strike) -> None:
        """Until everything that the process had in hand has been done by somebody."""

        async def done() -> bool:
            return all([await self._is_done(message) for message in strike.in_hand])

        if strike.in_hand:
            await until(done, timeout_s=REACHED_TIMEOUT_S, what=f"{strike.in_hand} done after {strike.point}")
            self.outcome.messages_s.append(time.time() - strike.at)

    async def _is_done(self, message: InHand) -> bool:
        if message.stream != topology.ADVISORIES.name:
            return await self._storage.at(message.stream, message.sequence) is None
        info = await self.stack.broker.js.consumer_info(message.stream, message.consumer)
        return info.ack_floor is not None and info.ack_floor.stream_seq >= message.sequence

    async def _served(self, target: Target, strike: Strike) -> None:
        """Until work that is handed in now is done. Of two keepers the other one goes on meanwhile."""
        if target.service == "keeper":
            return
        if target.service in _WORK_OF:
            await self.work.is_ready(await self.work.submit())
        else:
            await self.work.answered()
        self.outcome.new_work_s.append(time.time() - strike.at)
