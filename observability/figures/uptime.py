"""How much of the time each service was alive."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from contracts.figures import UptimeView
from contracts.silences import MatchOperator
from observability.promql import Labels, SeriesSource, Windows
from observability.promql.labels import METRIC_NAME
from observability.promql.matchers import Matcher, Selector

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
HOUR_STEP_MS: Final = 10_000
DAY_STEP_MS: Final = 60_000
"""Older samples are one a minute."""
SERVICE: Final = "service"

Steps = npt.NDArray[np.bool_]


def uptimes(source: SeriesSource, *, at_ms: int, fresh_ms: int) -> tuple[UptimeView, ...]:
    """One for each service that was heard of, or expected, within a day."""
    hour = _Watch(source, at_ms - HOUR_MS, at_ms, HOUR_STEP_MS)
    day = _Watch(source, at_ms - DAY_MS, at_ms, DAY_STEP_MS)
    alive, expected = (
        _latest(source, metric, at_ms, fresh_ms) for metric in ("waggle_service_alive", "waggle_service_expected")
    )
    return tuple(
        UptimeView(
            component=service,
            alive=alive.get(service, 0),
            expected=expected.get(service, 0),
            last_hour=hour.share(service),
            last_day=day.share(service),
        )
        for service in sorted(day.services | hour.services | expected.keys())
    )


@dataclass(slots=True)
class _Seen:
    """In which steps a service was watched, and alive."""

    watched: Steps
    alive: Steps


class _Watch:
    """A stretch of time in steps. In each a service is alive if one of its instances was heard.

    It is watched where an instance was heard, was judged dead, or was expected. What was stopped in order is neither, so
    that time does not count; nor does that in which nobody watched.
    """

    def __init__(self, source: SeriesSource, start_ms: int, end_ms: int, step_ms: int) -> None:
        self._start_ms, self._step_ms = start_ms, step_ms
        count = (end_ms - start_ms) // step_ms
        self._seen: defaultdict[str, _Seen] = defaultdict(
            lambda: _Seen(np.zeros(count, dtype=np.bool_), np.zeros(count, dtype=np.bool_))
        )
        for service, steps, values in self._samples(_window(source, "waggle_up", start_ms, end_ms)):
            self._seen[service].watched[steps] = True
            self._seen[service].alive[steps[values > 0]] = True
        for service, steps, values in self._samples(_window(source, "waggle_service_expected", start_ms, end_ms)):
            self._seen[service].watched[steps[values > 0]] = True

    @property
    def services(self) -> set[str]:
        return {service for service, seen in self._seen.items() if seen.watched.any()}

    def share(self, service: str) -> float | None:
        """Of the watched time that in which the service was alive; None if it was not watched."""
        seen = self._seen.get(service)
        if seen is None or not seen.watched.any():
            return None
        return float((seen.alive & seen.watched).sum() / seen.watched.sum())

    def _samples(self, windows: Windows) -> list[tuple[str, npt.NDArray[np.int64], npt.NDArray[np.float64]]]:
        """Of each series its service, the step that each sample is in, and the values."""
        found = []
        for column, (row, count) in enumerate(zip(windows.rows.tolist(), windows.counts.tolist(), strict=True)):
            times, values = windows.times_ms[:count, column], windows.values[:count, column]
            steps = (times - self._start_ms - 1) // self._step_ms  # windows are open at their start
            found.append((windows.table.labels[row].get(SERVICE, ""), steps, values))
        return found


def _window(source: SeriesSource, metric: str, start_ms: int, end_ms: int) -> Windows:
    return source.window(_all_of(metric), after_ms=start_ms, until_ms=end_ms)


def _latest(source: SeriesSource, metric: str, at_ms: int, fresh_ms: int) -> dict[str, int]:
    """The newest value of each service, at least 0."""
    samples = source.latest(_all_of(metric), at_ms=at_ms, lookback_ms=fresh_ms).samples
    return {_service(labels): max(0, int(value)) for labels, value in samples if np.isfinite(value)}


def _service(labels: Labels) -> str:
    return labels.get(SERVICE, "")


def _all_of(metric: str) -> Selector:
    return Selector((Matcher(MatchOperator.EQUAL, METRIC_NAME, metric),))
