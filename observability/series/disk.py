"""The roll-ups of a store, whatever state their file is in."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from observability.promql.errors import EvaluationError
from observability.promql.labels import Labels
from observability.promql.matchers import Selector
from observability.series.archive import RollupArchive
from observability.series.errors import ArchiveDamagedError, ArchiveError, ArchiveUnavailableError
from observability.series.folder import ArchiveFolder
from observability.series.rollups import Samples

log = structlog.get_logger(__name__)

NowMs = Callable[[], int]
NO_FILE: Final = "the roll-ups are not open"


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskFigures:
    """`failures` counts what could not be written or read, `deleted_batches` what had to go for its size."""

    available: bool = False
    size_bytes: int = 0
    failures: int = 0
    put_aside_files: int = 0
    damaged_batches: int = 0
    deleted_batches: int = 0


class RollupDisk:
    """Opens the archive, and again when it could not be opened or was put aside. Writes come from one thread."""

    def __init__(self, folder: Path, *, most_bytes: int, now_ms: NowMs) -> None:
        self._folder = ArchiveFolder(folder, most_bytes=most_bytes)
        self._now_ms = now_ms
        self._archive: RollupArchive | None = None
        self._changing = threading.Lock()
        self._failures = 0
        self._deleted_batches = 0
        self._damaged_batches = 0
        self._is_damaged = ""
        """What a reader found wrong; the writer puts the file aside."""
        self.files_begun = 0
        """How often a new file took the place of one that was put aside: what was saved before is not in it."""

    @property
    def is_open(self) -> bool:
        return self._archive is not None

    def open(self) -> bool:
        """Open the file unless it is open; whether it is now."""
        if self._archive is None:
            try:
                self._archive = self._folder.open(now_ms=self._now_ms())
            except ArchiveUnavailableError as error:
                self._failed(error)
        return self._archive is not None

    def recent(self, *, after_ms: int) -> Iterator[tuple[Labels, Samples]]:
        """As `RollupArchive.recent`; ends early where the file turns out to be damaged."""
        archive = self._archive
        if archive is not None:
            with self._survived():
                yield from archive.recent(after_ms=after_ms)

    def add(self, batches: Sequence[tuple[str, list[Labels], Samples]]) -> bool:
        """Whether the samples were written."""
        written = False
        with self._survived() as archive:
            if archive is not None:
                archive.add(batches)
                written = True
        return written

    def tidy(self, *, ended: Iterable[Labels], ended_ms: int, before_ms: int) -> None:
        """Say which series ended, and delete what is too old or too much."""
        with self._survived() as archive:
            if archive is not None:
                archive.ended(ended, last_ms=ended_ms)
                self._deleted_batches += archive.trim(before_ms=before_ms)

    def delete_after(self, time_ms: int) -> None:
        """Delete what is newer than `time_ms`."""
        with self._survived() as archive:
            if archive is not None:
                archive.delete_after(time_ms)

    def read(
        self, selector: Selector, *, after_ms: int, until_ms: int, most_samples: int
    ) -> list[tuple[Labels, Samples]]:
        """As `RollupArchive.read`. Raises `EvaluationError` when the file cannot be read: no data would be a lie."""
        with self._told() as archive:
            found = archive.read(selector, after_ms=after_ms, until_ms=until_ms, most_samples=most_samples)
            return list(found)

    def series(self, selector: Selector, *, after_ms: int, until_ms: int) -> list[Labels]:
        """As `RollupArchive.series`. Raises `EvaluationError` when the file cannot be read."""
        with self._told() as archive:
            return list(archive.series(selector, after_ms=after_ms, until_ms=until_ms))

    def figures(self) -> DiskFigures:
        """How things are."""
        archive, size, damaged = self._archive, 0, self._damaged_batches
        if archive is not None:
            damaged += archive.damaged_batches
            try:
                size = archive.size_bytes
            except ArchiveError as error:
                self._failed(error)
        return DiskFigures(
            available=archive is not None,
            size_bytes=size,
            failures=self._failures,
            put_aside_files=self._folder.put_aside_files,
            damaged_batches=damaged,
            deleted_batches=self._deleted_batches,
        )

    def close(self) -> None:
        """Close the file and let others have it."""
        self._close()
        self._folder.release()

    def _close(self) -> None:
        archive, self._archive = self._archive, None
        if archive is not None:
            self._damaged_batches += archive.damaged_batches
            archive.close()

    @contextmanager
    def _survived(self) -> Iterator[RollupArchive | None]:
        """For the writer: what goes wrong is counted and logged; a damaged file is put aside."""
        if self._is_damaged:
            self._begin_anew(self._is_damaged)
        try:
            yield self._archive
        except ArchiveDamagedError as error:
            self._failed(error)
            self._begin_anew(str(error))
        except ArchiveUnavailableError as error:
            self._failed(error)

    @contextmanager
    def _told(self) -> Iterator[RollupArchive]:
        """For readers."""
        archive = self._archive
        try:
            if archive is None:
                raise ArchiveUnavailableError(NO_FILE)
            yield archive
        except ArchiveError as error:
            self._failed(error)
            if isinstance(error, ArchiveDamagedError):
                self._is_damaged = str(error)
            raise EvaluationError(f"samples that are only on disk cannot be read: {error}") from error

    def _begin_anew(self, reason: str) -> None:
        self._close()
        self._is_damaged = ""
        self.files_begun += 1
        try:
            self._folder.put_aside(reason, now_ms=self._now_ms())
            self._archive = self._folder.open(now_ms=self._now_ms())
        except ArchiveUnavailableError as error:
            self._failed(error)

    def _failed(self, error: ArchiveError) -> None:
        with self._changing:
            self._failures += 1
        log.warning("roll-ups on disk", error=str(error))
