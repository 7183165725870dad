"""Samples of one metric in a compact form: several series and a minute or more in one blob."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from observability.promql.memory import Unsaved
from observability.promql.vector import Floats, Times

MINUTE_MS: Final = 60_000
COMPRESSION: Final = 1
"""The fastest: identifiers and times are nearly all that gets smaller."""
BYTES: Final = 4 + 4 + 8
"""Of a sample, uncompressed."""

Identifiers = npt.NDArray[np.uint32]


class DamagedBlobError(ValueError):
    """These bytes are no samples."""


@dataclass(frozen=True, slots=True)
class Samples:
    """Samples of several series: whose, when and what, each (n,). In the order of the series, then of time."""

    series: Identifiers
    times_ms: Times
    values: Floats

    def __len__(self) -> int:
        return len(self.times_ms)

    @classmethod
    def merged(cls, parts: list[Samples]) -> Samples:
        """Those of all parts, in order, each once."""
        if not parts:
            return cls(np.zeros(0, np.uint32), np.zeros(0, np.int64), np.zeros(0))
        series = np.concatenate([part.series for part in parts])
        times = np.concatenate([part.times_ms for part in parts])
        values = np.concatenate([part.values for part in parts])
        order = np.lexsort((times, series))
        series, times, values = series[order], times[order], values[order]
        first = np.ones(len(series), dtype=bool)
        first[1:] = (series[1:] != series[:-1]) | (times[1:] != times[:-1])
        return cls(series[first], times[first], values[first])

    def taken(self, mask: npt.NDArray[np.bool_]) -> Samples:
        return Samples(self.series[mask], self.times_ms[mask], self.values[mask])

    def packed(self) -> tuple[int, bytes]:
        """The time of the first sample, and the samples as bytes. They span less than 49 days."""
        start_ms = int(self.times_ms.min())
        offsets = (self.times_ms - start_ms).astype("<u4")
        columns = (self.series.astype("<u4"), offsets, self.values.astype("<f8", copy=False))
        return start_ms, zlib.compress(b"".join(column.tobytes() for column in columns), COMPRESSION)

    @classmethod
    def unpacked(cls, start_ms: int, blob: bytes) -> Samples:
        """What `packed` made. Raises `DamagedBlobError` for anything else."""
        try:
            raw = zlib.decompress(blob)
        except zlib.error as error:
            raise DamagedBlobError(str(error)) from error
        count, rest = divmod(len(raw), BYTES)
        if rest:
            raise DamagedBlobError(f"{len(raw)} bytes are no whole number of samples")
        series = np.frombuffer(raw, dtype="<u4", count=count)
        offsets = np.frombuffer(raw, dtype="<u4", count=count, offset=4 * count)
        return cls(series, start_ms + offsets.astype(np.int64), np.frombuffer(raw, dtype="<f8", offset=8 * count))


def last_of_minutes(unsaved: Unsaved) -> tuple[npt.NDArray[np.intp], Times, Floats]:
    """Of each series the last sample of each minute, staleness markers too: which column, when and what.

    It keeps its own time, so that rates stay right.
    """
    minutes = unsaved.times_ms // MINUTE_MS
    numbers = np.arange(len(minutes))[:, None]
    last = numbers == unsaved.counts - 1
    last[:-1] |= (minutes[1:] != minutes[:-1]) & (numbers[1:] < unsaved.counts)
    columns, places = np.nonzero(last.T)
    return columns, unsaved.times_ms[places, columns], unsaved.values[places, columns]
