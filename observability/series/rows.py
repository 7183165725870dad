"""The catalogue of the series on disk."""

from __future__ import annotations

from dataclasses import dataclass

from observability.promql.labels import Labels


@dataclass(frozen=True, slots=True)
class SeriesRow:
    """A series on disk: since when there are samples, and until when; None while they come."""

    id: int
    labels: Labels
    first_ms: int
    last_ms: int | None

    def may_be_in(self, after_ms: int, until_ms: int) -> bool:
        """Whether it may have samples in (after, until]."""
        return self.first_ms <= until_ms and (self.last_ms is None or self.last_ms > after_ms)
