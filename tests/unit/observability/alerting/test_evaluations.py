"""Groups in their own rhythm, off the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs

from observability.alerting import Evaluations, EvaluationThreads, GroupKey, Outcome
from observability.alerting.metrics import RuleMetrics
from observability.promql import Labels, MemorySeries, Vector
from observability.promql.matchers import Selector
from observability.rules import AlertState, GroupState, RuleGroup
from tests.support.waiting import until
from tests.unit.observability.alerting.groups import KEY, RULES, House, alerts_of, group


class Clock:
    """Goes on by a second whenever it is looked at."""

    def __init__(self) -> None:
        self.at_s = 1000.0

    def __call__(self) -> datetime:
        self.at_s += 1
        return datetime.fromtimestamp(self.at_s, UTC)


class Hanging(MemorySeries):
    """Series that answer only while `open` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.open = threading.Event()
        self.open.set()
        self.asked = 0

    def latest(self, selector: Selector, *, at_ms: int, lookback_ms: int) -> Vector:
        self.asked += 1
        self.open.wait()
        return super().latest(selector, at_ms=at_ms, lookback_ms=lookback_ms)


class Counting(RuleMetrics):
    def __init__(self) -> None:
        super().__init__()
        self.turns_missed = 0
        self.failures = 0

    def missed(self, key: GroupKey) -> None:
        self.turns_missed += 1

    def evaluated(self, key: GroupKey, *, rules: int, failures: int, took_s: float) -> None:
        self.failures += failures


class Works:
    """Evaluations of series, and what came of them."""

    def __init__(self, series: MemorySeries | None = None) -> None:
        self.series = MemorySeries() if series is None else series
        self.metrics = Counting()
        self.outcomes: list[Outcome] = []
        self.broken = False
        self.clock = Clock()
        self.restored: dict[GroupKey, GroupState] = {}
        self.evaluations = Evaluations(
            source=self.series,
            sink=self.series,
            clock=self.clock,
            handle=self.handle,
            threads=EvaluationThreads(1),
            metrics=self.metrics,
            restore=self.restored.get,
        )

    async def handle(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)

    def loaded(self, value: float) -> None:
        self.series.append(Labels({"__name__": "load"}), time_ms=int(self.clock.at_s * 1000), value=value)

    @asynccontextmanager
    async def at_work(self, groups: Iterable[RuleGroup]) -> AsyncIterator[Evaluations]:
        self.evaluations.apply(groups)
        running = asyncio.create_task(self.evaluations.run())
        try:
            yield self.evaluations
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    def transitions(self) -> list[tuple[str, AlertState]]:
        changes = (change for outcome in self.outcomes for change in outcome.transitions)
        return [(change.alert.labels["alertname"], change.alert.state) for change in changes]


@pytest.fixture
async def works() -> Works:
    return Works()


async def happens(condition: Callable[[], object]) -> None:
    await until(condition, timeout_s=60)


async def test_a_group_is_evaluated_again_and_again(works: Works) -> None:
    works.loaded(7)
    async with works.at_work([group()]):
        await happens(lambda: len(works.outcomes) >= 3)

    assert works.transitions() == [("Hot", AlertState.FIRING), ("Slow", AlertState.PENDING)]
    assert works.outcomes[0].key == KEY
    assert works.outcomes[0].evaluation is not None
    assert len(works.outcomes[0].evaluation.took_s) == 3


async def test_an_evaluation_that_hangs_is_never_begun_again_and_its_turns_are_counted() -> None:
    series = Hanging()
    works = Works(series)
    series.open.clear()
    async with works.at_work([group()]) as evaluations:
        with capture_logs() as lines:
            await happens(lambda: works.metrics.turns_missed >= 3)
        said = [line for line in lines if "longer than their interval" in line["event"]]
        assert len(said) == 1, "an interval of milliseconds must not fill the disk with that"
        assert (series.asked, works.outcomes) == (1, [])
        evaluations.apply([])  # takes effect once it is over
        series.open.set()
        await happens(lambda: works.outcomes and works.outcomes[-1].gone)
    assert len(works.outcomes) == 2


async def test_one_that_hangs_takes_its_place_over_the_end_of_its_evaluations() -> None:
    threads, hangs = EvaluationThreads(1), threading.Event()
    waiting = asyncio.create_task(threads.run(hangs.wait))
    await asyncio.sleep(0)
    waiting.cancel()
    second = asyncio.create_task(threads.run(lambda: "second"))
    await asyncio.wait({second}, timeout=0.05)
    assert not second.done(), "there is no place for it"
    hangs.set()
    assert await second == "second"


async def test_an_error_of_ours_leaves_the_other_groups_alone(works: Works, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = group(RULES.replace("fleet", "bad"), file="bad.yml")
    latest = works.series.latest

    def breaks(selector: Selector, *, at_ms: int, lookback_ms: int) -> Vector:
        if works.broken:
            raise RuntimeError("a defect")
        return latest(selector, at_ms=at_ms, lookback_ms=lookback_ms)

    works.broken = True
    monkeypatch.setattr(works.series, "latest", breaks)
    async with works.at_work([bad]):
        await happens(lambda: works.metrics.failures >= 6)
        assert works.outcomes == []
        works.broken = False
        await happens(lambda: works.outcomes)


async def test_a_changed_group_keeps_the_state_of_the_rules_that_it_still_has(works: Works) -> None:
    works.loaded(7)
    async with works.at_work([group()]) as evaluations:
        await happens(works.transitions)
        fired_at = alerts_of(works.outcomes[-1])[0].fired_at_ms
        changed = group(RULES.replace("load > 1", "load > 2").replace("load > 5", "load > 4"))
        evaluations.apply([changed])
        await happens(lambda: works.outcomes[-1].group is changed and works.outcomes[-1].evaluation)
        assert alerts_of(works.outcomes[-1])[0].fired_at_ms == fired_at
        without = group(RULES.replace("- {alert: Hot", "- {alert: Other"))
        evaluations.apply([without])
        await happens(lambda: ("Hot", AlertState.RESOLVED) in works.transitions())
        evaluations.apply([])
        await happens(lambda: works.outcomes[-1].gone)
    assert evaluations.keys == frozenset()
    assert works.transitions() == [
        ("Hot", AlertState.FIRING),
        ("Slow", AlertState.PENDING),
        ("Hot", AlertState.RESOLVED),
        ("Other", AlertState.FIRING),
        ("Other", AlertState.RESOLVED),
        ("Slow", AlertState.PENDING),
    ]


async def test_an_unchanged_group_goes_on_undisturbed(works: Works) -> None:
    same = group()
    async with works.at_work([same]) as evaluations:
        await happens(lambda: works.outcomes)
        evaluations.apply([same, group(RULES.replace("fleet", "second"))])
        await happens(lambda: {outcome.key.name for outcome in works.outcomes} == {"fleet", "second"})
    assert all(outcome.evaluation for outcome in works.outcomes), "none of a change"


async def test_what_was_kept_goes_on_and_the_time_between_does_not_count(works: Works) -> None:
    house = House()
    state = house.evaluated(a=3).state  # Slow waits
    assert state is not None
    works.restored[KEY] = state
    works.clock.at_s = 5000.0
    works.series.append(Labels({"__name__": "load", "job": "a"}), time_ms=5_000_000, value=3)
    async with works.at_work([group()]):
        await happens(lambda: works.outcomes)
    (slow,) = alerts_of(works.outcomes[0], 1)
    assert slow.state is AlertState.PENDING
    assert slow.active_at_ms >= 5_000_000
    assert works.outcomes[0].transitions == (), "it was pending before"


async def test_an_error_of_who_handles_the_outcome_ends_the_work(works: Works) -> None:
    async def refuse(_: Outcome) -> None:
        raise ValueError("not taken")

    works.evaluations._handle = refuse
    works.evaluations.apply([group()])
    with pytest.raises(ExceptionGroup) as failed:
        await works.evaluations.run()
    assert failed.group_contains(ValueError, match="not taken")
