"""What lies in the index, read past everything that could hide it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import lancedb

from workers.indexing.lance import TABLE

COLUMNS = ["chunk_id", "document_id", "generation", "ordinal", "text"]


@dataclass(frozen=True, kw_only=True)
class IndexRows:
    """All rows: how many per (document, generation), which chunk ids are there more than once, which texts."""

    per_generation: Counter[tuple[str, str]] = field(default_factory=Counter)
    repeated_ids: int = 0
    texts: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    """By document: (ordinal, text) of each row, in order."""


async def read_rows(path: Path) -> IndexRows:
    """A snapshot of the whole table; an index that was never opened has no rows."""
    with await lancedb.connect_async(str(path), read_consistency_interval=timedelta(0)) as connection:
        if TABLE not in (await connection.list_tables()).tables:
            return IndexRows()
        with await connection.open_table(TABLE) as table:
            rows: list[dict[str, Any]] = (await table.query().select(COLUMNS).to_arrow()).to_pylist()
    ids = Counter(row["chunk_id"] for row in rows)
    texts: dict[str, list[tuple[int, str]]] = {}
    for row in rows:
        texts.setdefault(row["document_id"], []).append((row["ordinal"], row["text"]))
    return IndexRows(
        per_generation=Counter((row["document_id"], row["generation"]) for row in rows),
        repeated_ids=sum(count - 1 for count in ids.values()),
        texts={document_id: sorted(found) for document_id, found in texts.items()},
    )
