"""Latencies and outcomes, and their percentiles."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Row:
    """What became of one kind of request. Latencies are those of the good ones, in milliseconds; None without any."""

    kind: str
    sent: int
    outcomes: dict[str, int]
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


@dataclass
class Tally:
    """Counts outcomes by kind of request; only `ok` has a latency that means something."""

    _latencies: dict[str, list[float]] = field(default_factory=dict)
    _outcomes: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, kind: str, outcome: str, latency_s: float) -> None:
        self._outcomes.setdefault(kind, Counter())[outcome] += 1
        if outcome == "ok":
            self._latencies.setdefault(kind, []).append(1000 * latency_s)

    def rows(self) -> list[Row]:
        return [self._row(kind) for kind in sorted(self._outcomes)]

    def failures(self) -> int:
        """How many did not end well. Being told to come back later is no failure: that is how load is shed."""
        return sum(
            n for counts in self._outcomes.values() for outcome, n in counts.items() if outcome not in {"ok", "refused"}
        )

    def _row(self, kind: str) -> Row:
        latencies = sorted(self._latencies.get(kind, []))
        outcomes = self._outcomes[kind]
        p50, p95, p99 = (percentile(latencies, share) for share in (0.50, 0.95, 0.99))
        return Row(kind=kind, sent=outcomes.total(), outcomes=dict(outcomes), p50_ms=p50, p95_ms=p95, p99_ms=p99)


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """The smallest value that `share` of all do not exceed (nearest rank); `ordered` ascends."""
    if not ordered:
        return None
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
