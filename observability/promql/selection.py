"""What a selector found: rows of blocks, numbered in one table, and what is read of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Final

import numpy as np

from observability.promql.label_table import LabelTable, Rows
from observability.promql.labels import Labels
from observability.promql.matchers import Selector
from observability.promql.series_block import Counts, SeriesBlock
from observability.promql.source import Windows
from observability.promql.staleness import stale_mask
from observability.promql.vector import Floats, Times, Vector

SAMPLES_AT_ONCE: Final = 500_000
"""Read in one go, which takes milliseconds; between two goes others may append."""

Lock = AbstractContextManager[object]
UNLOCKED: Final[Lock] = nullcontext()


@dataclass(frozen=True, slots=True)
class Part:
    """What was selected of one metric: rows of its block, and the numbers that they have in the selection's table."""

    block: SeriesBlock
    rows: Rows
    numbers: Rows

    def slices(self, longest: int) -> Iterator[Part]:
        """The same in pieces that are read at once when each series has up to `longest` samples."""
        rows = max(1, SAMPLES_AT_ONCE // max(1, longest))
        for start in range(0, len(self.rows), rows):
            piece = slice(start, start + rows)
            yield Part(self.block, self.rows[piece], self.numbers[piece])

    def read(self, after_ms: int, until_ms: int) -> Read:
        """The samples in (after, until], with staleness markers, as `SeriesBlock.between` gives them."""
        starts = self.block.until(self.rows, after_ms)
        counts = self.block.until(self.rows, until_ms) - starts
        return Read(self, starts, counts)


@dataclass(frozen=True, slots=True)
class Read:
    """Where the samples that are asked for lie; to be used before the block changes."""

    part: Part
    starts: Counts
    counts: Counts

    @property
    def longest(self) -> int:
        return int(self.counts.max(initial=0))

    @property
    def is_short(self) -> bool:
        return self.longest * len(self.counts) <= SAMPLES_AT_ONCE

    def samples(self) -> tuple[Times, Floats]:
        return self.part.block.between(self.part.rows, self.starts, self.counts)


@dataclass(frozen=True, slots=True)
class Selection:
    """The series that a selector found. Reads hold `lock` for milliseconds at a time, so that others get by."""

    table: LabelTable
    parts: tuple[Part, ...]
    lock: Lock = UNLOCKED

    def latest(self, *, at_ms: int, lookback_ms: int) -> Vector:
        numbers, times, values = list[Rows](), list[Times](), list[Floats]()
        for part in self.parts:
            with self.lock:
                counts = part.block.until(part.rows, at_ms)
                part_times, part_values = part.block.at(part.rows, np.maximum(counts - 1, 0))
            present = (counts > 0) & (part_times > at_ms - lookback_ms) & ~stale_mask(part_values)
            numbers.append(part.numbers[present])
            times.append(part_times[present])
            values.append(part_values[present])
        if not numbers:
            return Vector(self.table, np.zeros(0, np.intp), np.zeros(0), np.zeros(0, np.int64))
        return Vector(self.table, np.concatenate(numbers), np.concatenate(values), np.concatenate(times))

    def window(self, *, after_ms: int, until_ms: int) -> Windows:
        windows = [
            _without_markers(Windows(self.table, part.numbers, counts, times, values), part.block.has_ended)
            for part, counts, times, values in self._reads(after_ms, until_ms)
        ]
        return windows[0] if len(windows) == 1 else _beside(self.table, windows)

    def columns(self, *, after_ms: int, until_ms: int) -> Iterator[tuple[Labels, Times, Floats]]:
        """Of each series its labels and the samples in (after, until], with staleness markers."""
        for part, counts, times, values in self._reads(after_ms, until_ms):
            for column, count in enumerate(counts.tolist()):
                labels = self.table.labels[int(part.numbers[column])]
                yield labels, times[:count, column], values[:count, column]

    def present(self, *, after_ms: int, until_ms: int) -> list[Labels]:
        """The series with a sample in (after, until]."""
        found = list[Labels]()
        for part in self.parts:
            with self.lock:
                counts = part.read(after_ms, until_ms).counts
            found += [self.table.labels[number] for number in part.numbers[counts > 0].tolist()]
        return found

    def count(self, *, after_ms: int, until_ms: int) -> int:
        """How many samples there are in (after, until], staleness markers included."""
        total = 0
        for part in self.parts:
            with self.lock:
                total += int(part.read(after_ms, until_ms).counts.sum())
        return total

    def _reads(self, after_ms: int, until_ms: int) -> Iterator[tuple[Part, Counts, Times, Floats]]:
        for part in self.parts:
            with self.lock:
                read = part.read(after_ms, until_ms)
                found = read.samples() if read.is_short else None
            if found is not None:
                yield part, read.counts, *found
                continue
            for piece in part.slices(read.longest):
                with self.lock:
                    smaller = piece.read(after_ms, until_ms)
                    found = smaller.samples()
                yield piece, smaller.counts, *found


def _without_markers(windows: Windows, has_ended: bool) -> Windows:
    times, values, counts = windows.times_ms, windows.values, windows.counts
    if has_ended:
        within = np.arange(len(times))[:, None] < counts
        stale = stale_mask(values) & within
        # Markers are no samples: the others move up, in order.
        order = np.argsort(stale | ~within, axis=0, kind="stable")
        times, values = np.take_along_axis(times, order, axis=0), np.take_along_axis(values, order, axis=0)
        counts = counts - stale.sum(axis=0)
    return Windows(windows.table, windows.rows, counts, times, values).taken(counts > 0)


def select(selector: Selector, blocks: list[tuple[SeriesBlock, list[Labels]]], *, lock: Lock = UNLOCKED) -> Selection:
    """The series of `blocks` that are meant; the labels of each block as they were when it was looked at."""
    labels, parts = list[Labels](), list[Part]()
    for block, candidates in blocks:
        rows = selector.rows(candidates)
        if not rows:
            continue
        numbers = np.arange(len(labels), len(labels) + len(rows), dtype=np.intp)
        parts.append(Part(block, np.array(rows, dtype=np.intp), numbers))
        labels += [candidates[row] for row in rows]
    return Selection(LabelTable(labels), tuple(parts), lock)


def _beside(table: LabelTable, windows: list[Windows]) -> Windows:
    """Windows of several metrics as one."""
    longest = max((len(window.values) for window in windows), default=0)
    rows, counts = list[Rows](), list[Counts]()
    times, values = [np.zeros((longest, 0), dtype=np.int64)], [np.zeros((longest, 0))]
    for window in windows:
        padding = ((0, longest - len(window.values)), (0, 0))
        rows.append(window.rows)
        counts.append(window.counts)
        times.append(np.pad(window.times_ms, padding))
        values.append(np.pad(window.values, padding))
    return Windows(
        table,
        rows=np.concatenate([np.zeros(0, dtype=np.intp), *rows]),
        counts=np.concatenate([np.zeros(0, dtype=np.int64), *counts]),
        times_ms=np.concatenate(times, axis=1),
        values=np.concatenate(values, axis=1),
    )
