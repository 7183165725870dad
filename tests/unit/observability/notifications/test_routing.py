"""Matchers and the route tree: who is told of an alert."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.silences import LabelMatcher, MatchOperator
from observability.notifications.configuration import parse_config
from observability.notifications.matchers import Matchers, parse_matcher
from observability.notifications.routing import Route, route_tree

RELAXED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A busy machine may take its time."""

TREE = """
route:
  receiver: a
  group_by: [alertname]
  group_wait: 1m
  routes:
    - {matchers: ['team="search"'], receiver: b, continue: true, group_by: ['...']}
    - matchers: ['severity=~"critical|page"']
      receiver: c
      routes:
        - {matchers: ['service="embed"'], receiver: d, group_wait: 0s}
        - {matchers: ['service="embed"'], receiver: e}
    - {matchers: ['team!="search"', 'quiet="yes"'], receiver: nobody}
receivers: [{name: a}, {name: b}, {name: c}, {name: d}, {name: e}, {name: nobody}]
"""


@pytest.fixture
def tree() -> Route:
    return route_tree(parse_config(TREE))


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        ({}, "a"),
        ({"team": "search"}, "b"),
        ({"team": "search", "severity": "critical"}, "b c"),
        ({"severity": "page"}, "c"),
        ({"severity": "pager"}, "a"),
        ({"severity": "critical", "service": "embed"}, "d"),
        ({"quiet": "yes"}, "nobody"),
        ({"quiet": "yes", "team": "search"}, "b"),
    ],
)
def test_the_deepest_branch_on_the_first_way_takes_an_alert(
    tree: Route, labels: dict[str, str], receivers: str
) -> None:
    assert [route.receiver.name for route in tree.matching(labels)] == receivers.split()


def test_a_branch_inherits_what_it_does_not_say(tree: Route) -> None:
    (route,) = tree.matching({"severity": "critical", "service": "embed"})

    assert route.group_by == ("alertname",)
    assert route.group_wait.total_seconds() == 0


def test_groups_are_named_by_route_and_labels(tree: Route) -> None:
    labels = {"alertname": 'a"b', "severity": "critical"}
    (route,) = tree.matching(labels)

    assert route.group_key(route.group_labels(labels)) == r'{}/{severity=~"critical|page"}:{alertname="a\"b"}'


def test_grouping_by_everything_takes_all_labels(tree: Route) -> None:
    route = tree.matching({"team": "search", "x": "y"})[0]

    assert route.group_labels({"team": "search", "x": "y"}) == {"team": "search", "x": "y"}


def test_every_branch_has_a_path_of_its_own(tree: Route) -> None:
    paths = [route.path for route in tree.every()]

    assert len(set(paths)) == len(paths)


class TestMatchers:
    @pytest.mark.parametrize(
        ("text", "value", "met"),
        [
            ('a="x"', "x", True),
            ("a=x", "x", True),
            (" a = x ", "x", True),
            ('a!="x"', "x", False),
            ('a=~"x|y"', "y", True),
            ('a=~"x"', "xx", False),  # the whole value
            ('a!~"x.*"', "xyz", False),
            ('a=""', "", True),
            ('a=~".+"', "", False),
            ('a!="x"', "", True),
            (r'a="q\"q\\n\n"', 'q"q\\n\n', True),
            ('a="=~{,}"', "=~{,}", True),
            ("a=中文", "中文", True),
        ],
    )
    def test_are_read_and_met_as_alertmanagers(self, text: str, value: str, met: bool) -> None:
        assert Matchers.parse([text]).accept({"a": value} if value else {}) is met

    @pytest.mark.parametrize(
        "text", ["", "a", "=x", "a==x" + '"', 'a="x', 'a=x"', 'a="x"y', "a-b=x", "1a=x", 'a=~"("', "a~x", 'a=~"(?=x)"']
    )
    def test_what_is_none_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"\S"):
            parse_matcher(text)

    def test_an_expression_that_would_take_for_ever_elsewhere_is_answered(self) -> None:
        assert not Matchers.parse(['a=~"(x+x+)+y"']).accept({"a": "x" * 1000})

    @RELAXED
    @given(
        st.builds(
            LabelMatcher,
            name=st.just("a"),
            operator=st.sampled_from([MatchOperator.EQUAL, MatchOperator.NOT_EQUAL]),
            value=st.text(max_size=20),
        )
    )
    def test_are_read_as_they_are_written(self, matcher: LabelMatcher) -> None:
        assert parse_matcher(str(matcher)) == matcher
