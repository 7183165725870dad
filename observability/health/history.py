"""Health as series, and its changes read back from them: they are kept as long as the observer's other series.

On disk a series has one sample a minute. So each change is a sample of a series of its own kind: also what lasted for seconds is
remembered.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

from contracts.component_health import WHOLE, HealthChange, HealthStatus, HealthView
from contracts.silences import MatchOperator
from observability.intake import catalogue
from observability.intake.series_group import SeriesGroup
from observability.promql.labels import METRIC_NAME, Labels
from observability.promql.matchers import Matcher, Selector
from observability.promql.source import SeriesSink, SeriesSource

WRITE_INTERVAL_MS: Final = 10_000
UNWATCHED_MS: Final = 180_000
"""So long without a sample, and nobody watched."""
MOST_CHANGES: Final = 1000

VALUES: Final = {
    HealthStatus.HEALTHY: 1.0,
    HealthStatus.DEGRADED: 0.5,
    HealthStatus.UNHEALTHY: 0.0,
    HealthStatus.UNKNOWN: -1.0,
}
_STATUSES: Final = {value: status for status, value in VALUES.items()}
_COMPONENT: Final = "component"
_BEFORE: Final = "before"
_AFTER: Final = "after"


class HealthSeries:
    """Writes health every 10 s, and at once when something changes. `known` is how everything was when somebody watched last;
    what is not in it was unknown.
    """

    def __init__(self, sink: SeriesSink, *, known: Mapping[str, HealthStatus] | None = None) -> None:
        self._sink = sink
        self._group = SeriesGroup(sink)
        self._known = dict(known or {})
        self._at_ms: int | None = None

    def write(self, view: HealthView, *, time_ms: int) -> None:
        now = {each.name: each.status for each in view.components} | {WHOLE: view.status}
        before, self._known = self._known, now
        changed = [
            (name, old, status)
            for name, status in now.items()
            if (old := before.get(name, HealthStatus.UNKNOWN)) is not status
        ]
        self._sink.append_all(((_change_labels(*each), 1.0) for each in changed), time_ms=time_ms)
        if changed or self._at_ms is None or time_ms - self._at_ms >= WRITE_INTERVAL_MS:
            self._group.write(((_labels(name), VALUES[status]) for name, status in now.items()), time_ms=time_ms)
            self._at_ms = time_ms


def changes(source: SeriesSource, *, after_ms: int, until_ms: int) -> tuple[HealthChange, ...]:
    """What changed in that time, oldest first; of very many the last. What nobody watched for three minutes was unknown."""
    found = [
        HealthChange(
            at=_moment(at_ms),
            component=labels.get(_COMPONENT, WHOLE),
            before=HealthStatus(labels[_BEFORE]),
            after=HealthStatus(labels[_AFTER]),
        )
        for labels, samples in _series(source, catalogue.HEALTH_CHANGE, after_ms, until_ms)
        for at_ms, _ in samples
    ]
    found.sort(key=lambda change: (change.at, change.component))
    return tuple(found[-MOST_CHANGES:])


def last_known(source: SeriesSource, *, at_ms: int, lookback_ms: int) -> dict[str, tuple[HealthStatus, datetime]]:
    """The newest state of each component that was watched within three minutes, and since when it has been that, as far back
    as `lookback_ms`.
    """
    since = {change.component: change.at for change in changes(source, after_ms=at_ms - lookback_ms, until_ms=at_ms)}
    known = dict[str, tuple[HealthStatus, datetime]]()
    for name in (catalogue.HEALTH, catalogue.COMPONENT_HEALTH):
        for labels, samples in _series(source, name, at_ms - UNWATCHED_MS, at_ms):
            component, (newest_ms, value) = labels.get(_COMPONENT, WHOLE), samples[-1]
            if value in _STATUSES:
                known[component] = (_STATUSES[value], since.get(component, _moment(newest_ms)))
    return known


def _series(
    source: SeriesSource, name: str, after_ms: int, until_ms: int
) -> Iterator[tuple[Labels, list[tuple[int, float]]]]:
    """Each series of that name with its samples, at least one."""
    selector = Selector((Matcher(MatchOperator.EQUAL, METRIC_NAME, name),))
    windows = source.window(selector, after_ms=after_ms, until_ms=until_ms)
    for column, (row, count) in enumerate(zip(windows.rows.tolist(), windows.counts.tolist(), strict=True)):
        times, values = windows.times_ms[:count, column].tolist(), windows.values[:count, column].tolist()
        yield windows.table.labels[row], list(zip(times, values, strict=True))


def _labels(component: str) -> Labels:
    name = catalogue.HEALTH if component == WHOLE else catalogue.COMPONENT_HEALTH
    return Labels({METRIC_NAME: name} | _component(component))


def _change_labels(component: str, before: HealthStatus, after: HealthStatus) -> Labels:
    told = {METRIC_NAME: catalogue.HEALTH_CHANGE, _BEFORE: before.value, _AFTER: after.value}
    return Labels(told | _component(component))


def _component(component: str) -> dict[str, str]:
    return {} if component == WHOLE else {_COMPONENT: component}


def _moment(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC)
