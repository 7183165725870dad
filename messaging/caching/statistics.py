"""What happens in a cache, counted by level and by kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

from messaging.caching.keys import CacheKind


@dataclass(slots=True, kw_only=True)
class Counts:
    """Counters that only grow. The field's description is that of its metric."""

    hits: int = 0
    misses: int = 0
    sets: int = 0
    evictions: int = 0
    expirations: int = 0
    errors: int = 0
    oversized: int = 0

    def add(self, other: Counts) -> None:
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    entries: int
    bytes: int


@dataclass(frozen=True, kw_only=True)
class LevelStats:
    """One level since this process started; `bytes` and `entries` as they are now, None when it does not answer.

    Only a level in memory knows what it evicted. `expirations` of a shared level are entries that were met too late;
    `errors` are calls that it did not answer, `oversized` values that were too large to keep.
    """

    level: str
    hits: int
    misses: int
    sets: int
    evictions: int
    expirations: int
    errors: int
    oversized: int
    bytes: int | None
    entries: int | None

    @property
    def hit_rate(self) -> float:
        """The share of answered `get`s that found something; 0 when there was none."""
        asked = self.hits + self.misses
        return self.hits / asked if asked else 0.0


class Level:
    """The counters of one level. `size` tells what it holds, where that is known without asking anybody."""

    def __init__(self, name: str, size: Callable[[], Size] | None = None) -> None:
        self.name = name
        self.size = size
        self._counts: dict[CacheKind, Counts] = {}

    def of(self, kind: CacheKind) -> Counts:
        """The counters of one kind, to be counted up."""
        return self._counts.setdefault(kind, Counts())

    def kinds(self) -> list[tuple[CacheKind, Counts]]:
        return list(self._counts.items())

    def stats(self, size: Size | None) -> LevelStats:
        """All kinds together, with a size."""
        total = Counts()
        for _, counts in self.kinds():
            total.add(counts)
        counted = {field.name: getattr(total, field.name) for field in fields(total)}
        return LevelStats(
            level=self.name, **counted, bytes=size.bytes if size else None, entries=size.entries if size else None
        )
