"""Filters of a search as Weaviate's filter objects. Every value is an argument, none becomes part of a query text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from weaviate.classes.query import Filter
from weaviate.collections.classes.filters import FilterReturn

from contracts.queries import Filters
from workers.indexing.base import Visible
from workers.indexing.filter_tags import tag_groups

END_OF_TAG = "|"
"""Weaviate trims white space at the ends of a value; a tag that ends with this keeps what is before it."""


def stored_tag(tag: str) -> str:
    """A tag as it is stored and looked for."""
    return tag + END_OF_TAG


def source(document_id: str, generation: str) -> str:
    """A document's generation as one value. Neither part can hold the slash."""
    return f"{document_id}/{generation}"


def can_match(filters: Filters) -> bool:
    """Whether any row can satisfy `filters`: a condition without values is never true."""
    return all(tag_groups(filters))


def of_generation(document_id: str, generation: str) -> FilterReturn:
    return Filter.by_property("source").equal(source(document_id, generation))


def of_texts(document_id: str, digests: Sequence[str]) -> FilterReturn:
    """A document's rows with one of these texts."""
    document = Filter.by_property("document_id").equal(document_id)
    return document & Filter.by_property("text_digest").contains_any(list(digests))


def of_search(tenant: str, filters: Filters, visible: Visible | None) -> FilterReturn:
    """The rows that a search may return. Only for filters that `can_match`.

    The tenant is named although its shard holds nothing else: with a condition the engine compares vectors one by one
    while they are few enough, without any it follows its graph, which misses some.
    """
    parts = [Filter.by_property("tenant").equal(tenant), *any_tags(tag_groups(filters))]
    if filters.document_ids:
        parts.append(Filter.by_property("document_id").contains_any(list(filters.document_ids)))
    if visible is not None and visible.generations:
        parts.append(_visible(visible))
    return _all(parts)


def any_tags(groups: Iterable[Sequence[str]]) -> list[FilterReturn]:
    """A condition for each group: the row has any of its tags."""
    return [Filter.by_property("tags").contains_any([stored_tag(tag) for tag in group]) for group in groups]


def _visible(visible: Visible) -> FilterReturn:
    """Of named documents the generation that is named with them; all others as they are.

    Spelled out document by document, since servers before 1.33 know no negation of a condition.
    """
    named = sorted({document_id for document_id, _ in visible.generations})
    pairs = sorted((document, generation) for document, generation in visible.generations if generation is not None)
    others = _all([Filter.by_property("document_id").not_equal(document_id) for document_id in named])
    if not pairs:
        return others
    return others | Filter.by_property("source").contains_any([source(*pair) for pair in pairs])


def _all(parts: list[FilterReturn]) -> FilterReturn:
    return parts[0] if len(parts) == 1 else Filter.all_of(parts)
