"""The SQLite file of roll-ups: its tables, connections to it, and what its errors mean."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from observability.series.errors import ArchiveDamagedError, ArchiveUnavailableError

FORMAT: Final = 1
"""Of the file. Another number is another program's file."""
BUSY_S: Final = 2.0
"""How long to wait for another process that has locked the file."""
JOURNAL_BYTES: Final = 16 * 1024 * 1024
DAMAGED: Final = frozenset(
    # The last two: its tables are not ours.
    {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CONSTRAINT}
)

_SCHEMA: Final = f"""
BEGIN;
CREATE TABLE series (
  id INTEGER PRIMARY KEY, metric TEXT NOT NULL, labels TEXT NOT NULL UNIQUE,
  first_ms INTEGER NOT NULL, last_ms INTEGER  -- NULL while samples come
);
CREATE INDEX series_by_metric ON series (metric);
CREATE TABLE batches (
  id INTEGER PRIMARY KEY, metric TEXT NOT NULL, start_ms INTEGER NOT NULL, end_ms INTEGER NOT NULL,
  samples BLOB NOT NULL
);
CREATE INDEX batches_by_metric ON batches (metric, end_ms);
CREATE INDEX batches_by_end ON batches (end_ms);
PRAGMA user_version = {FORMAT};
COMMIT;
"""


def connected(path: Path) -> sqlite3.Connection:
    """A connection to a file of our format, which is made if there is none.

    Raises `ArchiveDamagedError` for a file of another format, and sqlite3's own errors.
    """
    database = sqlite3.connect(path, timeout=BUSY_S, check_same_thread=False)
    try:
        tables = database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if tables:
            _check_format(path, database.execute("PRAGMA user_version").fetchone()[0])
        else:
            database.execute("PRAGMA auto_vacuum = INCREMENTAL")
        database.execute("PRAGMA journal_mode = WAL")
        # A kill of the process loses nothing; a power cut may lose the last minutes, never the file.
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute(f"PRAGMA journal_size_limit = {JOURNAL_BYTES}")
        if not tables:
            database.executescript(_SCHEMA)
    except BaseException:
        database.close()
        raise
    return database


@contextmanager
def explained() -> Iterator[None]:
    """What sqlite3 raises as `ArchiveDamagedError` or `ArchiveUnavailableError`."""
    try:
        yield
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in DAMAGED:
            raise ArchiveDamagedError(f"the file of roll-ups is damaged: {error}") from error
        raise ArchiveUnavailableError(f"the file of roll-ups cannot be used now: {error}") from error


def _check_format(path: Path, version: int) -> None:
    if version != FORMAT:
        raise ArchiveDamagedError(f"{path} has format {version}, this version of Waggle reads {FORMAT}")
