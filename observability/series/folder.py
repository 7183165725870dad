"""Where the file of roll-ups lies: who may use it, and what becomes of one that is no use."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Final

import structlog

from observability.series.archive import RollupArchive
from observability.series.errors import ArchiveDamagedError, ArchiveUnavailableError

log = structlog.get_logger(__name__)

FILE: Final = "series.db"
LOCK: Final = "series.lock"
COMPANIONS: Final = ("", "-wal", "-shm")
"""What SQLite appends to the names of the files that belong together."""
MOST_ASIDE: Final = 2
"""Files put aside that are kept; older ones go, so that they never fill the disk."""


class ArchiveFolder:
    """A folder that one process at a time uses."""

    def __init__(self, folder: Path, *, most_bytes: int) -> None:
        self._folder = folder
        self._most_bytes = most_bytes
        self._lock: int | None = None
        self.put_aside_files = 0
        """How often a file was no use."""

    def open(self, *, now_ms: int) -> RollupArchive:
        """The archive; a file that is damaged or of another format is put aside, and a new one begun.

        Raises `ArchiveUnavailableError` when the folder cannot be used now, as when another process has it.
        """
        self._claim()
        path = self._folder / FILE
        try:
            return RollupArchive(path, most_bytes=self._most_bytes)
        except ArchiveDamagedError as error:
            self.put_aside(str(error), now_ms=now_ms)
        try:
            return RollupArchive(path, most_bytes=self._most_bytes)
        except ArchiveDamagedError as error:
            raise ArchiveUnavailableError(f"no file of roll-ups can be made in {self._folder}: {error}") from error

    def put_aside(self, reason: str, *, now_ms: int) -> None:
        """Rename the file, closed before, so that nothing uses it any more."""
        self.put_aside_files += 1
        aside = f"{FILE}.aside-{now_ms:015d}"
        log.error(
            "the roll-ups on disk are put aside: series start anew, older samples are not found",
            reason=reason,
            file=aside,
        )
        try:
            for companion in COMPANIONS:
                file = self._folder / (FILE + companion)
                if file.exists():
                    file.rename(self._folder / (aside + companion))
            self._delete_old_ones()
        except OSError as error:
            raise ArchiveUnavailableError(f"the damaged file in {self._folder} cannot be put aside: {error}") from error

    def release(self) -> None:
        """Let others use the folder."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _claim(self) -> None:
        if self._lock is not None:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(self._folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ArchiveUnavailableError(f"the folder {self._folder} cannot be used: {error}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(lock)
            raise ArchiveUnavailableError(f"another process uses the roll-ups in {self._folder}") from error
        self._lock = lock

    def _delete_old_ones(self) -> None:
        aside = {file.name.removesuffix("-wal").removesuffix("-shm") for file in self._folder.glob(f"{FILE}.aside-*")}
        for name in sorted(aside)[:-MOST_ASIDE]:
            for companion in COMPANIONS:
                (self._folder / (name + companion)).unlink(missing_ok=True)
