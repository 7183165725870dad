"""Counters and histograms that the observer keeps itself, from when it began."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from contracts.metrics import LONGEST_VALUE
from observability.intake.histograms import histogram_series, histogram_values
from observability.promql.labels import METRIC_NAME, Labels
from observability.promql.source import SeriesSink

MOST_SERIES: Final = 256
"""Of one counter. What comes later is counted together, as OpenTelemetry does."""
OVERFLOW: Final = "otel_metric_overflow"
MOST_AT_ONCE: Final = 2**53
"""Numbers in messages may be of any size; one must not spoil a sum for ever."""


@dataclass(slots=True)
class _Count:
    labels: Labels
    value: float = 0.0
    told: bool = False


class _Histogram:
    def __init__(self, name: str, bounds: Sequence[float]) -> None:
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0
        self._series = tuple(histogram_series(name, self._bounds, {}))

    def observe(self, value: float) -> None:
        if not abs(value) < MOST_AT_ONCE:  # nor is it infinite, or no number
            return
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def values(self) -> Iterator[tuple[Labels, float]]:
        return zip(self._series, histogram_values(self._counts, self._sum), strict=True)


class Tally:
    """Counts, and writes what it has counted when it is asked to.

    A series that appears later than the others is first written as 0, at the time of the last writing: otherwise nobody
    would see that its first events happened.
    """

    def __init__(self, sink: SeriesSink, *, histograms: Mapping[str, Sequence[float]]) -> None:
        """`histograms` are the names and the upper bounds of their buckets."""
        self._sink = sink
        self._counts: dict[str, dict[tuple[tuple[str, str], ...], _Count]] = {}
        self._histograms = {name: _Histogram(name, bounds) for name, bounds in histograms.items()}
        self._written_ms: int | None = None

    def add(self, name: str, amount: float = 1.0, /, **labels: str) -> None:
        """Count `amount` more. An amount of 0 makes the series known."""
        labels = {label: value[:LONGEST_VALUE] for label, value in labels.items()}
        series = self._counts.setdefault(name, {})
        key = tuple(labels.items())
        if key not in series and len(series) >= MOST_SERIES:
            labels, key = {OVERFLOW: "true"}, ((OVERFLOW, "true"),)
        count = series.get(key)
        if count is None:
            count = series[key] = _Count(Labels({METRIC_NAME: name} | labels))
        count.value += min(amount, MOST_AT_ONCE)

    def observe(self, name: str, value: float) -> None:
        """Take down a value of a histogram; what is no number, or an absurd one, is left out."""
        self._histograms[name].observe(value)

    def write(self, *, time_ms: int) -> None:
        """Append the present values."""
        counts = [count for series in self._counts.values() for count in series.values()]
        if self._written_ms is not None:
            begun = [(count.labels, 0.0) for count in counts if count.value and not count.told]
            self._sink.append_all(begun, time_ms=self._written_ms)
        for count in counts:
            count.told = True
        self._sink.append_all([(count.labels, count.value) for count in counts], time_ms=time_ms)
        for histogram in self._histograms.values():
            self._sink.append_all(histogram.values(), time_ms=time_ms)
        self._written_ms = time_ms
