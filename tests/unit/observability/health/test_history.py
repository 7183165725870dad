"""Changes of health, as they are read back from series."""

from __future__ import annotations

from datetime import UTC, datetime

from contracts.component_health import ComponentHealth, ComponentKind, HealthStatus, HealthView
from observability.health import HealthSeries, changes
from observability.health.history import MOST_CHANGES, last_known
from observability.promql import MemorySeries

START_MS = 1_700_000_000_000


def at(second: float) -> datetime:
    return datetime.fromtimestamp(START_MS / 1000 + second, UTC)


class Told:
    """Writes what is told at a time in seconds."""

    def __init__(self) -> None:
        self.memory = MemorySeries(retention_ms=10**9)
        self.series = HealthSeries(self.memory)

    def tell(self, second: float, **components: str) -> None:
        shown = [
            ComponentHealth(
                name=name,
                kind=ComponentKind.BACKEND,
                required=True,
                status=HealthStatus(status),
                since=at(second),
            )
            for name, status in components.items()
            if name != "whole"
        ]
        whole = HealthStatus(components.get("whole", "healthy"))
        view = HealthView(status=whole, since=at(second), at=at(second), components=tuple(shown))
        self.series.write(view, time_ms=START_MS + round(1000 * second))

    def changes(self, *, until_s: float = 10_000) -> list[tuple[float, str, str, str]]:
        found = changes(self.memory, after_ms=START_MS - 1, until_ms=START_MS + round(1000 * until_s))
        return [((each.at - at(0)).total_seconds(), each.component, each.before, each.after) for each in found]


def test_what_stays_as_it_is_has_no_history_beyond_that_somebody_watches() -> None:
    told = Told()
    for second in range(0, 600, 2):
        told.tell(second, index="healthy")
    assert told.changes() == [(0, "", "unknown", "healthy"), (0, "index", "unknown", "healthy")]


def test_a_change_is_written_at_once_and_told_with_both_states() -> None:
    told = Told()
    told.tell(0, index="healthy")
    told.tell(2, index="unhealthy", whole="unhealthy")
    told.tell(4, index="unhealthy", whole="unhealthy")
    told.tell(6, index="healthy")
    assert told.changes()[2:] == [
        (2, "", "healthy", "unhealthy"),
        (2, "index", "healthy", "unhealthy"),
        (6, "", "unhealthy", "healthy"),
        (6, "index", "unhealthy", "healthy"),
    ]
    assert told.changes(until_s=3) == told.changes()[:4]


def test_of_very_many_changes_the_last_are_told() -> None:
    told = Told()
    for second in range(0, 2 * MOST_CHANGES, 2):
        told.tell(second, index=("healthy", "unhealthy")[second // 2 % 2])
    found = told.changes()
    assert (len(found), found[-1][0]) == (MOST_CHANGES, 2 * MOST_CHANGES - 2)


def test_an_observer_that_was_started_again_goes_on_from_what_was_known() -> None:
    told = Told()
    told.tell(0, index="healthy", cache="healthy")
    told.series = HealthSeries(told.memory, known=dict.fromkeys(["", "index", "cache"], HealthStatus.HEALTHY))
    told.tell(60, index="healthy", cache="degraded")
    assert told.changes()[3:] == [(60, "cache", "healthy", "degraded")]


def test_of_a_component_the_newest_state_is_known_and_since_when() -> None:
    told = Told()
    for second, status in ((0, "healthy"), (20, "degraded"), (40, "degraded"), (60, "degraded")):
        told.tell(second, index=status)
    known = last_known(told.memory, at_ms=START_MS + 100_000, lookback_ms=1_000_000)
    assert known["index"] == (HealthStatus.DEGRADED, at(20))
    assert known[""] == (HealthStatus.HEALTHY, at(0))


def test_what_nobody_watched_lately_is_not_known_any_more() -> None:
    told = Told()
    told.tell(0, index="healthy")
    assert last_known(told.memory, at_ms=START_MS + 200_000, lookback_ms=1_000_000) == {}
