"""`waggle health` and `waggle graph`: what people and scripts are told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from pydantic import BaseModel

from cli.client import GatewayClient
from cli.health_tables import mermaid
from contracts.component_health import ComponentKind, DependenciesView, Dependency, HealthStatus
from tests.support.commands import Ran
from tests.support.leading_observers import CHANGES, DEPENDENCIES, HEALTH

Waggle = Callable[..., Ran]


class HealthyGateway:
    """Answers with what tests set, and remembers what it was asked."""

    def __init__(self) -> None:
        self.health = HEALTH
        self.graph = DEPENDENCIES
        self.asked: list[httpx.URL] = []

    def client(self) -> GatewayClient:
        return GatewayClient("http://gateway", transport=httpx.MockTransport(self._handle))

    def _handle(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url)
        answer: BaseModel = {"/v1/health": self.health, "/v1/dependencies": self.graph}[request.url.path]
        return httpx.Response(200, text=answer.model_dump_json())


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> HealthyGateway:
    made = HealthyGateway()
    monkeypatch.setattr("cli.health.gateway", made.client)
    return made


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (HealthStatus.HEALTHY, 0),
        (HealthStatus.DEGRADED, 0),
        (HealthStatus.UNHEALTHY, 1),
        (HealthStatus.UNKNOWN, 1),
    ],
)
def test_the_exit_code_says_whether_the_fleet_works(
    gateway: HealthyGateway, waggle: Waggle, status: HealthStatus, code: int
) -> None:
    gateway.health = HEALTH.model_copy(update={"status": status})
    assert waggle("health").code == code
    assert waggle("health", "--json").code == code


def test_components_are_shown_with_the_instances_that_are_the_reason(gateway: HealthyGateway, waggle: Waggle) -> None:
    out = waggle("health").out
    first, _, *rows = out.splitlines()
    assert first == "fleet: unhealthy (unhealthy: index)"
    retrieve, instance, index = rows
    assert retrieve.split()[:3] == ["retrieve", "service", "degraded"]
    assert "1 of 2 are ready; suffers from index" in retrieve
    assert instance.split()[:2] == ["retrieve-2", "unhealthy"]
    assert "5 s" in index
    assert gateway.asked[0].query == b""


def test_json_is_what_the_gateway_says(gateway: HealthyGateway, waggle: Waggle) -> None:
    assert waggle("health", "--json").json == HEALTH.model_dump(mode="json")
    assert waggle("graph", "--json").json == DEPENDENCIES.model_dump(mode="json")


def test_history_is_asked_for_as_far_back_as_it_is_said(gateway: HealthyGateway, waggle: Waggle) -> None:
    gateway.health = HEALTH.model_copy(update={"changes": CHANGES})
    out = waggle("health", "--history", "--since", "2h").out
    since = datetime.fromisoformat(gateway.asked[0].params["since"])
    assert abs(datetime.now(UTC) - since - timedelta(hours=2)) < timedelta(minutes=1)
    _, index, whole = out.splitlines()
    assert index.split()[-3:] == ["index", "healthy", "unhealthy"]
    assert whole.split()[-3:] == ["(all)", "healthy", "unhealthy"]
    gateway.health = HEALTH.model_copy(update={"changes": ()})
    assert waggle("health", "--history").out == "Nothing changed.\n"


def test_what_does_not_fit_together_is_refused(gateway: HealthyGateway, waggle: Waggle) -> None:
    assert waggle("health", "--since", "2h").code == 2
    assert waggle("health", "--history", "--since", "soon").code == 2
    assert waggle("graph", "--json", "--mermaid").code == 2
    assert gateway.asked == []


def test_the_graph_is_a_tree_with_what_is_needed_below(gateway: HealthyGateway, waggle: Waggle) -> None:
    assert waggle("graph").out.splitlines() == [
        "embed healthy",
        "└── index unhealthy",
        "retrieve degraded",
        "└── index unhealthy",
    ]


def item(name: str, *needs: str, needed_by: tuple[str, ...] = ()) -> Dependency:
    kind, status = ComponentKind.SERVICE, HealthStatus.HEALTHY
    return Dependency(component=name, kind=kind, status=status, needs=needs, needed_by=needed_by)


def test_what_was_unfolded_before_and_circles_are_shown_once(gateway: HealthyGateway, waggle: Waggle) -> None:
    gateway.graph = DependenciesView(
        items=(
            item("a", "b", needed_by=("b",)),
            item("b", "a", needed_by=("a",)),
            item("c", "d"),
            item("d", "e", needed_by=("c", "f")),
            item("e", needed_by=("d",)),
            item("f", "d"),
        )
    )
    assert waggle("graph").out.splitlines() == [
        "c healthy",
        "└── d healthy",
        "    └── e healthy",
        "f healthy",
        "└── d healthy …",
        "a healthy",
        "└── b healthy",
        "    └── a healthy …",
    ]


def test_mermaid_has_an_arrow_for_each_need_and_takes_any_name() -> None:
    lines = mermaid(DependenciesView(items=(item('odd "name"', "x-y"), item("x-y")))).splitlines()
    assert lines[:4] == [
        "graph TD",
        '  c_odd_20__22_name_22_["odd #quot;name#quot;"]:::healthy',
        "  c_odd_20__22_name_22_ --> c_x_2d_y",
        '  c_x_2d_y["x-y"]:::healthy',
    ]
