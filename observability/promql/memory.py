"""Series in memory, bounded in number, samples and time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from cachetools import LRUCache

from observability.promql.label_table import Rows
from observability.promql.labels import Labels
from observability.promql.matchers import Selector
from observability.promql.selection import Part, Selection, select
from observability.promql.series_block import Counts, SeriesBlock
from observability.promql.source import Windows
from observability.promql.staleness import STALE
from observability.promql.vector import Floats, Times, Vector

HOUR_MS: Final = 3_600_000
MOST_SERIES: Final = 50_000
MOST_SAMPLES: Final = 4_096
"""Of one series: an hour of one each second."""
SAVED_AT_ONCE: Final = 64
"""Samples of a series that wait to be saved, mostly fewer."""
MOST_SELECTIONS: Final = 1_024


class Admission(Protocol):
    """Decides which series may begin."""

    def admit(self, series: Labels) -> bool:
        """Whether a new series is taken; if so it counts from now on."""
        ...

    def release(self, series: Iterable[Labels]) -> None:
        """These are gone."""
        ...


@dataclass(frozen=True, slots=True)
class Unsaved:
    """Samples of some series of one metric that are not saved yet, oldest first, with staleness markers.

    `counts` is (n,), `times_ms` and `values` are (longest, n) as in `Windows`.
    """

    labels: list[Labels]
    counts: Counts
    times_ms: Times
    values: Floats
    part: Part

    @property
    def last_times_ms(self) -> Times:
        """The time of the last of them, of each series."""
        return self.times_ms[self.counts - 1, np.arange(len(self.counts))]


class MemorySeries:
    """A `SeriesSource` and `SeriesSink`, safe for several threads: none waits for another longer than milliseconds.

    Samples older than `retention_ms` go when their series needs room; a series ends when `drop_ended` finds nothing
    newer. A window may reach back as far as the retention, not further. `refused_series` and `refused_samples` count
    what came past the bounds or out of order. `admission` decides in place of
    `most_series` which series may begin.
    """

    def __init__(
        self,
        *,
        retention_ms: int = HOUR_MS,
        most_series: int = MOST_SERIES,
        most_samples: int = MOST_SAMPLES,
        admission: Admission | None = None,
    ) -> None:
        self._retention_ms = retention_ms
        self._most_series = most_series
        self._most_samples = most_samples
        self._admission = admission
        self._lock = threading.Lock()
        self._blocks: dict[str, SeriesBlock] = {}
        self._versions: dict[str, int] = {}
        self._version = 0
        self._count = 0
        self._selections: LRUCache[Selector, tuple[int, Selection]] = LRUCache(maxsize=MOST_SELECTIONS)
        self.newest_ms = 0
        """The time of the newest sample that was taken."""
        self.refused_series = 0
        self.refused_samples = 0

    def __len__(self) -> int:
        """How many series there are."""
        return self._count

    @property
    def size_bytes(self) -> int:
        """What the samples take."""
        with self._lock:
            return sum(block.size_bytes for block in self._blocks.values())

    def append(self, series: Labels, *, time_ms: int, value: float) -> bool:
        """Add a sample; False when it is not newer than the series' last one, or there is no room for a new series."""
        with self._lock:
            return self._append(series, time_ms, value)

    def append_all(self, values: Iterable[tuple[Labels, float]], *, time_ms: int) -> list[Labels]:
        """Add a sample of one time to each series; which ones took theirs."""
        worked_out = list(values)
        with self._lock:
            return [series for series, value in worked_out if self._append(series, time_ms, value)]

    def extend(self, series: Labels, times_ms: Times, values: Floats) -> bool:
        """A new series with its samples, ascending in time, which count as saved; False where it is refused or there already."""
        with self._lock:
            name = series.metric_name
            block = self._blocks.get(name)
            if block is not None and series in block:
                return False
            block = self._admitted(series, name, block)
            if block is None:
                return False
            block.extend(series, times_ms, values)
            block.mark_saved(np.array([len(block) - 1]), int(times_ms[-1]))
            self.newest_ms = max(self.newest_ms, int(times_ms[-1]))
            return True

    def end_silent(self, known: Mapping[Labels, int]) -> int:
        """Mark the series as ended of which no newer sample came than is known; how many those were."""
        ended = 0
        with self._lock:
            for series, last_ms in known.items():
                block = self._blocks.get(series.metric_name)
                if block is not None and series in block and block.last_ms(series) <= last_ms:
                    ended += block.append(series, last_ms + 1, STALE)
        return ended

    def drop_ended(self, *, now_ms: int) -> list[Labels]:
        """Forget the series without a sample within the retention; which those were."""
        before_ms = now_ms - self._retention_ms
        return self._keep_only(lambda block: block.alive_after(before_ms))

    def make_room(self, *, most: int, before_ms: int) -> list[Labels]:
        """Where there are more than `most` series, forget those that were marked as ended before `before_ms`, the longest
        ended first; which those were.
        """
        if (excess := self._count - most) <= 0:
            return []
        with self._lock:
            ends = np.sort(np.concatenate([block.ended()[1] for block in self._blocks.values()]))
        ends = ends[ends < before_ms]
        if not len(ends):
            return []
        last_ms = ends[min(excess, len(ends)) - 1]
        return self._keep_only(lambda block: _without_ended(block, last_ms))

    def drop_after(self, time_ms: int) -> list[Labels]:
        """Forget the samples that are newer than `time_ms`; which series had no others."""
        gone = list[Labels]()
        for name in list(self._blocks):
            with self._lock:
                block = self._blocks[name]
                if block.newest_ms() > time_ms:
                    gone += self._replace(name, block, block.until_only(time_ms))
        with self._lock:
            self.newest_ms = max((block.newest_ms() for block in self._blocks.values()), default=0)
        return gone

    def latest(self, selector: Selector, *, at_ms: int, lookback_ms: int) -> Vector:
        return self.select(selector).latest(at_ms=at_ms, lookback_ms=lookback_ms)

    def window(self, selector: Selector, *, after_ms: int, until_ms: int) -> Windows:
        return self.select(selector).window(after_ms=after_ms, until_ms=until_ms)

    def select(self, selector: Selector) -> Selection:
        """The series that are meant; the same selection as long as those that there are stay the same."""
        name = selector.metric_name
        with self._lock:
            version = self._version if name is None else self._versions.get(name, 0)
            kept = self._selections.get(selector)
            if kept is not None and kept[0] == version:
                return kept[1]
            names = list(self._blocks) if name is None else [name]
            blocks = [(block, list(block.labels)) for each in names if (block := self._blocks.get(each)) is not None]
        # Matching takes a while: others go on meanwhile, and series that come now are found the next time.
        made = select(selector, blocks, lock=self._lock)
        with self._lock:
            if version == (self._version if name is None else self._versions.get(name, 0)):
                self._selections[selector] = version, made
        return made

    def unsaved(self, *, until_ms: int) -> Iterator[Unsaved]:
        """All samples before `until_ms` that are not saved yet."""
        with self._lock:
            blocks = [(block, list(block.labels)) for block in self._blocks.values()]
        for block, labels in blocks:
            rows = np.arange(len(labels), dtype=np.intp)
            for part in Part(block, rows, rows).slices(SAVED_AT_ONCE):
                with self._lock:
                    starts, counts = block.unsaved(part.rows, until_ms)
                    found = np.flatnonzero(counts)
                    rows, counts = part.rows[found], counts[found]
                    times, values = block.between(rows, starts[found], counts)
                if len(found):
                    yield Unsaved(
                        [labels[row] for row in rows.tolist()], counts, times, values, Part(block, rows, rows)
                    )

    def mark_saved(self, parts: Iterable[tuple[Part, Times]]) -> None:
        """The samples of these series are saved up to the times that are given for each."""
        with self._lock:
            for part, times_ms in parts:
                part.block.mark_saved(part.rows, times_ms)

    def mark_unsaved(self) -> None:
        """Nothing of what there is is saved."""
        with self._lock:
            for block in self._blocks.values():
                block.mark_unsaved()

    def _append(self, series: Labels, time_ms: int, value: float) -> bool:
        name = series.metric_name
        block = self._blocks.get(name)
        if block is None or series not in block:
            block = self._admitted(series, name, block)
            if block is None:
                return False
        taken = block.append(series, time_ms, value)
        if taken:
            self.newest_ms = max(self.newest_ms, time_ms)
        else:
            self.refused_samples += 1
        return taken

    def _admitted(self, series: Labels, name: str, block: SeriesBlock | None) -> SeriesBlock | None:
        """The block for a new series; None when there is no room for it."""
        if not (self._count < self._most_series if self._admission is None else self._admission.admit(series)):
            self.refused_series += 1
            return None
        if block is None:
            block = SeriesBlock(retention_ms=self._retention_ms, most_samples=self._most_samples)
            self._blocks[name] = block
        self._count += 1
        self._changed(name)
        return block

    def _keep_only(self, rows: Callable[[SeriesBlock], Rows]) -> list[Labels]:
        gone = list[Labels]()
        for name in list(self._blocks):
            with self._lock:
                block = self._blocks[name]
                kept = rows(block)
                if len(kept) < len(block):
                    gone += self._replace(name, block, block.taken(kept))
        return gone

    def _replace(self, name: str, old: SeriesBlock, new: SeriesBlock) -> list[Labels]:
        """Put a block in another's place; which series it lacks."""
        gone = [series for series in old.labels if series not in new]
        if len(new):
            self._blocks[name] = new
            self._changed(name)
        else:
            del self._blocks[name], self._versions[name]
            self._version += 1
        self._count -= len(gone)
        if self._admission is not None:
            self._admission.release(gone)
        # What was selected of the old one would keep it in memory.
        for selector, (_, selection) in list(self._selections.items()):
            if any(part.block is old for part in selection.parts):
                del self._selections[selector]
        return gone

    def _changed(self, name: str) -> None:
        self._version += 1
        self._versions[name] = self._version


def _without_ended(block: SeriesBlock, last_ms: int) -> Rows:
    rows, times_ms = block.ended()
    return np.setdiff1d(block.rows, rows[times_ms <= last_ms], assume_unique=True)
