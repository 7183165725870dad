"""What processes measure of themselves, as series of Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from contracts.health import HEARTBEAT_INTERVAL_S, MISSED_HEARTBEATS
from contracts.metrics import METRICS_INTERVAL_S, Metric, MetricsSample
from observability.intake.catalogue import CATALOGUE
from observability.intake.histograms import histogram_series, histogram_values
from observability.intake.processes import MOST_PROCESSES, Name
from observability.intake.succession import Standing, Succession
from observability.metadata import MetadataRegistry, MetricMetadata
from observability.prometheus_names import family_name, labels_of, unit_name
from observability.promql.labels import METRIC_NAME, Labels
from observability.promql.source import SeriesSink
from observability.promql.staleness import STALE

ENDED_AFTER_S: Final = 3 * METRICS_INTERVAL_S
"""A series that is not told for three samples has ended; so have all of a process that tells none."""
LIVES_S: Final = METRICS_INTERVAL_S + HEARTBEAT_INTERVAL_S * MISSED_HEARTBEATS
MOST_SERIES: Final = 5_000
"""Of one process. Those that come later are refused."""
HELP_CHARACTERS: Final = 512
OUR_OWN: Final = frozenset({*CATALOGUE, "ALERTS", "ALERTS_FOR_STATE"})
"""What the observer itself says: a process that says the same could make others look dead, or the broker."""

PointKey = tuple[str, tuple[float, ...], tuple[tuple[str, str], ...]]
"""Family, bounds, and attributes in the order of their keys."""


@dataclass(slots=True)
class _Point:
    """The series that one point of a metric becomes, in the order of its values."""

    series: tuple[Labels, ...]
    told: float


@dataclass(slots=True)
class _Process:
    succession: Succession[datetime]
    heard: float
    points: dict[PointKey, _Point] = field(default_factory=dict)
    size: int = 0


class Samples:
    """Appends the values of samples; those of a process that was replaced by another of its name are left out."""

    def __init__(self, sink: SeriesSink, metadata: MetadataRegistry, *, monotonic: Callable[[], float]) -> None:
        self._sink = sink
        self._metadata = metadata
        self._monotonic = monotonic
        self._processes: dict[Name, _Process] = {}
        self.refused = 0
        """Series beyond those that there is room for, or named as our own are, counted with each sample of theirs."""

    def take(self, sample: MetricsSample, *, time_ms: int) -> None:
        """Append what a sample says, at the time of its arrival."""
        now = self._monotonic()
        process = self._process(sample, now)
        if process is None:
            return
        identity = {"service": sample.service, "instance": sample.instance}
        told = list[tuple[Labels, float]]()
        for metric in sample.metrics:
            family = family_name(metric)
            if family in OUR_OWN:
                self.refused += len(metric.numbers) + len(metric.histograms)
                continue
            self._describe(metric, family)
            for key, values in _points(metric, family):
                point = process.points.get(key) or self._new_point(process, key, identity, len(values))
                if point is None:
                    self.refused += len(values)
                    continue
                point.told = now
                told.extend(zip(point.series, values, strict=True))
        self._sink.append_all(told, time_ms=time_ms)

    def expire(self, *, time_ms: int, listening: bool) -> None:
        """End the series that are told no more. While nothing can be heard nothing ends."""
        now = self._monotonic()
        for name, process in list(self._processes.items()):
            if not listening:
                process.heard = now
                for point in process.points.values():
                    point.told = now
                continue
            for key, point in list(process.points.items()):
                if now - point.told > ENDED_AFTER_S:
                    self._end(process, key, time_ms)
            if now - process.heard > ENDED_AFTER_S:
                del self._processes[name]

    def _process(self, sample: MetricsSample, now: float) -> _Process | None:
        name = sample.service, sample.instance
        process = self._processes.get(name)
        if process is None:
            if len(self._processes) >= MOST_PROCESSES:
                self.refused += sum(len(metric.numbers) + len(metric.histograms) for metric in sample.metrics)
                return None
            process = self._processes[name] = _Process(Succession(sample.started_at), now)
        lives = now - process.heard <= LIVES_S
        if process.succession.judge(sample.started_at, current_lives=lives) is Standing.REPLACED:
            return None
        process.heard = now
        return process

    def _new_point(self, process: _Process, key: PointKey, identity: dict[str, str], width: int) -> _Point | None:
        if process.size + width > MOST_SERIES:
            return None
        family, bounds, attributes = key
        labels = labels_of(attributes) | identity
        point = _Point(tuple(_series(family, bounds, labels, width)), told=0.0)
        process.points[key] = point
        process.size += width
        return point

    def _end(self, process: _Process, key: PointKey, time_ms: int) -> None:
        point = process.points.pop(key)
        process.size -= len(point.series)
        self._sink.append_all(((labels, STALE) for labels in point.series), time_ms=time_ms)

    def _describe(self, metric: Metric, family: str) -> None:
        if family not in self._metadata:
            told = MetricMetadata(metric.kind, metric.description[:HELP_CHARACTERS], unit_name(metric.unit))
            self._metadata.add(family, told)


def _points(metric: Metric, family: str) -> Iterator[tuple[PointKey, list[float]]]:
    for number in metric.numbers:
        yield (family, (), tuple(sorted(number.attributes.items()))), [number.value]
    for histogram in metric.histograms:
        key = family, metric.bounds, tuple(sorted(histogram.attributes.items()))
        yield key, histogram_values(histogram.counts, histogram.sum)


def _series(family: str, bounds: tuple[float, ...], labels: dict[str, str], width: int) -> Iterator[Labels]:
    if width == 1:
        return iter([Labels(labels | {METRIC_NAME: family})])
    return histogram_series(family, bounds, labels)
