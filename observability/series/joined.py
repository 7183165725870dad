"""Roll-ups on disk and samples in memory as one source, for one range of time."""

from __future__ import annotations

from collections import defaultdict
from typing import Protocol

import numpy as np

from observability.promql.errors import SampleLimitError
from observability.promql.label_table import LabelTable
from observability.promql.labels import Labels
from observability.promql.matchers import Selector
from observability.promql.memory import MemorySeries
from observability.promql.selection import Part, Selection
from observability.promql.series_block import SeriesBlock
from observability.promql.source import Windows
from observability.promql.vector import Floats, Times, Vector
from observability.series.rollups import Samples

Pieces = list[tuple[Times, Floats]]


class Rollups(Protocol):
    """Reads what is on disk."""

    def __call__(
        self, selector: Selector, *, after_ms: int, until_ms: int, most_samples: int
    ) -> list[tuple[Labels, Samples]]:
        """The series that are meant and have samples in (after, until], and those samples."""
        ...


class JoinedSeries:
    """A `SeriesSource` of the samples in (after, until]: up to `memory_after_ms` those on disk, then those in memory.

    What a selector means is loaded once, so that the steps of a range query read memory only. Raises
    `SampleLimitError` when that were more than `most_samples`.
    """

    def __init__(
        self,
        rollups: Rollups,
        memory: MemorySeries,
        *,
        memory_after_ms: int,
        after_ms: int,
        until_ms: int,
        most_samples: int,
    ) -> None:
        self._rollups = rollups
        self._memory = memory
        self._memory_after_ms = memory_after_ms
        self._after_ms = after_ms
        self._until_ms = until_ms
        self._most_samples = most_samples
        self._left = most_samples
        self._loaded: dict[Selector, Selection] = {}

    def latest(self, selector: Selector, *, at_ms: int, lookback_ms: int) -> Vector:
        return self._selection(selector).latest(at_ms=at_ms, lookback_ms=lookback_ms)

    def window(self, selector: Selector, *, after_ms: int, until_ms: int) -> Windows:
        return self._selection(selector).window(after_ms=after_ms, until_ms=until_ms)

    def _selection(self, selector: Selector) -> Selection:
        loaded = self._loaded.get(selector)
        if loaded is None:
            loaded = self._loaded[selector] = self._load(selector)
        return loaded

    def _load(self, selector: Selector) -> Selection:
        pieces: dict[Labels, Pieces] = defaultdict(list)
        until_ms = min(self._until_ms, self._memory_after_ms)
        for labels, samples in self._rollups(
            selector, after_ms=self._after_ms, until_ms=until_ms, most_samples=self._left
        ):
            self._take(len(samples))
            pieces[labels].append((samples.times_ms, samples.values))
        if self._until_ms > self._memory_after_ms:
            selection, span = self._memory.select(selector), (self._memory_after_ms, self._until_ms)
            self._take(selection.count(after_ms=span[0], until_ms=span[1]))
            for labels, times, values in selection.columns(after_ms=span[0], until_ms=span[1]):
                if len(times):
                    pieces[labels].append((times, values))
        return self._joined(pieces)

    def _take(self, samples: int) -> None:
        self._left -= samples
        if self._left < 0:
            raise SampleLimitError(self._most_samples)

    def _joined(self, pieces: dict[Labels, Pieces]) -> Selection:
        blocks: dict[str, SeriesBlock] = {}
        for labels, parts in pieces.items():
            block = blocks.get(labels.metric_name)
            if block is None:
                span_ms = self._until_ms - self._after_ms
                block = SeriesBlock(retention_ms=span_ms, most_samples=self._most_samples)
                blocks[labels.metric_name] = block
            times, values = (np.concatenate(each) for each in zip(*parts, strict=True))
            block.extend(labels, times, values)
        all_labels, selected = list[Labels](), list[Part]()
        for block in blocks.values():
            numbers = np.arange(len(all_labels), len(all_labels) + len(block), dtype=np.intp)
            selected.append(Part(block, block.rows, numbers))
            all_labels += block.labels
        return Selection(LabelTable(all_labels), tuple(selected))
