"""What is measured of requests: how many series this API can make of it, and whether they fit."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from starlette.types import Message, Receive, Scope, Send

from contracts.metrics import Metric
from contracts.settings import GatewaySettings
from gateway.app import create_app
from gateway.metrics import BUCKETS_S, METHODS, RequestMetrics
from messaging.activity import Activity
from observability.cardinality import MOST_SERIES, bounded_views
from observability.intake import samples as intake
from observability.intake.histograms import histogram_series
from observability.promql.labels import Labels
from observability.samples import SampleReader
from observability.series import SeriesLimits
from observability.series.quota import SeriesQuota

DURATION, REQUESTS = "http.server.request.duration", "waggle.gateway.requests"
BEFORE_ROUTES = (200, 400, 401, 403, 404, 405, 408, 413, 421, 429, 500, 503)
"""What is answered before a route is found, or without one; 200 to a browser that asks what it may."""
FURTHER = 1.2
"""So much more the API may grow before the bounds have to."""


class Route:
    def __init__(self, path: str) -> None:
        self.path = path


def plausible() -> Iterator[tuple[str | None, str, int]]:
    """Route, method and status of all that the API can answer: what it documents, and what comes before its routes."""
    for path, operations in create_app(GatewaySettings()).openapi()["paths"].items():
        for method, said in operations.items():
            for status in said["responses"]:
                yield path, method.upper(), int(status)
        for method in (*METHODS, "BREW"):
            yield path, method, 405
    for method in (*METHODS, "BREW"):
        for status in BEFORE_ROUTES:
            yield None, method, status


async def measured(*answers: tuple[str | None, str, int]) -> dict[str, Metric]:
    """What a process tells after it gave these answers."""
    reader = SampleReader()
    provider = MeterProvider([reader], views=bounded_views(), shutdown_on_exit=False)
    status_of: dict[str, int] = {}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status_of["now"], "headers": []})

    metrics = RequestMetrics(app, meter=provider.get_meter("waggle"), activity=Activity())
    for path, method, status in answers:
        status_of["now"] = status
        route = {} if path is None else {"route": Route(path)}
        await metrics({"type": "http", "method": method, **route}, _receive, _send)
    found = reader.read()
    assert found.overflowing == 0
    return {metric.name: metric for metric in found.metrics}


async def _receive() -> Message:
    return {"type": "http.disconnect"}


async def _send(_: Message) -> None:
    pass


async def test_everything_that_the_api_can_answer_fits_into_what_the_observer_keeps() -> None:
    """One process that has answered all of it: nothing overflows, nothing is refused, and a fifth may be added."""
    told = await measured(*plausible())

    duration, requests = told[DURATION], told[REQUESTS]
    assert len(duration.histograms) * FURTHER <= MOST_SERIES
    assert len(requests.numbers) * 1.1 <= MOST_SERIES
    buckets = len(duration.bounds) + 1
    assert len(duration.histograms) * buckets * FURTHER <= SeriesLimits().of_metric
    of_source = len(duration.histograms) * (buckets + 2) + len(requests.numbers)
    assert of_source * FURTHER <= min(SeriesLimits().of_source, intake.MOST_SERIES)


async def test_the_bound_of_a_process_is_reached_before_that_of_the_observer() -> None:
    """What overflows in the process is still counted; what the observer refuses is not known to anybody."""
    told = await measured((None, "GET", 404))

    assert MOST_SERIES * (len(told[DURATION].bounds) + 1) <= SeriesLimits().of_metric


async def test_the_quota_takes_every_series_of_every_answer() -> None:
    quota = SeriesQuota(SeriesLimits())

    duration = (await measured(*plausible()))[DURATION]

    series = [
        each
        for point in duration.histograms
        for each in histogram_series("http_duration", duration.bounds, {**point.attributes, "service": "gateway"})
    ]
    assert all(quota.admit(each) for each in series)
    assert len({Labels(each) for each in series}) == len(series) > 1_000, "more than a metric could have once"


@pytest.mark.parametrize(
    ("status", "status_class"), [(200, "2xx"), (204, "2xx"), (304, "3xx"), (404, "4xx"), (429, "4xx"), (504, "5xx")]
)
async def test_times_are_told_apart_by_the_class_of_their_status(status: int, status_class: str) -> None:
    (point,) = (await measured(("/v1/query", "POST", status)))[DURATION].histograms

    failed = {"error.type": "5xx"} if status >= 500 else {}
    assert point.attributes == {
        "http.route": "/v1/query",
        "http.request.method": "POST",
        "waggle.status_class": status_class,
        **failed,
    }


async def test_methods_that_a_route_does_not_have_make_no_series_of_that_route() -> None:
    """Else whoever tries all methods on all routes makes hundreds."""
    told = await measured(("/v1/query", "PUT", 405), ("/v1/documents", "PUT", 405))

    (point,) = told[DURATION].histograms
    assert (point.count, point.attributes["http.route"]) == (2, "unmatched")


def test_quantiles_of_a_question_are_told_to_within_half_a_decade() -> None:
    """A quantile is interpolated in its bucket: none is wider than a factor of three and a third."""
    assert (BUCKETS_S[0], BUCKETS_S[-1]) == (0.01, 30.0)
    assert all(upper / lower <= 10 / 3 + 1e-9 for lower, upper in pairwise(BUCKETS_S))
