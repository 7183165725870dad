"""The counters of a cache as metrics, by level and kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from messaging.caching.base import Cache
from messaging.caching.statistics import Size

LEVEL = "waggle.cache.level"
KIND = "waggle.cache.kind"

DESCRIPTIONS = {
    "hits": "Entries that were found.",
    "misses": "Entries that were not.",
    "sets": "Entries that were written.",
    "evictions": "Entries that made room for others.",
    "expirations": "Entries whose time was over.",
    "errors": "Calls that a level did not answer.",
    "oversized": "Values that were too large to keep.",
}
"""The counters, by their names in `Counts`."""

Told = Callable[[CallbackOptions], Iterable[Observation]]


def measure(cache: Cache, meter: Meter) -> None:
    """Tell what happens in `cache` as `waggle.cache.…`, from now on. Costs its callers nothing."""
    for name, description in DESCRIPTIONS.items():
        meter.create_observable_counter(f"waggle.cache.{name}", [_counted(cache, name)], description=description)
    meter.create_observable_gauge(
        "waggle.cache.entries", [_sized(cache, lambda size: size.entries)], description="Entries in memory."
    )
    meter.create_observable_gauge(
        "waggle.cache.bytes", [_sized(cache, lambda size: size.bytes)], unit="By", description="Their bytes."
    )


def _counted(cache: Cache, name: str) -> Told:
    def told(_: CallbackOptions) -> Iterable[Observation]:
        return [
            Observation(getattr(counts, name), {LEVEL: level.name, KIND: kind.value})
            for level in cache.levels
            for kind, counts in level.kinds()
        ]

    return told


def _sized(cache: Cache, of: Callable[[Size], int]) -> Told:
    def told(_: CallbackOptions) -> Iterable[Observation]:
        return [Observation(of(level.size()), {LEVEL: level.name}) for level in cache.levels if level.size is not None]

    return told
