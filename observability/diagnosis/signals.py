"""The observer's series at one moment, as causes read them: nothing that is not recent, and with its time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import numpy as np

from contracts.diagnoses import Evidence
from contracts.health import HEARTBEAT_INTERVAL_S
from contracts.metrics import METRICS_INTERVAL_S
from contracts.silences import MatchOperator
from observability.promql import Labels, Query, SeriesSource, parse
from observability.promql.labels import METRIC_NAME
from observability.promql.matchers import Matcher, Selector
from observability.promql.vector import Floats

HEARTBEATS_MS: Final = int(HEARTBEAT_INTERVAL_S * 1000)
SAMPLES_MS: Final = int(METRICS_INTERVAL_S * 1000)
"""Also of what the observer counts itself, and of what it reads of the broker."""
ROLLED_UP_MS: Final = 60_000
"""What is older than memory reaches is kept once a minute."""
ON_THE_WAY_MS: Final = 1_000
"""What comes at an interval comes a little late now and then."""
INTERVALS: Final = 2
"""Evidence that is older is none."""
NO_LABELS: Final[Mapping[str, str]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """An expression, and the samples that it has to rest on: a rate goes on for minutes after its data has stopped.

    `rests_on` selects samples that come every `every_ms`. Where it has several series, `by` are the labels by which a value
    of the expression finds its own. Raises `ExpressionError` for what cannot be read.
    """

    what: str
    expression: str
    rests_on: str
    every_ms: int = SAMPLES_MS
    by: tuple[str, ...] = ()
    unit: str = ""
    query: Query = field(init=False, repr=False, compare=False)
    basis: Query = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "query", parse(self.expression))
        object.__setattr__(self, "basis", parse(self.rests_on))


@dataclass(frozen=True, slots=True)
class Reading:
    """A finite value. `at_ms` is the time of the newest sample that it rests on."""

    measure: Measure
    labels: Labels
    value: float
    at_ms: int

    def evidence(self, *, threshold: float | None = None, what: str | None = None) -> Evidence:
        return Evidence(
            what=what or self.measure.what,
            source=self.measure.expression,
            value=self.value,
            threshold=threshold,
            unit=self.measure.unit,
            labels=dict(self.labels.without({METRIC_NAME})),
            at=moment(self.at_ms),
        )


@dataclass(frozen=True, slots=True)
class Track:
    """The samples of a series in a range of time, oldest first: seconds since 1970, and finite values."""

    labels: Labels
    times_s: Floats
    values: Floats

    @property
    def at_ms(self) -> int:
        return int(self.times_s[-1] * 1000)

    def since(self, time_s: float) -> Track:
        kept = self.times_s >= time_s
        return Track(self.labels, self.times_s[kept], self.values[kept])


class Signals:
    """Reads series at `at_ms`, in milliseconds since 1970. `rolled_up`: that is so long ago that there is one sample a minute.

    What is older than two intervals of its kind is not read. Raises `EvaluationError` for what cannot be computed.
    """

    def __init__(self, source: SeriesSource, *, at_ms: int, rolled_up: bool = False) -> None:
        self.at_ms = at_ms
        self._source = source
        self._least_ms = ROLLED_UP_MS if rolled_up else 0

    def read(self, measure: Measure) -> list[Reading]:
        """The values that rest on recent samples."""
        lookback_ms = self._fresh_ms(measure.every_ms)
        newest = self._newest(measure, lookback_ms)
        if not newest:
            return []
        found = measure.query.instant(self._source, at_ms=self.at_ms, lookback_ms=lookback_ms).samples
        return [
            Reading(measure, labels, value, newest[key])
            for labels, value in found
            if math.isfinite(value) and (key := _key(labels, measure.by)) in newest
        ]

    def one(self, measure: Measure) -> Reading | None:
        """The value of an expression that has one at most."""
        return next(iter(self.read(measure)), None)

    def tracks(
        self,
        metric: str,
        *,
        span_s: float,
        every_ms: int = SAMPLES_MS,
        where: Mapping[str, str] = NO_LABELS,
        ended: bool = False,
    ) -> list[Track]:
        """The samples of the last `span_s`, of the series that go on until now; where `ended`, of the others instead."""
        matchers = {METRIC_NAME: metric, **where}.items()
        selector = Selector(tuple(Matcher(MatchOperator.EQUAL, name, value) for name, value in matchers))
        lasting = self._source.latest(selector, at_ms=self.at_ms, lookback_ms=self._fresh_ms(every_ms))
        fresh = frozenset(lasting.labels)
        windows = self._source.window(selector, after_ms=self.at_ms - int(span_s * 1000), until_ms=self.at_ms)
        found = []
        for column, (row, count) in enumerate(zip(windows.rows.tolist(), windows.counts.tolist(), strict=True)):
            labels = windows.table.labels[row]
            if (labels in fresh) is not ended:
                times, values = windows.times_ms[:count, column] / 1000, windows.values[:count, column]
                finite = np.isfinite(values)
                if finite.any():
                    found.append(Track(labels, times[finite], values[finite]))
        return found

    def _fresh_ms(self, every_ms: int) -> int:
        return INTERVALS * max(every_ms, self._least_ms) + ON_THE_WAY_MS

    def _newest(self, measure: Measure, lookback_ms: int) -> dict[tuple[str, ...], int]:
        basis = measure.basis.instant(self._source, at_ms=self.at_ms, lookback_ms=lookback_ms)
        times = [self.at_ms] * len(basis) if basis.times_ms is None else basis.times_ms.tolist()
        newest: dict[tuple[str, ...], int] = {}
        for labels, time_ms in zip(basis.labels, times, strict=True):
            key = _key(labels, measure.by)
            newest[key] = max(time_ms, newest.get(key, 0))
        return newest


def moment(time_ms: float) -> datetime:
    return datetime.fromtimestamp(time_ms / 1000, UTC)


def _key(labels: Labels, by: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(labels.get(name, "") for name in by)
