"""Roll-ups on disk: one SQLite file with a catalogue of series, and batches of their samples.

A batch holds what one metric's series got in about a minute. Batches are only ever added, and deleted by age, so a
process that is killed leaves whole ones behind.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import numpy as np
import structlog

from observability.promql.errors import SampleLimitError
from observability.promql.labels import METRIC_NAME, Labels
from observability.promql.matchers import Selector
from observability.series.database import connected, explained
from observability.series.rollups import DamagedBlobError, Identifiers, Samples
from observability.series.rows import SeriesRow

log = structlog.get_logger(__name__)

LOWERED_TO: Final = 0.9
"""What of the bound is kept when it is reached."""
ALWAYS_MS: Final = 2**62
PAGES_AT_ONCE: Final = 4_096
"""Given back to the file system in one go."""
MOST_SERIES: Final = 200_000
"""In the catalogue, those that ended included."""


class RollupArchive:
    """The file. Writes come from one thread, reads from any.

    Every method raises `ArchiveDamagedError` when the file is no use any more, and `ArchiveUnavailableError` when it
    cannot be used now: then nothing was changed, and trying again later may succeed.
    """

    def __init__(self, path: Path, *, most_bytes: int, most_series: int = MOST_SERIES) -> None:
        self.path = path
        self._most_bytes = most_bytes
        self._most_series = most_series
        self._ids: dict[Labels, int] = {}
        self.damaged_batches = 0
        """Batches whose bytes were no samples; they were passed over."""
        with explained():
            self._writing = connected(path)
            try:
                self._reading = connected(path)
            except BaseException:
                self._writing.close()
                raise
        self._reading_lock = threading.Lock()

    @property
    def size_bytes(self) -> int:
        """What is in use of the file."""
        with self._read() as reading:
            return self._size(reading)

    def close(self) -> None:
        with self._reading_lock:
            self._reading.close()
        self._writing.close()

    def add(self, batches: Sequence[tuple[str, list[Labels], Samples]]) -> None:
        """Add samples, all or none. Of each batch: the metric, its series, and samples that number those from 0."""
        added: dict[Labels, int] = {}
        with explained(), self._writing:
            for metric, labels, samples in batches:
                start_ms = int(samples.times_ms.min())
                ids = np.array([self._id_of(series, start_ms, added) for series in labels], dtype=np.uint32)
                packed_from_ms, blob = Samples(ids[samples.series], samples.times_ms, samples.values).packed()
                self._writing.execute(
                    "INSERT INTO batches (metric, start_ms, end_ms, samples) VALUES (?, ?, ?, ?)",
                    (metric, packed_from_ms, int(samples.times_ms.max()), blob),
                )
        self._ids |= added

    def trim(self, *, before_ms: int) -> int:
        """Delete what ended before `before_ms`, then the oldest until the file is as small as it has to be.

        How many batches had to go for their size.
        """
        with explained(), self._writing:
            self._writing.execute("DELETE FROM batches WHERE end_ms < ?", (before_ms,))
            self._writing.execute("DELETE FROM series WHERE last_ms < ?", (before_ms,))
            self._writing.execute(
                "DELETE FROM series WHERE id IN (SELECT id FROM series WHERE last_ms IS NOT NULL "
                "ORDER BY last_ms LIMIT max(0, (SELECT count(*) FROM series) - ?))",
                (self._most_series,),
            )
        deleted = 0
        with explained():
            if self._size(self._writing) > self._most_bytes:
                while self._size(self._writing) > self._most_bytes * LOWERED_TO and (some := self._delete_oldest()):
                    deleted += some
            self._writing.execute(f"PRAGMA incremental_vacuum({PAGES_AT_ONCE})").fetchall()
        return deleted

    def delete_after(self, time_ms: int) -> None:
        """Delete the batches with a sample newer than `time_ms`."""
        with explained(), self._writing:
            self._writing.execute("DELETE FROM batches WHERE end_ms > ?", (time_ms,))

    def ended(self, series: Iterable[Labels], *, last_ms: int) -> None:
        """No more samples come for these."""
        ids = {labels: self._ids[labels] for labels in series if labels in self._ids}
        with explained(), self._writing:
            self._writing.executemany(
                "UPDATE series SET last_ms = ? WHERE id = ?", [(last_ms, id) for id in ids.values()]
            )
        for labels in ids:
            del self._ids[labels]

    def recent(self, *, after_ms: int) -> Iterator[tuple[Labels, Samples]]:
        """The series with a sample newer than `after_ms`, and those samples; these series go on.

        All others have ended: after a kill nobody said so.
        """
        with explained(), closing(self._writing.cursor()) as cursor:
            metrics = [
                metric
                for (metric,) in cursor.execute("SELECT DISTINCT metric FROM batches WHERE end_ms > ?", (after_ms,))
            ]
        live = dict[Labels, int]()
        for metric in metrics:
            rows = {row.id: row.labels for row in self._rows(metric)}
            for id, samples in _by_series(self._samples(metric, after_ms)):
                if id in rows:
                    live[rows[id]] = id
                    yield rows[id], samples
        self._ids = live
        with explained(), self._writing:
            self._writing.execute("UPDATE series SET last_ms = ? WHERE last_ms IS NULL", (after_ms,))
            self._writing.executemany("UPDATE series SET last_ms = NULL WHERE id = ?", [(id,) for id in live.values()])

    def read(
        self, selector: Selector, *, after_ms: int, until_ms: int, most_samples: int
    ) -> Iterator[tuple[Labels, Samples]]:
        """The series that are meant and have samples in (after, until], and those samples.

        Raises `SampleLimitError` where one metric has more than `most_samples`.
        """
        for metric in self._metrics(selector):
            meant = {row.id: row.labels for row in self._rows(metric) if selector.accepts(row.labels)}
            if not meant:
                continue
            wanted = np.array(sorted(meant), dtype=np.uint32)
            for id, samples in _by_series(self._samples(metric, after_ms, until_ms, wanted, most_samples)):
                yield meant[id], samples

    def series(self, selector: Selector, *, after_ms: int, until_ms: int) -> Iterator[Labels]:
        """The series that are meant and may have samples in (after, until]."""
        for metric in self._metrics(selector):
            for row in self._rows(metric):
                if row.may_be_in(after_ms, until_ms) and selector.accepts(row.labels):
                    yield row.labels

    def _metrics(self, selector: Selector) -> list[str]:
        name = selector.metric_name
        if name is not None:
            return [name]
        with self._read() as reading:
            names = [name for (name,) in reading.execute("SELECT DISTINCT metric FROM series")]
        return [name for name in names if all(m.accepts(name) for m in selector.matchers if m.name == METRIC_NAME)]

    def _rows(self, metric: str) -> list[SeriesRow]:
        with self._read() as reading:
            rows = reading.execute("SELECT id, labels, first_ms, last_ms FROM series WHERE metric = ?", (metric,))
            return [SeriesRow(id, Labels(json.loads(labels)), first, last) for id, labels, first, last in rows]

    def _samples(
        self,
        metric: str,
        after_ms: int,
        until_ms: int = ALWAYS_MS,
        wanted: Identifiers | None = None,
        most_samples: int | None = None,
    ) -> Samples:
        with self._read() as reading:
            rows = reading.execute(
                "SELECT id, start_ms, samples FROM batches WHERE metric = ? AND end_ms > ? AND start_ms <= ?",
                (metric, after_ms, until_ms),
            ).fetchall()
        parts, taken = list[Samples](), 0
        for id, start_ms, blob in rows:
            try:
                found = Samples.unpacked(start_ms, blob)
            except DamagedBlobError as error:
                self.damaged_batches += 1
                log.warning(
                    "a batch of samples on disk is damaged and passed over", batch=id, metric=metric, error=str(error)
                )
                continue
            mask = (found.times_ms > after_ms) & (found.times_ms <= until_ms)
            if wanted is not None:
                mask &= np.isin(found.series, wanted)
            parts.append(found.taken(mask))
            taken += len(parts[-1])
            if most_samples is not None and taken > most_samples:
                raise SampleLimitError(most_samples)
        return Samples.merged(parts)

    def _id_of(self, series: Labels, first_ms: int, added: dict[Labels, int]) -> int:
        known = self._ids.get(series) or added.get(series)
        if known is None:
            text = json.dumps(series.pairs, separators=(",", ":"))
            (known,) = self._writing.execute(
                "INSERT INTO series (metric, labels, first_ms) VALUES (?, ?, ?) "
                "ON CONFLICT (labels) DO UPDATE SET last_ms = NULL RETURNING id",
                (series.metric_name, text, first_ms),
            ).fetchone()
            added[series] = known
        return known

    def _delete_oldest(self) -> int:
        with self._writing:
            return self._writing.execute(
                "DELETE FROM batches WHERE id IN (SELECT id FROM batches ORDER BY end_ms LIMIT "
                "(SELECT count(*) / 20 + 1 FROM batches))"
            ).rowcount

    @staticmethod
    def _size(database: sqlite3.Connection) -> int:
        pages, free, size = (
            database.execute(f"PRAGMA {what}").fetchone()[0] for what in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    @contextmanager
    def _read(self) -> Iterator[sqlite3.Connection]:
        with self._reading_lock, explained():
            yield self._reading


def _by_series(samples: Samples) -> Iterator[tuple[int, Samples]]:
    if not len(samples):
        return
    ids, starts = np.unique(samples.series, return_index=True)
    for id, start, end in zip(ids.tolist(), starts.tolist(), [*starts[1:].tolist(), len(samples)], strict=True):
        part = slice(start, end)
        yield id, Samples(samples.series[part], samples.times_ms[part], samples.values[part])
