"""Which documents a list is of, and in which order, as a statement for the read model's table.

Each state is read from an index of its own, up to a page of it, and the pages are merged: no list is sorted whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from contracts.documents import DocumentState
from gateway.paging import cursor_at, name_of, place_of

Value = str | float | int
_LAST_CHARACTER: Final = "\U0010ffff"
_LIVING: Final = tuple(state for state in DocumentState if state is not DocumentState.DELETED)
_TAGGED: Final = (
    "EXISTS (SELECT 1 FROM tags t WHERE t.tenant = d.tenant AND t.key = ? AND t.value = ? AND t.state = d.state "
    "AND t.submitted_at = d.submitted_at AND t.document_id = d.document_id)"
)


@dataclass(frozen=True, kw_only=True)
class Selection:
    """All given conditions hold; without `states` all documents but the deleted ones. With a `name_prefix` they come in the order
    of their names, else the newest submission first.
    """

    states: Sequence[DocumentState] = ()
    name_prefix: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    since: datetime | None = None
    until: datetime | None = None

    @property
    def by_name(self) -> bool:
        return self.name_prefix is not None

    def cursor_after(self, row: tuple[str, Value, str]) -> str:
        """The cursor of what follows after a row of `statement`."""
        placed = row[1] if isinstance(row[1], str) else float(row[1])
        return cursor_at((placed, row[2]))

    def statement(self, tenant: str, *, limit: int, cursor: str | None) -> tuple[str, list[Value]]:
        """SQL that gives (view, what it is ordered by, document id), and its values. Raises a 422 problem for a cursor that no
        page of this order has handed out.
        """
        branches: list[str] = []
        values: list[Value] = []
        for state in dict.fromkeys(self.states or _LIVING):
            branch, wanted = self._of_state(tenant, state, cursor)
            branches.append(f"SELECT * FROM ({branch} LIMIT ?)")  # noqa: S608 (fixed text and question marks)
            values += [*wanted, limit]
        order = "placed, document_id" if self.by_name else "placed DESC, document_id"
        return f"{' UNION ALL '.join(branches)} ORDER BY {order} LIMIT ?", [*values, limit]

    def _of_state(self, tenant: str, state: DocumentState, cursor: str | None) -> tuple[str, list[Value]]:
        source = self._source()
        where = _Conditions()
        where.add(f"{source.first}.tenant = ? AND {source.first}.state = ?", tenant, state.value)
        tags = list(self.metadata.items())
        if source.first == "g":
            where.add("g.key = ? AND g.value = ?", *tags.pop(0))
        self._bound(source, where)
        if cursor is not None:
            self._follow(cursor, source, where)
        for pair in tags:
            where.add(_TAGGED, *pair)
        # Only fixed text and question marks: the values are bound.
        sql = f"SELECT d.view, {source.placed} AS placed, {source.document_id} AS document_id FROM {source.tables}"  # noqa: S608
        order = f"{source.placed}{'' if self.by_name else ' DESC'}, {source.document_id}"
        return f"{sql} WHERE {where.text} ORDER BY {order}", where.values

    def _source(self) -> _Source:
        if self.by_name:
            return _Source(tables="documents d INDEXED BY by_name", first="d", placed="d.name")
        if self.metadata:
            return _Source(
                tables="tags g CROSS JOIN documents d USING (tenant, document_id)", first="g", placed="g.submitted_at"
            )
        return _Source(tables="documents d INDEXED BY by_state", first="d", placed="d.submitted_at")

    def _bound(self, source: _Source, where: _Conditions) -> None:
        if self.name_prefix is not None:
            where.add("d.name >= ? AND d.name < ?", self.name_prefix, self.name_prefix + _LAST_CHARACTER)
        if self.since is not None:
            where.add(f"{source.first}.submitted_at >= ?", self.since.timestamp())
        if self.until is not None:
            where.add(f"{source.first}.submitted_at < ?", self.until.timestamp())

    def _follow(self, cursor: str, source: _Source, where: _Conditions) -> None:
        """A range of the index first, then what of the same place was seen already."""
        place: Value
        place, seen = name_of(cursor) if self.by_name else place_of(cursor)
        after = ">" if self.by_name else "<"
        placed = source.placed
        where.add(f"{placed} {after}= ? AND ({placed} {after} ? OR {source.document_id} > ?)", place, place, seen)


@dataclass(frozen=True, kw_only=True)
class _Source:
    """What is read in order: `first` is the table whose index is walked, `placed` the column that orders it."""

    tables: str
    first: str
    placed: str

    @property
    def document_id(self) -> str:
        return f"{self.first}.document_id"


class _Conditions:
    def __init__(self) -> None:
        self._texts: list[str] = []
        self.values: list[Value] = []

    def add(self, text: str, *values: Value) -> None:
        self._texts.append(text)
        self.values += values

    @property
    def text(self) -> str:
        return " AND ".join(self._texts)
