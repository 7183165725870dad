"""Filters as Weaviate's objects: values stay values."""

from __future__ import annotations

import pytest
from weaviate.collections.filters import _FilterToGRPC
from weaviate.proto.v1 import base_pb2

from contracts.queries import Condition, Filters
from tests.unit.indexing.rows import NASTY
from workers.indexing import weaviate_conditions as conditions
from workers.indexing.base import Visible


def sent(filters: Filters, visible: Visible | None = None) -> base_pb2.Filters:
    """The condition of a search as it goes over the wire."""
    return _FilterToGRPC.convert(conditions.of_search("acme", filters, visible))


def leaves(condition: base_pb2.Filters) -> list[base_pb2.Filters]:
    return [leaf for part in condition.filters for leaf in leaves(part)] or [condition]


def test_a_search_always_names_its_tenant() -> None:
    (only,) = leaves(sent(Filters()))
    assert (only.target.property, only.value_text) == ("tenant", "acme")


@pytest.mark.parametrize("value", NASTY)
def test_a_value_is_sent_whole_in_a_place_of_its_own(value: str) -> None:
    _, tags = leaves(sent(Filters(metadata={"key": Condition(any_of=(value, "other"))})))
    assert tags.target.property == "tags"
    assert list(tags.value_text_array.values) == [f"key={value}|", "key=other|"]


def test_each_group_is_a_condition_of_its_own() -> None:
    parts = conditions.any_tags([["a=1", "a=2"], ["b=1"]])
    assert [list(_FilterToGRPC.convert(part).value_text_array.values) for part in parts] == [["a=1|", "a=2|"], ["b=1|"]]


def test_a_condition_without_values_matches_nothing() -> None:
    assert not conditions.can_match(Filters(metadata={"lang": Condition(any_of=("en",)), "kind": Condition(any_of=())}))
    assert conditions.can_match(Filters(metadata={"lang": Condition(any_of=("en",))}))


def test_documents_without_a_visible_generation_are_only_left_out() -> None:
    condition = sent(Filters(), Visible(generations=frozenset({("gone", None)})))
    _, left_out = leaves(condition)
    assert left_out.operator == base_pb2.Filters.OPERATOR_NOT_EQUAL
    assert left_out.value_text == "gone"


def test_two_generations_never_read_the_same() -> None:
    assert conditions.source("a", "b") != conditions.source("a/b", "")
