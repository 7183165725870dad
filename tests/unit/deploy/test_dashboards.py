"""Dashboards ask for what there is, in words that are taken."""

from __future__ import annotations

import re
from itertools import combinations
from typing import Any

import pytest

from deploy.dashboards import FOLDER
from deploy.dashboards.catalogue import DASHBOARDS
from deploy.dashboards.grafana import rendered
from observability.promql import parse
from tests.support.dashboards import VARIABLES, DashboardQuery, dashboard_queries, dashboards
from tests.support.series_names import names_in, series_names

FILES = dashboards()


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.name)
def test_a_file_is_what_its_table_says(dashboard) -> None:
    assert (FOLDER / f"{dashboard.name}.json").read_text(encoding="utf-8") == rendered(dashboard), "make docs"


def test_there_is_no_file_without_a_table() -> None:
    assert sorted(FILES) == sorted(dashboard.name for dashboard in DASHBOARDS)


@pytest.mark.parametrize("query", list(dashboard_queries()), ids=str)
def test_a_query_is_taken_and_asks_for_series_that_there_are(query: DashboardQuery) -> None:
    assert parse(query.expression).text == query.expression
    assert names_in(query.expression) - series_names() == set()


@pytest.mark.parametrize("dashboard", FILES.values(), ids=FILES)
class TestFile:
    def test_the_data_source_is_a_variable_of_prometheus(self, dashboard: dict[str, Any]) -> None:
        source, *others = dashboard["templating"]["list"]
        asked = [panel["datasource"] for panel in dashboard["panels"] if panel["type"] != "row"]
        asked += [target["datasource"] for panel in dashboard["panels"] for target in panel.get("targets", ())]

        assert (source["type"], source["query"]) == ("datasource", "prometheus")
        assert all(each == {"type": "prometheus", "uid": "${datasource}"} for each in asked)
        assert all(each.get("datasource", source) in (source, asked[0]) for each in others)

    def test_variables_that_are_used_are_there(self, dashboard: dict[str, Any]) -> None:
        there = {variable["name"] for variable in dashboard["templating"]["list"]} | {"__rate_interval"}
        texts = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
        used = {name for text in texts for name in re.findall(r"\$\{?(\w+)", text)}

        assert used <= there
        assert there - {"datasource"} <= set(VARIABLES)

    def test_panels_have_names_ids_and_places_of_their_own(self, dashboard: dict[str, Any]) -> None:
        panels = dashboard["panels"]
        places = [panel["gridPos"] for panel in panels]

        assert len({panel["id"] for panel in panels}) == len(panels)
        assert all(panel["title"] for panel in panels)
        assert all(place["x"] + place["w"] <= 24 for place in places)
        assert [pair for pair in combinations(places, 2) if _overlap(*pair)] == []


def _overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    return all(
        one[start] < other[start] + other[size] and other[start] < one[start] + one[size]
        for start, size in (("x", "w"), ("y", "h"))
    )


def test_uids_are_told_apart() -> None:
    assert len({dashboard["uid"] for dashboard in FILES.values()}) == len(FILES)
