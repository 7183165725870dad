"""The whole ledger as it stood at one moment."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator

from contracts import topology
from messaging.broker import Broker
from messaging.buckets import Bucket, Entry

PAGE = 256

_SCHEMA = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -8192;
CREATE TABLE entries (key TEXT PRIMARY KEY, revision INTEGER NOT NULL, value BLOB);
CREATE INDEX by_revision ON entries (revision);
"""
_UPSERT = """
INSERT INTO entries VALUES (?, ?, ?)
ON CONFLICT (key) DO UPDATE SET revision = excluded.revision, value = excluded.value
"""


class Snapshot:
    """The newest entry of each key. Kept in a private temporary database: in memory while small, on the disk when not."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("")
        self._database.executescript(_SCHEMA)

    def keep(self, entries: Iterable[Entry]) -> None:
        """Add entries, later ones in place of earlier ones."""
        with self._database:
            self._database.executemany(_UPSERT, [(entry.key, entry.revision, entry.value) for entry in entries])

    def __len__(self) -> int:
        return int(self._database.execute("SELECT count(*) FROM entries WHERE value IS NOT NULL").fetchone()[0])

    def __iter__(self) -> Iterator[Entry]:
        """By revision, without the keys that were removed."""
        after = 0
        while True:
            rows = self._database.execute(
                "SELECT key, revision, value FROM entries WHERE revision > ? AND value IS NOT NULL "
                "ORDER BY revision LIMIT ?",
                (after, PAGE),
            ).fetchall()
            if not rows:
                return
            yield from (Entry(*row) for row in rows)
            after = rows[-1][1]

    def close(self) -> None:
        self._database.close()


async def read_ledger(broker: Broker) -> Snapshot:
    """The ledger at the position where reading has caught up with it.

    Records that change while they are read come again behind, so the result is what one look at that position would
    have shown. Raises `BrokerUnavailableError`.
    """
    bucket, snapshot, after = Bucket(broker, topology.DOCUMENTS), Snapshot(), 0
    try:
        while batch := await bucket.storage.following(bucket.stream, bucket.subject(">"), after=after, limit=PAGE):
            snapshot.keep(bucket.entry(stored) for stored in batch)
            after = batch[-1].sequence
            if not batch[-1].pending:
                break
    except BaseException:
        snapshot.close()
        raise
    return snapshot
