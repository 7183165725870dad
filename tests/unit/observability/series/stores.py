"""Stores for tests, with a clock that is set by hand, and what is found in them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from observability.promql import Labels, SeriesSource
from observability.promql.matchers import Selector
from observability.promql.query import parse
from observability.promql.selectors import InstantSelector
from observability.series import SeriesStore, StoreSettings

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
START_MS = 1_700_000_040_000
"""The beginning of a minute."""


class Clock:
    """Milliseconds since 1970."""

    def __init__(self, now_ms: int = START_MS) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms


def labelled(name: str = "x", **labels: str) -> Labels:
    return Labels({"__name__": name, **labels})


def of_process(instance: str = "i1", name: str = "x", **labels: str) -> Labels:
    return labelled(name, service="embed", instance=instance, **labels)


def store(folder: Path | None, clock: Clock, **settings: object) -> SeriesStore:
    return SeriesStore(folder, now_ms=clock, settings=StoreSettings(**settings))  # type: ignore[arg-type]


def record(series: SeriesStore, values: Iterable[tuple[Labels, float]], *, time_ms: int) -> int:
    """Add what was measured at one time; how many were taken."""
    return len(series.append_all(values, time_ms=time_ms))


def fill(
    series: SeriesStore, clock: Clock, *labels: Labels, minutes: int, every_ms: int = 10_000, maintained: bool = True
) -> None:
    """Counters that grow by one with each sample, as time goes by; written each minute."""
    for _ in range(minutes * MINUTE_MS // every_ms):
        clock.now_ms += every_ms
        value = (clock.now_ms - START_MS) / every_ms
        record(series, [(each, value) for each in labels], time_ms=clock.now_ms)
        if maintained and clock.now_ms % MINUTE_MS == 0:
            series.maintain()


def selector(text: str) -> Selector:
    found = parse(text).expression
    assert isinstance(found, InstantSelector)
    return found.selector


def samples(
    source: SeriesSource, text: str = "x", *, after_ms: int = 0, until_ms: int = 2**53
) -> dict[Labels, list[tuple[int, float]]]:
    """What is found in (after, until], by series."""
    windows = source.window(selector(text), after_ms=after_ms, until_ms=until_ms)
    return {
        windows.table.labels[row]: list(
            zip(windows.times_ms[:count, column].tolist(), windows.values[:count, column].tolist(), strict=True)
        )
        for column, (row, count) in enumerate(zip(windows.rows.tolist(), windows.counts.tolist(), strict=True))
    }
