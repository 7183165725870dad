"""Series that are told together, as those of one target of Prometheus are scraped together."""

from __future__ import annotations

from collections.abc import Iterable

from observability.promql.labels import Labels
from observability.promql.source import SeriesSink
from observability.promql.staleness import STALE


class SeriesGroup:
    """Writes all its series at once; one that is not among the newest has ended, and so have all at `end`.

    An end is a staleness marker, from which on a series has no present value.
    """

    def __init__(self, sink: SeriesSink) -> None:
        self._sink = sink
        self._current: set[Labels] = set()

    def write(self, values: Iterable[tuple[Labels, float]], *, time_ms: int) -> None:
        """Add a sample to each series."""
        told = list(values)
        self._sink.append_all(told, time_ms=time_ms)
        written = {labels for labels, _ in told}
        self._finish(self._current - written, time_ms)
        self._current = written

    def end(self, *, time_ms: int) -> None:
        """There is nothing more to be told, for now."""
        self._finish(self._current, time_ms)
        self._current = set()

    def _finish(self, series: Iterable[Labels], time_ms: int) -> None:
        self._sink.append_all(((labels, STALE) for labels in series), time_ms=time_ms)
