"""The samples of all series of one metric, side by side in two arrays."""

from __future__ import annotations

import copy
import mmap
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

from observability.promql.label_table import Rows
from observability.promql.labels import Labels
from observability.promql.staleness import is_stale, stale_mask
from observability.promql.vector import Floats, Times

Counts = npt.NDArray[np.int64]
Offsets = npt.NDArray[Any]
"""Milliseconds after a row's first sample: four bytes each where the retention is short enough, else eight."""

Kind = TypeVar("Kind", bound=np.generic)

FIRST_ROWS: Final = 4
FIRST_DEPTH: Final = 35
"""Grown by half six times it is what an hour takes at one sample each ten seconds, and little more."""
LONGEST_COMPACT_MS: Final = 2**31
LARGEST_COMPACT: Final = 2**32 - 1
LARGE_BYTES: Final = 64 * 1024
SLACK: Final = 16
"""A sixteenth of a row is room to spare: it is moved along that seldom."""


class SeriesBlock:
    """One row of samples for each series, oldest first, from the left; how many there are is counted.

    A full row drops what is older than the retention; if that frees too little all rows are lengthened to what the
    retention takes at the rate of that row, at most by half, up to `most_samples`; past that the oldest go. A sample
    takes twelve bytes.
    """

    def __init__(self, *, retention_ms: int, most_samples: int) -> None:
        self._retention_ms = retention_ms
        self._most_samples = most_samples
        self.labels: list[Labels] = []
        self.has_ended = False
        """Whether there ever was a staleness marker."""
        self._row_of: dict[Labels, int] = {}
        depth = min(FIRST_DEPTH, most_samples)
        self._compact = retention_ms < LONGEST_COMPACT_MS
        self._offsets: Offsets = np.zeros((FIRST_ROWS, depth), dtype=np.uint32 if self._compact else np.int64)
        self._values: Floats = np.zeros((FIRST_ROWS, depth))
        self._bases: Times = np.zeros(FIRST_ROWS, dtype=np.int64)
        self._counts: Counts = np.zeros(FIRST_ROWS, dtype=np.int64)
        self._saved: Times = np.zeros(FIRST_ROWS, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.labels)

    def __contains__(self, series: Labels) -> bool:
        return series in self._row_of

    @property
    def size_bytes(self) -> int:
        """Of the rows that are in use."""
        used, depth = len(self.labels), int(self._values.shape[1])
        return used * (depth * int(self._offsets.itemsize + self._values.itemsize) + 3 * 8)

    @property
    def rows(self) -> Rows:
        """All of them."""
        return np.arange(len(self.labels), dtype=np.intp)

    def append(self, series: Labels, time_ms: int, value: float) -> bool:
        """Add a sample; False when it is not newer than the series' last one."""
        row = self._row_of.get(series)
        if row is None:
            row = self._new_row(series, time_ms)
        count, offset = int(self._counts[row]), time_ms - int(self._bases[row])
        if count and offset <= self._offsets[row, count - 1]:
            return False
        if count == self._offsets.shape[1] or (offset > LARGEST_COMPACT and self._compact):
            count = self._make_room(row, time_ms)
            offset = time_ms - int(self._bases[row])
        self._offsets[row, count] = offset
        self._values[row, count] = value
        self.has_ended |= is_stale(value)
        self._counts[row] = count + 1
        return True

    def extend(self, series: Labels, times_ms: Times, values: Floats) -> None:
        """A new series with its samples, ascending in time and within the retention; of more than fit the newest."""
        times_ms, values = times_ms[-self._most_samples :], values[-self._most_samples :]
        row, count = self._new_row(series, int(times_ms[0])), len(times_ms)
        rows, depth = self._values.shape
        if count > depth:
            self._resize(rows, count)
        self._offsets[row, :count] = times_ms - times_ms[0]
        self._values[row, :count] = values
        self._counts[row] = count
        self.has_ended |= bool(stale_mask(values).any())

    def newest_ms(self) -> int:
        """The time of the newest sample of all."""
        return int(self._last_times().max(initial=0))

    def last_ms(self, series: Labels) -> int:
        """Of the last sample of a series that is here."""
        row = self._row_of[series]
        return int(self._last_times()[row])

    def alive_after(self, time_ms: int) -> Rows:
        """The rows with a sample at `time_ms` or later."""
        return np.flatnonzero(self._last_times() >= time_ms)

    def ended(self) -> tuple[Rows, Times]:
        """The rows whose last sample is a staleness marker, and its times."""
        if not self.has_ended:
            return np.zeros(0, dtype=np.intp), np.zeros(0, dtype=np.int64)
        times_ms, values = self.at(self.rows, self._counts[self.rows] - 1)
        rows = np.flatnonzero(stale_mask(values))
        return rows, times_ms[rows]

    def taken(self, rows: Rows) -> SeriesBlock:
        """A block of some of the rows; whoever still reads this one finds it as it was."""
        other = copy.copy(self)
        other._keep(rows, self._counts[rows])  # noqa: SLF001 (one of ours)
        return other

    def until_only(self, time_ms: int) -> SeriesBlock:
        """A block without what is newer than `time_ms`."""
        counts = self.until(self.rows, time_ms)
        rows = np.flatnonzero(counts)
        other = copy.copy(self)
        other._keep(rows, counts[rows])  # noqa: SLF001
        other._saved = np.minimum(other._saved, time_ms)  # noqa: SLF001
        return other

    def until(self, rows: Rows, time_ms: int | Times) -> Counts:
        """How many samples of each of `rows` are at or before `time_ms`, one for all or one for each."""
        depth = self._offsets.shape[1]
        flat, start = self._offsets.reshape(-1), rows * depth
        bound = time_ms - self._bases[rows]
        high = self._counts[rows]
        # Mostly all that there is has happened: then the last sample tells.
        if bool((flat[start + np.maximum(high - 1, 0)] <= bound).all()):
            return high
        low = np.zeros_like(high)
        while (open_rows := low < high).any():
            middle = (low + high) // 2
            past = flat[start + np.minimum(middle, depth - 1)] <= bound
            low = np.where(open_rows & past, middle + 1, low)
            high = np.where(open_rows & ~past, middle, high)
        return low

    def at(self, rows: Rows, positions: Counts) -> tuple[Times, Floats]:
        """The samples at one position of each row."""
        return self._bases[rows] + self._offsets[rows, positions], self._values[rows, positions]

    def between(self, rows: Rows, starts: Counts, counts: Counts) -> tuple[Times, Floats]:
        """`counts` samples of each row from `starts` on, as columns of (longest, n); padded below."""
        longest = int(counts.max(initial=0))
        flat = rows * self._offsets.shape[1] + starts + np.arange(longest)[:, None]
        # Padding may come from the next row, and past the last one from its end.
        times: Times = np.take(self._offsets, flat, mode="clip").astype(np.int64)
        times += self._bases[rows]
        return times, np.take(self._values, flat, mode="clip")

    def unsaved(self, rows: Rows, until_ms: int) -> tuple[Counts, Counts]:
        """Where the samples of each row that are not saved yet begin, and how many there are before `until_ms`."""
        starts = self.until(rows, self._saved[rows])
        return starts, np.maximum(self.until(rows, until_ms - 1) - starts, 0)

    def mark_saved(self, rows: Rows, time_ms: int | Times) -> None:
        """What is at or before `time_ms` is saved."""
        self._saved[rows] = np.maximum(self._saved[rows], time_ms)

    def mark_unsaved(self) -> None:
        """Nothing is saved."""
        self._saved = self._bases - 1

    def _last_times(self) -> Times:
        rows = self.rows
        return self.at(rows, self._counts[rows] - 1)[0]

    def _new_row(self, series: Labels, time_ms: int) -> int:
        row = len(self.labels)
        rows, depth = self._values.shape
        if row == rows:
            self._resize(rows * 2, depth)
        self._bases[row], self._counts[row], self._saved[row] = time_ms, 0, time_ms - 1
        self.labels.append(series)
        self._row_of[series] = row
        return row

    def _keep(self, rows: Rows, counts: Counts) -> None:
        self.labels = [self.labels[row] for row in rows.tolist()]
        self._row_of = {series: row for row, series in enumerate(self.labels)}
        room, depth = max(FIRST_ROWS, len(rows)), self._values.shape[1]
        self._offsets, self._values = _sized(self._offsets[rows], room, depth), _sized(self._values[rows], room, depth)
        self._bases, self._counts = _lengthened(self._bases[rows], room), _lengthened(counts, room)
        self._saved = _lengthened(self._saved[rows], room)

    def _make_room(self, row: int, now_ms: int) -> int:
        """Room for one more sample in a row; how many samples the row then has."""
        rows, depth = self._offsets.shape
        count = int(self._counts[row])
        oldest_ms = now_ms - self._retention_ms - int(self._bases[row])
        expired = int(np.searchsorted(self._offsets[row, :count], oldest_ms, side="right")) if oldest_ms >= 0 else 0
        if count == depth and expired < max(1, depth // SLACK):
            if depth < self._most_samples:
                self._resize(rows, self._deeper(now_ms - int(self._bases[row])))
                return count
            expired = max(1, expired, depth // 8)
        kept = count - expired
        # A row that begins anew begins with the sample that is to come.
        moved = int(self._offsets[row, expired]) if kept else now_ms - int(self._bases[row])
        self._offsets[row, :kept] = self._offsets[row, expired:count] - self._offsets.dtype.type(moved if kept else 0)
        self._values[row, :kept] = self._values[row, expired:count].copy()
        self._bases[row] += moved
        return kept

    def _deeper(self, held_ms: int) -> int:
        """How many samples a row should have room for when a full one holds those of `held_ms`."""
        depth = int(self._offsets.shape[1])
        wanted = depth * self._retention_ms // max(1, held_ms)
        return min(
            max(wanted + wanted // (SLACK - 2) + 2, depth + depth // SLACK + 1), depth + depth // 2, self._most_samples
        )

    def _resize(self, rows: int, depth: int) -> None:
        self._offsets, self._values = _sized(self._offsets, rows, depth), _sized(self._values, rows, depth)
        self._bases, self._counts, self._saved = (
            _lengthened(each, rows) for each in (self._bases, self._counts, self._saved)
        )


def _sized(samples: npt.NDArray[Kind], rows: int, depth: int) -> npt.NDArray[Kind]:
    larger = _zeros(rows, depth, samples.dtype)
    larger[: samples.shape[0], : samples.shape[1]] = samples
    return larger


def _zeros(rows: int, depth: int, kind: np.dtype[Kind]) -> npt.NDArray[Kind]:
    size = rows * depth * kind.itemsize
    if size < LARGE_BYTES:
        return np.zeros((rows, depth), dtype=kind)
    # Straight from the system they take no memory until they are written, and none once they are let go: what the
    # allocator has had before it would write over, and keep.
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return np.frombuffer(memory, dtype=kind).reshape(rows, depth)


def _lengthened(numbers: npt.NDArray[Kind], rows: int) -> npt.NDArray[Kind]:
    longer: npt.NDArray[Kind] = np.zeros(rows, dtype=numbers.dtype)
    longer[: len(numbers)] = numbers
    return longer
