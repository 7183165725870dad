"""The gateway's own table of documents, for lists: reading all keys of the ledger takes seconds, this takes none.

It is a projection that can be thrown away: a private temporary SQLite database, filled from the ledger at start. So it
can never disagree with a broker whose store was replaced, and its memory is bounded by SQLite's page cache.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from contracts.documents import DocumentState
from gateway import problems, usage
from gateway.schemas import DocumentView
from gateway.tenant_schemas import Usage
from messaging.ledger import Change

T = TypeVar("T")

_PAGE_CACHE_KIB = 8 * 1024
_SCHEMA = f"""
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -{_PAGE_CACHE_KIB};
CREATE TABLE documents (
    tenant TEXT NOT NULL, document_id TEXT NOT NULL, revision INTEGER NOT NULL,
    state TEXT NOT NULL, submitted_at REAL NOT NULL, view TEXT NOT NULL,
    PRIMARY KEY (tenant, document_id)
) WITHOUT ROWID;
CREATE INDEX by_time ON documents (tenant, submitted_at DESC, document_id);
CREATE INDEX by_state ON documents (tenant, state, submitted_at DESC, document_id);
{usage.SCHEMA}
"""
_UPSERT = """
INSERT INTO documents VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (tenant, document_id) DO UPDATE SET
    revision = excluded.revision, state = excluded.state,
    submitted_at = excluded.submitted_at, view = excluded.view
WHERE excluded.revision > revision
"""


@dataclass(frozen=True)
class Page:
    """Documents as JSON texts, newest first, and the cursor of the next page."""

    items: list[str]
    next: str | None


class ReadModel:
    """Documents by tenant and state. All work is done in its one thread; close it when done."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="readmodel")
        self._database = self._thread.submit(_open).result()

    async def apply(self, changes: Sequence[Change]) -> None:
        """Store what is newer than what is there; the order of calls does not matter."""
        await self._run(lambda: self._apply(changes))

    async def clear(self) -> None:
        await self._run(self._clear)

    async def page(
        self, tenant: str, *, states: Sequence[DocumentState] = (), limit: int, cursor: str | None = None
    ) -> Page:
        """Up to `limit` documents after `cursor`; without `states` all but the deleted ones.

        Raises a 422 problem for a cursor that no page has handed out.
        """
        after = _read_cursor(cursor) if cursor is not None else None
        return await self._run(lambda: self._page(tenant, states, limit, after))

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
            self._database.executemany(_UPSERT, [_row(change) for change in changes])

    def _clear(self) -> None:
        with self._database:
            self._database.execute("DELETE FROM documents")

    def _page(self, tenant: str, states: Sequence[DocumentState], limit: int, after: tuple[float, str] | None) -> Page:
        where, values = _condition(tenant, states, after)
        rows = self._database.execute(
            # Only fixed text and question marks: the values are bound.
            f"SELECT view, submitted_at, document_id FROM documents WHERE {where} "  # noqa: S608
            "ORDER BY submitted_at DESC, document_id LIMIT ?",
            (*values, limit + 1),
        ).fetchall()
        following = _write_cursor(rows[limit - 1][1], rows[limit - 1][2]) if len(rows) > limit else None
        return Page(items=[row[0] for row in rows[:limit]], next=following)


def _open() -> sqlite3.Connection:
    """A database that only this connection sees: in memory while small, in a deleted file when it grows."""
    database = sqlite3.connect("")
    database.executescript(_SCHEMA)
    return database


def _row(change: Change) -> tuple[str, str, int, str, float, str]:
    record = change.record
    view = DocumentView.of(record).model_dump_json()
    submitted_at = record.latest.submitted_at.timestamp()
    return record.tenant, record.document_id, change.revision, record.state.value, submitted_at, view


def _condition(
    tenant: str, states: Sequence[DocumentState], after: tuple[float, str] | None
) -> tuple[str, list[str | float]]:
    wanted = list(states) or [state for state in DocumentState if state is not DocumentState.DELETED]
    where = f"tenant = ? AND state IN ({', '.join('?' * len(wanted))})"
    values: list[str | float] = [tenant, *(state.value for state in wanted)]
    if after is not None:
        where += " AND (submitted_at < ? OR (submitted_at = ? AND document_id > ?))"
        values += [after[0], after[0], after[1]]
    return where, values


def _write_cursor(submitted_at: float, document_id: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([submitted_at, document_id]).encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> tuple[float, str]:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        submitted_at, document_id = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        str(document_id).encode()  # raises for a lone surrogate, which the database would refuse
        return float(submitted_at), str(document_id)
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise problems.invalid("This cursor is not one of ours; pass `next` of a list exactly as it came.") from None
