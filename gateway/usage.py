"""What each tenant has, kept by triggers on the table of documents: nobody has to count 100,000 rows for one upload."""

from __future__ import annotations

import sqlite3
from typing import Final

from contracts.documents import DocumentState
from gateway.tenant_schemas import Usage


def _trigger(event: str, *steps: str) -> str:
    return "\n".join((f"CREATE TRIGGER counted_{event.lower()} AFTER {event} ON documents BEGIN", *steps, "END;"))


def _step(row: str, sign: int) -> str:
    is_kept = f"({row}.state <> '{DocumentState.DELETED.value}')"
    is_waiting = f"({row}.state = '{DocumentState.SUBMITTED.value}')"
    size = f"json_extract({row}.view, '$.size_bytes')"
    return (
        f"INSERT INTO usage VALUES ({row}.tenant, {sign} * {is_kept}, {sign} * {is_kept} * {size}, {sign} * {is_waiting}) "  # noqa: S608
        "ON CONFLICT (tenant) DO UPDATE SET documents = documents + excluded.documents, "
        "bytes = bytes + excluded.bytes, waiting = waiting + excluded.waiting;"
    )


SCHEMA: Final = "\n".join(
    (
        "CREATE TABLE usage (tenant TEXT PRIMARY KEY, documents INTEGER NOT NULL, bytes INTEGER NOT NULL,",
        "waiting INTEGER NOT NULL) WITHOUT ROWID;",
        _trigger("INSERT", _step("NEW", 1)),
        _trigger("UPDATE", _step("OLD", -1), _step("NEW", 1)),
        _trigger("DELETE", _step("OLD", -1)),
    )
)
"""Beside a table `documents` with columns `tenant`, `state` and `view`, the JSON of a `DocumentView`."""


def usage_in(database: sqlite3.Connection, tenant: str | None) -> dict[str, Usage]:
    """What each tenant has that has something, or only one."""
    rows = database.execute(
        "SELECT tenant, documents, bytes, waiting FROM usage WHERE (documents > 0 OR waiting > 0) AND tenant = ifnull(?, tenant)",
        (tenant,),
    )
    return {name: Usage(documents=documents, bytes=size, waiting=waiting) for name, documents, size, waiting in rows}
