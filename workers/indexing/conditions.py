"""Filters of a search as SQL conditions. Every value is quoted here and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable

from contracts.queries import Filters
from workers.indexing.base import Visible
from workers.indexing.filter_tags import tag_groups


def quoted(value: str) -> str:
    """A string literal of standard SQL: only the quote has a meaning inside, and it is doubled."""
    return "'" + value.replace("'", "''") + "'"


def of_generation(tenant: str, document_id: str, generation: str) -> str:
    return f"{of_document(tenant, document_id)} AND generation = {quoted(generation)}"


def of_document(tenant: str, document_id: str) -> str:
    return f"tenant = {quoted(tenant)} AND document_id = {quoted(document_id)}"


def one_of(column: str, values: Iterable[str]) -> str:
    """`column` has one of `values`; none of them if there are none."""
    listed = ", ".join(quoted(value) for value in values)
    return f"{column} IN ({listed})" if listed else "false"


def of_search(tenant: str, filters: Filters, visible: Visible | None) -> str:
    """The rows that a search may return; always bound to the tenant."""
    parts = [f"tenant = {quoted(tenant)}"]
    if filters.document_ids:
        parts.append(one_of("document_id", filters.document_ids))
    parts += [_any_tag(group) for group in tag_groups(filters)]
    if visible is not None and visible.generations:
        parts.append(_visible(visible))
    return " AND ".join(parts)


def _any_tag(tags: Iterable[str]) -> str:
    listed = ", ".join(quoted(tag) for tag in tags)
    return f"array_has_any(tags, [{listed}])" if listed else "false"


def _visible(visible: Visible) -> str:
    named = sorted({document_id for document_id, _ in visible.generations})
    pairs = sorted((document, generation) for document, generation in visible.generations if generation is not None)
    exact = [
        f"(document_id = {quoted(document)} AND generation = {quoted(generation)})" for document, generation in pairs
    ]
    return "(" + " OR ".join([f"NOT ({one_of('document_id', named)})", *exact]) + ")"
