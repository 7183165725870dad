"""Groups of rules at work: each at its interval, off the event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import structlog

from contracts.identifiers import digest
from observability.alerting.metrics import RuleMetrics
from observability.alerting.records import GroupKey
from observability.alerting.threads import EvaluationThreads
from observability.promql import SeriesSink, SeriesSource
from observability.rules import External, GroupEvaluation, GroupEvaluator, GroupState, RuleGroup, Transition

INTERVAL_MS: Final = 15_000
"""Of groups whose file leaves it to us."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of an evaluation, or of a change of a group: `evaluation` is None then. `state` is None before the first
    evaluation, and for a group that is `gone`.
    """

    group: RuleGroup
    state: GroupState | None
    transitions: tuple[Transition, ...]
    evaluation: GroupEvaluation | None = None
    took_s: float = 0.0
    gone: bool = False

    @property
    def key(self) -> GroupKey:
        return GroupKey.of(self.group)


Handle = Callable[[Outcome], Awaitable[None]]


@dataclass(slots=True)
class _Place:
    """A group that is evaluated. `wanted` is what it is to be from its next turn on; None: gone."""

    evaluator: GroupEvaluator
    wanted: RuleGroup | None
    interval_s: float
    failing: frozenset[str] = frozenset()
    """What was wrong with its rules at the last turn: it is said once, not at every turn."""
    late: bool = False
    """Whether its last turn took longer than the interval, which is said once, too."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class Evaluations:
    """Evaluates groups, each in its own rhythm, and hands on what came of it.

    Turns are spread over the interval. A group has one turn at a time, which ends when `handle` has returned: turns that
    fall due meanwhile are missed and counted, so an evaluation that hangs is never begun again. Nothing queues up.
    Unchanged groups go on over `apply`; changed ones keep the state of the rules that they still have.
    """

    def __init__(
        self,
        *,
        source: SeriesSource,
        sink: SeriesSink,
        clock: Callable[[], datetime],
        handle: Handle,
        threads: EvaluationThreads,
        metrics: RuleMetrics | None = None,
        external: External | None = None,
        interval_ms: int = INTERVAL_MS,
        restore: Callable[[GroupKey], GroupState | None] = lambda _: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._sink = sink
        self._clock = clock
        self._handle = handle
        self._threads = threads
        self._metrics = metrics or RuleMetrics()
        self._external = external
        self._interval_ms = interval_ms
        self._restore = restore
        self._monotonic = monotonic
        self._places: dict[GroupKey, _Place] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._waiting: list[GroupKey] = []

    @property
    def keys(self) -> frozenset[GroupKey]:
        """The groups that are evaluated, or about to end."""
        return frozenset(self._places)

    def apply(self, groups: Iterable[RuleGroup]) -> None:
        """Evaluate these groups from now on, and no others."""
        wanted = {GroupKey.of(group): group for group in groups}
        for key, place in self._places.items():
            if place.wanted is not wanted.get(key):
                place.wanted = wanted.get(key)
                place.changed.set()
        for key, group in wanted.items():
            if key not in self._places:
                self._add(key, group)

    async def run(self) -> None:
        """Until cancelled. Raises what `handle` raises."""
        async with asyncio.TaskGroup() as self._tasks:
            waiting, self._waiting = self._waiting, []
            for key in waiting:
                self._tasks.create_task(self._live(key, self._places[key]), name=f"rules {key}")
            await asyncio.Event().wait()

    def _add(self, key: GroupKey, group: RuleGroup) -> None:
        evaluator = self._evaluator(group)
        state = self._restore(key)
        if state is not None:
            evaluator.restore(state)
        self._places[key] = _Place(evaluator, group, self._interval_s(group))
        if self._tasks is None:
            self._waiting.append(key)
        else:
            self._tasks.create_task(self._live(key, self._places[key]), name=f"rules {key}")

    async def _live(self, key: GroupKey, place: _Place) -> None:
        due = self._monotonic() + _offset(key) * place.interval_s
        while True:
            if not place.changed.is_set():
                await _sleep(place.changed, due - self._monotonic())
            if place.changed.is_set():
                place.changed.clear()
                if place.wanted is None:
                    await self._end(key, place)
                    if place.wanted is None:
                        del self._places[key]
                        return
                elif place.wanted is not place.evaluator.group:
                    await self._change(place, place.wanted)
                    due = min(due, self._monotonic() + place.interval_s)
                continue
            due = await self._turn(key, place, due)

    async def _turn(self, key: GroupKey, place: _Place, due: float) -> float:
        """Evaluate and hand on; when the next turn is due. Turns that pass meanwhile are not made up for."""
        turn = asyncio.create_task(self._evaluate(key, place), name=f"evaluation of {key}")
        was_late, place.late = place.late, False
        try:
            while not turn.done():
                due += place.interval_s
                await asyncio.wait({turn}, timeout=max(0.0, due - self._monotonic()))
                if self._monotonic() >= due:
                    self._metrics.missed(key)
                    if not (place.late or was_late):
                        log.warning(
                            "rules take longer than their interval", group=str(key), interval_s=place.interval_s
                        )
                    place.late = True
            await turn
        finally:
            turn.cancel()
            await asyncio.gather(turn, return_exceptions=True)
        return max(due, self._monotonic())

    async def _evaluate(self, key: GroupKey, place: _Place) -> None:
        evaluator = place.evaluator
        try:
            evaluation, took_s = await self._threads.run(lambda: _timed(evaluator))
        except Exception:
            # A defect of ours: one group is not to take the others along. Its alerts stay as they are.
            log.exception("rules cannot be evaluated", group=str(key))
            self._metrics.evaluated(
                key, rules=len(evaluator.group.rules), failures=len(evaluator.group.rules), took_s=0
            )
            return
        failing = frozenset(f"{failure.rule.name}: {failure.error}" for failure in evaluation.failures)
        for reason in sorted(failing - place.failing):
            log.warning("rule not evaluated", group=str(key), reason=reason)
        place.failing = failing
        self._metrics.evaluated(key, rules=len(evaluation.took_s), failures=len(evaluation.failures), took_s=took_s)
        await self._handle(
            Outcome(
                group=evaluator.group,
                state=evaluator.state(),
                transitions=evaluation.transitions,
                evaluation=evaluation,
                took_s=took_s,
            )
        )

    async def _change(self, place: _Place, group: RuleGroup) -> None:
        evaluator = self._evaluator(group)
        ends = evaluator.follow(place.evaluator)
        place.evaluator, place.interval_s = evaluator, self._interval_s(group)
        await self._handle(Outcome(group=group, state=evaluator.state(), transitions=ends))

    async def _end(self, key: GroupKey, place: _Place) -> None:
        group, ends = place.evaluator.group, place.evaluator.end()
        # Should it be wanted again meanwhile, it begins anew.
        place.evaluator = self._evaluator(group)
        await self._handle(Outcome(group=group, state=None, transitions=ends, gone=True))
        self._metrics.forget(key)
        log.info("rules ended", group=str(key))

    def _evaluator(self, group: RuleGroup) -> GroupEvaluator:
        return GroupEvaluator(group, source=self._source, sink=self._sink, now_ms=self._now_ms, external=self._external)

    def _now_ms(self) -> int:
        return int(self._clock().timestamp() * 1000)

    def _interval_s(self, group: RuleGroup) -> float:
        return (group.interval_ms or self._interval_ms) / 1000


def _timed(evaluator: GroupEvaluator) -> tuple[GroupEvaluation, float]:
    began = time.perf_counter()
    evaluation = evaluator.evaluate()
    return evaluation, time.perf_counter() - began


def _offset(key: GroupKey) -> float:
    """A share of the interval: the same for a group each time, and spread evenly over groups."""
    return int(digest(*key)[:8], 16) / 0x1_0000_0000


async def _sleep(woken: asyncio.Event, timeout_s: float) -> None:
    try:
        async with asyncio.timeout(max(0.0, timeout_s)):
            await woken.wait()
    except TimeoutError:
        return
