"""The observer's series over HTTP, as a real Prometheus client reads them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from contracts.metrics import MetricKind
from contracts.observing import RequestKind
from messaging.broker import Broker
from messaging.observing import Answer
from observability.metadata import MetricMetadata
from tests.support import promtool
from tests.support.gateways import Gateway
from tests.support.leading_observers import Observer, leading
from tests.support.waiting import until

API = "/v1/prometheus/api/v1"
NOW = datetime.now(UTC).replace(microsecond=0)
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
async def observer(broker: Broker) -> AsyncIterator[Observer]:
    made = Observer()
    made.add("waggle_up", [1] * 20, end=NOW, service="embed", instance="embed-1")
    made.add("waggle_up", [1] * 10 + [0] * 10, end=NOW, service="embed", instance="embed-2")
    made.add("waggle_queries_total", range(0, 600, 30), end=NOW, outcome="answered")
    async with leading(broker, made):
        made.metadata["waggle_up"] = MetricMetadata(MetricKind.GAUGE, "Whether it lives.")
        yield made


async def test_promtool_reads_series_labels_and_values(gateway: Gateway, observer: Observer):
    server = f"{gateway.url}/v1/prometheus"
    start, end = str((NOW - timedelta(seconds=60)).timestamp()), str(NOW.timestamp())

    async def told(*arguments: str) -> str:
        ran = await asyncio.to_thread(promtool.run, "query", *arguments)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    instant = json.loads(await told("instant", "-o", "json", "--time", end, server, "sum by (service) (waggle_up)"))
    assert [(s["metric"], float(s["value"][1])) for s in instant] == [({"service": "embed"}, 1.0)]
    ranged = await told(
        "range", "-o", "json", "--start", start, "--end", end, "--step", "30s", server, "rate(waggle_queries_total[1m])"
    )
    (series,) = json.loads(ranged)
    assert series["metric"] == {"outcome": "answered"}
    assert [float(value) for _, value in series["values"]] == pytest.approx([2.0] * 3)
    listed = await told("series", "--match", 'waggle_up{instance=~".*2"}', "--start", start, "--end", end, server)
    assert "embed-2" in listed
    assert "embed-1" not in listed
    assert (await told("labels", server, "instance")).split() == ["embed-1", "embed-2"]
    refused = await asyncio.to_thread(promtool.run, "query", "instant", server, "sum(")
    assert refused.returncode != 0
    assert "bad_data" in refused.stderr


async def get(gateway: Gateway, path: str, **parameters: Any) -> tuple[int, Any]:
    response = await gateway.http.get(API + path, params=parameters)
    return response.status_code, response.json()


async def test_parameters_come_in_the_address_or_in_a_form(gateway: Gateway, observer: Observer):
    at = str(NOW.timestamp())
    expected = (await gateway.http.get(f"{API}/query", params={"query": "waggle_up == 0", "time": at})).json()
    assert [s["metric"]["instance"] for s in expected["data"]["result"]] == ["embed-2"]
    posted = await gateway.http.post(f"{API}/query", data={"query": "waggle_up == 0", "time": at})
    mixed = await gateway.http.post(f"{API}/query?time={at}", data={"query": "waggle_up == 0"})
    assert (posted.json(), mixed.json()) == (expected, expected)
    several = await gateway.http.post(
        f"{API}/series", data={"match[]": ["waggle_queries_total", 'waggle_up{instance="embed-1"}'], "unheard_of": "x"}
    )
    assert [s["__name__"] for s in several.json()["data"]] == ["waggle_queries_total", "waggle_up"]
    assert (await get(gateway, "/labels"))[1]["data"] == ["__name__", "instance", "outcome", "service"]
    assert (await get(gateway, "/label/service/values", **{"match[]": "waggle_up"}))[1]["data"] == ["embed"]
    assert (await get(gateway, "/metadata"))[1]["data"]["waggle_up"][0]["type"] == "gauge"
    assert (await get(gateway, "/status/buildinfo"))[1]["data"]["version"] == "3.0.0"


REFUSED: list[tuple[str, dict[str, Any], int, str, str]] = [
    ("/query", {"query": "sum(", "time": "1"}, 400, "bad_data", "unclosed left parenthesis"),
    ("/query", {"time": "1"}, 400, "bad_data", "query"),
    ("/query", {"query": "1", "timeout": "soon"}, 400, "bad_data", 'invalid parameter "timeout"'),
    ("/query", {"query": "1", "timeout": "-1s"}, 400, "bad_data", 'invalid parameter "timeout"'),
    ("/query", {"query": "1", "timeout": "nan"}, 400, "bad_data", 'invalid parameter "timeout"'),
    ("/query", {"query": "waggle_up + on(service) waggle_up", "time": NOW.isoformat()}, 422, "execution", "many"),
    ("/series", {"match[]": ["x"] * 65}, 400, "bad_data", "at most 64"),
]
BODIES: list[tuple[bytes, dict[str, str], int]] = [
    (b"query=" + b"1" * 70_000, FORM, 413),
    (b'{"query":"1"}', {"Content-Type": "application/json"}, 415),
    (b"&".join(b"a=b" for _ in range(3000)), FORM, 400),
    (b"query=\xff", FORM, 400),
]


async def test_errors_are_those_of_prometheus_whoever_finds_them(gateway: Gateway, observer: Observer):
    for path, parameters, status, kind, said in REFUSED:
        response = await gateway.http.get(API + path, params=parameters)
        body = response.json()
        assert (response.status_code, body["status"], body["errorType"]) == (status, "error", kind), parameters
        assert said in body["error"]
        assert response.headers["content-type"] == "application/json"
    for content, headers, status in BODIES:
        response = await gateway.http.post(f"{API}/query", content=content, headers=headers)
        assert (response.status_code, response.json()["errorType"]) == (status, "bad_data")


async def test_the_time_that_a_query_may_take_is_bounded(gateway: Gateway, broker: Broker):
    observer = Observer()
    told: list[list[str]] = []

    async def slow(parameters) -> Answer:
        told.append(list(parameters["timeout"]))
        raise TimeoutError if parameters["query"] == ["broken"] else AssertionError

    observer.handlers = lambda: {RequestKind.QUERY: slow}  # type: ignore[method-assign]
    async with leading(broker, observer):
        for given in ("2.5", "1m30s", "500ms", "1e9", ""):
            await gateway.http.get(f"{API}/query", params={"query": "1", "timeout": given})
        status, body = await get(gateway, "/query", query="broken")
    assert told == [["2.5"], ["60"], ["0.5"], ["60"], ["30"], ["30"]]
    assert (status, body["errorType"]) == (500, "internal")


async def test_without_an_observer_and_without_a_broker_it_is_unavailable(gateway: Gateway, nats_server):
    async def unavailable(said: str) -> bool:
        responses = [await gateway.http.get(f"{API}{path}") for path in ("/query?query=1", "/alerts")]
        bodies = [response.json() for response in responses]
        assert [response.status_code for response in responses] == [503, 503]
        assert [body["errorType"] for body in bodies] == ["unavailable", "unavailable"]
        return all(said in body["error"] for body in bodies)

    assert await unavailable("no observer leads")
    nats_server.kill()
    await until(lambda: unavailable("broker is not reachable"))
