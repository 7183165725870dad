"""What fails because of what."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from observability.dependencies import DependencyGraph

CHAIN = DependencyGraph({"gateway": ["retrieve"], "retrieve": ["index", "encoder"], "embed": ["index", "encoder"]})
NAMES = st.sampled_from("abcdef")
GRAPHS = st.dictionaries(NAMES, st.frozensets(NAMES))


def test_what_is_only_needed_is_a_component_too() -> None:
    assert CHAIN.components == ("embed", "encoder", "gateway", "index", "retrieve")
    assert (CHAIN.needs("retrieve"), CHAIN.needs("index"), CHAIN.needs("nothing")) == (("encoder", "index"), (), ())
    assert CHAIN.needed_by("index") == ("embed", "retrieve")


def test_the_root_is_what_fails_without_a_failing_need() -> None:
    assert CHAIN.roots({"gateway", "retrieve", "index"}) == {"index"}


def test_a_need_that_does_not_fail_itself_leads_on_to_one_that_does() -> None:
    """The service between them may not have noticed yet."""
    assert CHAIN.roots({"gateway", "index"}) == {"index"}


def test_two_that_fail_for_themselves_are_both_roots() -> None:
    assert CHAIN.roots({"encoder", "index", "embed"}) == {"encoder", "index"}


def test_whoever_needs_a_root_suffers_from_it() -> None:
    assert CHAIN.impacted({"index"}) == {
        "embed": frozenset({"index"}),
        "gateway": frozenset({"index"}),
        "retrieve": frozenset({"index"}),
    }


def test_nothing_suffers_from_what_nobody_needs() -> None:
    assert CHAIN.impacted({"gateway"}) == {}


def test_a_victim_is_told_all_its_roots() -> None:
    assert CHAIN.impacted({"index", "encoder", "retrieve"})["retrieve"] == {"index", "encoder"}


def test_what_is_not_in_the_graph_fails_for_itself() -> None:
    assert CHAIN.roots({"host"}) == {"host"}


@pytest.mark.parametrize(
    ("needs", "failing", "roots"),
    [
        ({"a": ["b"], "b": ["a"]}, {"a", "b"}, {"a", "b"}),
        ({"a": ["a"]}, {"a"}, {"a"}),
        ({"a": ["b"], "b": ["a", "c"]}, {"a", "b", "c"}, {"c"}),
        ({"x": ["a"], "a": ["b"], "b": ["a"]}, {"x", "a", "b"}, {"a", "b"}),
    ],
)
def test_those_that_need_each_other_in_a_circle_stand_for_one_another(
    needs: Mapping[str, list[str]], failing: set[str], roots: set[str]
) -> None:
    assert DependencyGraph(needs).roots(failing) == roots


@given(GRAPHS, st.frozensets(NAMES, min_size=1))
def test_there_always_is_a_root_and_every_other_failing_one_suffers_from_some(
    needs: dict[str, frozenset[str]], failing: frozenset[str]
) -> None:
    graph = DependencyGraph(needs)
    roots, impacted = graph.roots(failing), graph.impacted(failing)
    assert roots
    assert roots <= failing
    assert failing - roots <= impacted.keys()
    assert not roots & impacted.keys()


def test_another_name_stands_for_a_component_unless_one_has_it() -> None:
    graph = DependencyGraph({"generate": []}, aliases={"generate-stable": "generate", "generate": "gateway"})
    assert (graph.named("generate-stable"), graph.named("generate"), graph.named("host")) == (
        "generate",
        "generate",
        "host",
    )
