"""What is logged and counted of each request."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, NumberDataPoint
from starlette.middleware import Middleware
from starlette.responses import Response
from structlog.testing import capture_logs

from contracts.api_keys import Scope
from gateway.access_log import AccessLog
from gateway.identity import Door, Identity
from gateway.metrics import RequestMetrics
from messaging.activity import Activity

SECRET = "wk_aaaaaaaaaaaaaaaa_" + "s" * 43
SOMEBODY = Identity(tenant="acme", principal="key:k1", scopes=frozenset(Scope), key="k1")


class Porter:
    async def admit(self, shown: str) -> Identity | None:
        return SOMEBODY if shown == SECRET else None


@pytest.fixture
def reader() -> InMemoryMetricReader:
    return InMemoryMetricReader()


@pytest.fixture
def app(reader: InMemoryMetricReader) -> FastAPI:
    meter = MeterProvider(metric_readers=[reader]).get_meter("test")
    made = FastAPI(
        middleware=[
            Middleware(AccessLog),
            Middleware(RequestMetrics, meter=meter, activity=Activity()),
            Middleware(Door, porter=Porter()),
        ]
    )

    @made.post("/v1/things/{thing}")
    async def answer(request: Request, thing: str) -> Response:
        await request.body()
        if thing == "bug":
            raise ZeroDivisionError
        return Response(b"x" * 10, int(thing))

    @made.get("/health/live")
    async def live() -> Response:
        return Response(b"")

    return made


async def asked(app: FastAPI, thing: str, *, key: str = SECRET) -> list[dict[str, Any]]:
    """The lines about one request."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=("192.0.2.7", 4711))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        with capture_logs() as lines:
            await http.post(
                f"/v1/things/{thing}?question=whose", content=b"12345", headers={"Authorization": f"Bearer {key}"}
            )
    return [dict(line) for line in lines if line["event"] == "request"]


async def test_a_request_is_one_line_that_says_who_what_and_how_much(app: FastAPI) -> None:
    (line,) = await asked(app, "201")

    assert line.pop("duration_ms") > 0
    assert line == {
        "event": "request",
        "log_level": "info",
        "method": "POST",
        "route": "/v1/things/{thing}",
        "status": 201,
        "bytes_in": 5,
        "bytes_out": 10,
        "client": "192.0.2.7",
        "principal": "key:k1",
        "key": "k1",
        "tenant": "acme",
    }


async def test_neither_paths_nor_parameters_nor_secrets_are_in_it(app: FastAPI) -> None:
    text = str(await asked(app, "299"))

    assert not [each for each in ("299?", "question", "whose", SECRET, "s" * 43, "things/299") if each in text]


async def test_who_is_refused_at_the_door_is_logged_without_a_name(app: FastAPI) -> None:
    (line,) = await asked(app, "200", key="another")

    assert (line["status"], line["principal"], line["tenant"], line["route"]) == (401, None, None, "unmatched")


async def test_a_bug_is_logged_as_the_500_that_its_asker_gets(app: FastAPI) -> None:
    (line,) = await asked(app, "bug")

    assert line["status"] == 500


async def test_probes_are_told_where_people_look_closely(app: FastAPI) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as http:
        with capture_logs() as lines:
            await http.get("/health/live")

    assert [line["log_level"] for line in lines if line["event"] == "request"] == ["debug"]


@pytest.mark.parametrize(
    ("thing", "outcome"),
    [
        ("200", "ok"), ("202", "ok"), ("404", "client_error"), ("422", "client_error"), ("429", "limited"), ("403", "refused"),
        ("503", "failed"), ("bug", "failed"),
    ],
)  # fmt: skip
async def test_requests_are_counted_by_route_and_what_came_of_them(
    app: FastAPI, reader: InMemoryMetricReader, thing: str, outcome: str
) -> None:
    await asked(app, thing)

    data = reader.get_metrics_data()
    assert data is not None
    points = [
        (dict(point.attributes or {}), point.value)
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == "waggle.gateway.requests"
        for point in metric.data.data_points
        if isinstance(point, NumberDataPoint)
    ]
    assert points == [({"http.route": "/v1/things/{thing}", "waggle.outcome": outcome}, 1)]
