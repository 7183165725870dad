"""Refuses at the door what would be too late: accepted work is never dropped, so it must not be accepted in vain."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from typing import Protocol

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from contracts.runtime_config import RuntimeConfig
from gateway import problems
from gateway.capacity import StageLoad
from gateway.stages import Stage, Stages
from gateway.turns import NotInTimeError, Turns, TurnsEndedError

ALWAYS = 8
"""So many may wait at a stage that gets nothing done: a worker that is being replaced must find them."""
SHARE = 0.7
"""Of its time a question may wait so much; the rest is for its answer."""
TURN_SHARE = 0.5
"""As much it may have to wait until its turn, as that is estimated when it comes; the rest of its wait is for what lies ready."""
PATIENCE = 0.6
"""So much it waits for its turn, if that was estimated too short."""
LEAST_RETRY_S = 1
MOST_RETRY_S = 60
UNKNOWN_RETRY_S = 10
"""When nothing gets done there is nothing to compute from."""
DOCUMENTS_RETRY_S = 30
AHEAD_S = 0.5
"""So much work lies ready for a stage at the broker, where it is done in the order in which it came; all else waits here for its
turn."""


class Standing(Protocol):
    """What is known of tenants."""

    def weight(self, tenant: str) -> float:
        """Its share, where others have 1."""
        ...

    async def waiting(self) -> Mapping[str, int]:
        """How many documents of each wait to be read; of none while that is not known."""
        ...


class Admission:
    """Lets in what can be done in time, judged by the real backlog of the stages and by how fast they really are; where more is
    asked for, tenants take turns.
    """

    def __init__(
        self,
        stages: Stages,
        standing: Standing,
        *,
        most_documents: int,
        meter: Meter,
    ) -> None:
        self._stages = stages
        self._standing = standing
        self._built_with = self._most_documents = most_documents
        self._searches = self._turns(stages.retrieve, stages.retrieve.load.let_in)
        self._answers = self._turns(stages.generate, stages.generate.load.coming)
        self._refused = meter.create_counter(
            "waggle.admission.refused", description="Requests refused because a stage is behind."
        )
        meter.create_observable_gauge(
            "waggle.admission.turns",
            [self._waiting],
            description="Questions that wait at this gateway for their tenant's turn.",
        )

    async def run(self, leaving: asyncio.Event) -> None:
        """Have the stages read, and call who waits, until cancelled; nobody from when this gateway is `leaving` on."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._end_turns(leaving), name="end of turns")
            tasks.create_task(self._stages.run(), name="backlogs")
            tasks.create_task(self._searches.run(), name="turns of searches")
            tasks.create_task(self._answers.run(), name="turns of answers")

    async def _end_turns(self, leaving: asyncio.Event) -> None:
        await leaving.wait()
        self._searches.end()
        self._answers.end()

    def adjust(self, config: RuntimeConfig) -> None:
        """Let in by what is set there from now on, and else as it was built."""
        self._most_documents = config.max_pending_documents or self._built_with

    async def question(self, tenant: str, deadline_s: float, *, generate: bool) -> Stay:
        """Let a question in, when it is its tenant's turn. Raises a 429 problem when it could not be answered within its time.

        End the stay when the question has ended.
        """
        self._stages.used()
        now, stay = self._stages.now(), Stay(tenant)
        if self._stages.are_known:
            self._require_time(tenant, deadline_s, now, generate=generate)
        try:
            for stage, turns in self._gates(generate=generate):
                await self._turn(stage, turns, tenant, since=now, deadline_s=deadline_s)
                stay.begin(stage, turns)
        except BaseException:
            stay.end()
            raise
        return stay

    async def _turn(self, stage: Stage, turns: Turns, tenant: str, *, since: float, deadline_s: float) -> None:
        now = self._stages.now()
        try:
            await turns.turn(tenant, within_s=since + _may_wait_s(stage, deadline_s) - now)
        except NotInTimeError:
            raise self._too_many(stage, self._stages.now() - since, deadline_s) from None
        except TurnsEndedError:
            raise problems.unavailable("This gateway is about to stop; nothing was accepted.") from None

    def _gates(self, *, generate: bool) -> list[tuple[Stage, Turns]]:
        """Those of a question, the slowest first."""
        searches = [(self._stages.retrieve, self._searches)]
        return [(self._stages.generate, self._answers), *searches] if generate else searches

    def _turns(self, stage: Stage, count: Callable[[], None]) -> Turns:
        def enter(tenant: str) -> None:
            count()
            if stage.window is not None:
                stage.window.enter(tenant)

        def leave(tenant: str) -> None:
            if stage.window is not None:
                stage.window.leave(tenant)

        return Turns(
            has_room=lambda: self._has_room(stage),
            enter=enter,
            leave=leave,
            weight_of=self._standing.weight,
            monotonic=self._stages.now,
        )

    def _has_room(self, stage: Stage) -> bool:
        """Whether a stage would do one more soon. It has while nothing is known of it: then the broker says whether it has."""
        if stage.window is not None:
            return stage.window.has_room
        rate = stage.load.rate
        if not self._stages.are_known or rate is None:
            return True
        return stage.load.waiting(self._stages.now()) < max(ALWAYS, AHEAD_S * rate)

    def _require_time(self, tenant: str, deadline_s: float, now: float, *, generate: bool) -> None:
        stage, wait_s = self._tightest(now, generate=generate)
        if wait_s > SHARE * deadline_s:
            raise self._too_many(stage, wait_s, deadline_s)
        for each, turns in self._gates(generate=generate):
            turn_s = _turn_s(turns, each.load, tenant)
            if turn_s and turn_s + wait_s > TURN_SHARE * deadline_s:
                raise self._too_many(each, turn_s + wait_s, deadline_s)
            window = each.window
            if window is not None and not window.has_room and not window.owes(tenant, self._standing.weight):
                raise self._too_many(each, _wait_s(each.load, each.load.backlog(now), now), deadline_s)

    async def document(self, tenant: str) -> None:
        """Let a document in. Raises a 429 problem when more wait than may, or more of its tenant's than its share where others
        wait as well.
        """
        self._stages.used()
        now = self._stages.now()
        if self._stages.are_known:
            waiting, may_wait = await self._documents(tenant, self._stages.ingest.load.backlog(now))
            if waiting >= may_wait:
                raise self._too_many_documents(waiting, may_wait)
        self._stages.ingest.load.let_in()

    async def _documents(self, tenant: str, backlog: float) -> tuple[float, int]:
        """How many wait before a tenant's next document, and how many may: its own and its share, where it is not alone."""
        waiting = await self._standing.waiting()
        others = sum(self._standing.weight(each) for each, number in waiting.items() if number and each != tenant)
        if not others:
            return backlog, self._most_documents
        weight = self._standing.weight(tenant)
        return waiting.get(tenant, 0), max(1, int(self._most_documents * weight / (weight + others)))

    def _tightest(self, now: float, *, generate: bool) -> tuple[Stage, float]:
        """The stage that takes longest for what is before a new question, and how long. All of it is still to come to
        generate, too.
        """
        searched = self._stages.retrieve.load.backlog(now)
        waits = [(self._stages.retrieve, searched)]
        if generate:
            waits.append((self._stages.generate, searched + self._stages.generate.load.backlog(now)))
        return max(((stage, _wait_s(stage.load, before, now)) for stage, before in waits), key=lambda pair: pair[1])

    def _too_many(self, stage: Stage, wait_s: float, deadline_s: float) -> problems.Problem:
        name = stage.name
        self._refused.add(1, stage.labels)
        if math.isinf(wait_s):
            retry_s, why = UNKNOWN_RETRY_S, f"Nothing gets done at {name} right now, and it may take {deadline_s:g} s"
        else:
            may_wait_s = _may_wait_s(stage, deadline_s)
            retry_s = _bounded(wait_s - may_wait_s)
            why = f"Before this question others wait that take {name} about {wait_s:.1f} s, and it may wait {may_wait_s:.1f} s"
        allowed = max(ALWAYS, int((stage.load.rate or 0.0) * SHARE * deadline_s))
        return problems.too_many(
            f"{why}: nothing was accepted. Ask again after {retry_s} s, or allow more time.",
            policy="queries",
            allowed=allowed,
            window_s=max(1, round(deadline_s)),
            retry_after_s=retry_s,
        )

    def _too_many_documents(self, waiting: float, may_wait: int) -> problems.Problem:
        self._refused.add(1, self._stages.ingest.labels)
        rate = self._stages.ingest.load.rate
        retry_s = _bounded((waiting - may_wait + 1) / rate) if rate else DOCUMENTS_RETRY_S
        return problems.too_many(
            f"{waiting:.0f} documents wait to be read already: nothing was accepted. Submit again after {retry_s} s.",
            policy="documents",
            allowed=may_wait,
            window_s=DOCUMENTS_RETRY_S,
            retry_after_s=retry_s,
        )

    def _waiting(self, _: CallbackOptions) -> list[Observation]:
        gates = self._gates(generate=True)
        return [Observation(turns.waiting, stage.labels) for stage, turns in gates]


class Stay:
    """A question that was let in: at which stages it takes room, until it is done there."""

    def __init__(self, tenant: str) -> None:
        self._tenant = tenant
        self._at: list[tuple[Stage, Turns]] = []

    def begin(self, stage: Stage, turns: Turns) -> None:
        self._at.append((stage, turns))

    def end(self, stage: Stage | None = None) -> None:
        """It is done, at one stage or at all, and who waits is called. To be told so again changes nothing."""
        for each, turns in [gate for gate in self._at if stage is None or gate[0] is stage]:
            self._at.remove((each, turns))
            if each.window is not None:
                each.window.leave(self._tenant)
                turns.call()


def _may_wait_s(stage: Stage, deadline_s: float) -> float:
    by_deadline_s = PATIENCE * deadline_s
    return by_deadline_s if stage.window is None else min(by_deadline_s, stage.window.max_wait_s)


def _turn_s(turns: Turns, load: StageLoad, tenant: str) -> float:
    """How long until a tenant's next question is called."""
    pace = turns.pace if turns.pace is not None else load.rate
    ahead = turns.ahead_of(tenant)
    if not ahead or pace is None:
        return 0.0
    return ahead / pace if pace > 0 else math.inf


def _wait_s(load: StageLoad, before: float, now: float) -> float:
    return load.wait_s(before) if before > ALWAYS or load.is_going(now) else 0.0


def _bounded(seconds: float) -> int:
    return min(MOST_RETRY_S, max(LEAST_RETRY_S, math.ceil(seconds)))
