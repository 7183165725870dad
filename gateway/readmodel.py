"""The gateway's own table of documents, for lists: reading all keys of the ledger takes seconds, this takes none.

It is a projection that can be thrown away: a private temporary SQLite database, filled from the ledger at start. So it
can never disagree with a broker whose store was replaced, and its memory is bounded by SQLite's page cache.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, TypeVar

from contracts.documents import DocumentState
from gateway import usage
from gateway.schemas import DocumentView
from gateway.selection import Selection
from gateway.tenant_schemas import Usage
from messaging.ledger import Change

T = TypeVar("T")
Tag = tuple[str, str, str, str, float, str]

_PAGE_CACHE_KIB = 8 * 1024
_SCHEMA: Final = f"""
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -{_PAGE_CACHE_KIB};
CREATE TABLE documents (
    tenant TEXT NOT NULL, document_id TEXT NOT NULL, revision INTEGER NOT NULL,
    state TEXT NOT NULL, submitted_at REAL NOT NULL, name TEXT NOT NULL, view TEXT NOT NULL,
    PRIMARY KEY (tenant, document_id)
) WITHOUT ROWID;
CREATE INDEX by_state ON documents (tenant, state, submitted_at DESC, document_id);
CREATE INDEX by_name ON documents (tenant, state, name, document_id);
CREATE TABLE tags (
    tenant TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,
    state TEXT NOT NULL, submitted_at REAL NOT NULL, document_id TEXT NOT NULL,
    PRIMARY KEY (tenant, key, value, state, submitted_at DESC, document_id)
) WITHOUT ROWID;
{usage.SCHEMA}
"""
_KNOWN: Final = "SELECT revision, state, submitted_at, view FROM documents WHERE tenant = ? AND document_id = ?"
_WRITE: Final = """
INSERT INTO documents VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (tenant, document_id) DO UPDATE SET
    revision = excluded.revision, state = excluded.state, submitted_at = excluded.submitted_at,
    name = excluded.name, view = excluded.view
"""
_TAG: Final = "INSERT INTO tags VALUES (?, ?, ?, ?, ?, ?)"
_UNTAG: Final = (
    "DELETE FROM tags WHERE tenant = ? AND key = ? AND value = ? AND state = ? AND submitted_at = ? AND document_id = ?"
)


@dataclass(frozen=True)
class Page:
    """Documents as JSON texts, and the cursor of the next page."""

    items: list[str]
    next: str | None


class ReadModel:
    """Documents by tenant, state, name and metadata. All work is done in its one thread; close it when done."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="readmodel")
        self._database = self._thread.submit(_open).result()

    async def apply(self, changes: Sequence[Change]) -> None:
        """Store what is newer than what is there; the order of calls does not matter."""
        await self._run(lambda: self._apply(changes))

    async def clear(self) -> None:
        await self._run(self._clear)

    async def page(self, tenant: str, wanted: Selection, *, limit: int, cursor: str | None = None) -> Page:
        """Up to `limit` documents after `cursor`. Raises a 422 problem for a cursor that no page of that order has handed out."""
        sql, values = wanted.statement(tenant, limit=limit + 1, cursor=cursor)
        rows = await self._run(lambda: self._database.execute(sql, values).fetchall())
        following = wanted.cursor_after(rows[limit - 1]) if len(rows) > limit else None
        return Page(items=[row[0] for row in rows[:limit]], next=following)

    async def plan(self, tenant: str, wanted: Selection, *, cursor: str | None = None) -> list[str]:
        """How SQLite reads such a page."""
        sql, values = wanted.statement(tenant, limit=1, cursor=cursor)
        rows = await self._run(lambda: self._database.execute(f"EXPLAIN QUERY PLAN {sql}", values).fetchall())
        return [row[3] for row in rows]

    async def usage(self, tenant: str | None = None) -> dict[str, Usage]:
        """What each tenant has, or one."""
        return await self._run(lambda: usage.usage_in(self._database, tenant))

    async def has(self, tenant: str, document_id: str) -> bool:
        """Whether there is a document that is not deleted."""
        query = "SELECT 1 FROM documents WHERE tenant = ? AND document_id = ? AND state <> ?"
        values = (tenant, document_id, DocumentState.DELETED.value)
        return await self._run(lambda: self._database.execute(query, values).fetchone() is not None)

    async def count(self) -> int:
        return int(await self._run(lambda: self._database.execute("SELECT count(*) FROM documents").fetchone()[0]))

    async def close(self) -> None:
        await self._run(self._database.close)
        self._thread.shutdown(wait=False)

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _apply(self, changes: Sequence[Change]) -> None:
        with self._database:
            for change in changes:
                self._store(change)

    def _store(self, change: Change) -> None:
        record = change.record
        known = self._database.execute(_KNOWN, (record.tenant, record.document_id)).fetchone()
        if known is not None and known[0] >= change.revision:
            return
        row = _row(change)
        self._database.execute(_WRITE, row)
        before = set() if known is None else _tags(record.tenant, record.document_id, *known[1:])
        after = _tags(record.tenant, record.document_id, row[3], row[4], row[6])
        self._database.executemany(_UNTAG, before - after)
        self._database.executemany(_TAG, after - before)

    def _clear(self) -> None:
        with self._database:
            self._database.execute("DELETE FROM documents")
            self._database.execute("DELETE FROM tags")


def _open() -> sqlite3.Connection:
    """A database that only this connection sees: in memory while small, in a deleted file when it grows."""
    database = sqlite3.connect("")
    database.executescript(_SCHEMA)
    return database


def _row(change: Change) -> tuple[str, str, int, str, float, str, str]:
    record = change.record
    view = DocumentView.of(record).model_dump_json()
    latest = record.latest
    at = latest.submitted_at.timestamp()
    return record.tenant, record.document_id, change.revision, record.state.value, at, latest.name, view


def _tags(tenant: str, document_id: str, state: str, submitted_at: float, view: str) -> set[Tag]:
    """One for each pair of a document's metadata."""
    pairs: dict[str, str] = json.loads(view)["metadata"]
    return {(tenant, key, value, state, submitted_at, document_id) for key, value in pairs.items()}
