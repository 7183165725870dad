"""What endpoints do, as metrics."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    ExponentialHistogramDataPoint,
    HistogramDataPoint,
    InMemoryMetricReader,
    NumberDataPoint,
)

from contracts.errors import TransientError
from tests.support.chat_servers import MODEL, ChatServer, chat_servers, fails, hangs_after
from tests.unit.endpoints.pools import plan, pool_over, told
from workers.endpoints.figures import measure_together

Point = NumberDataPoint | HistogramDataPoint | ExponentialHistogramDataPoint


@pytest.fixture
async def server() -> AsyncIterator[ChatServer]:
    async with chat_servers() as (server,):
        yield server


@pytest.fixture
def reader() -> InMemoryMetricReader:
    return InMemoryMetricReader()


def points(reader: InMemoryMetricReader, name: str) -> list[Point]:
    data = reader.get_metrics_data()
    metrics = [metric for r in data.resource_metrics for s in r.scope_metrics for metric in s.metrics] if data else []
    return [point for metric in metrics if metric.name == name for point in metric.data.data_points]


def histogram(reader: InMemoryMetricReader, name: str) -> dict[object, int]:
    """Counts by cause of failure."""
    found = points(reader, name)
    return {(p.attributes or {}).get("error.type"): p.count for p in found if isinstance(p, HistogramDataPoint)}


async def test_times_and_causes_are_recorded_with_bounded_attributes(
    server: ChatServer, reader: InMemoryMetricReader
) -> None:
    async with pool_over([server]) as pool:
        pool.measure(MeterProvider([reader]).get_meter("waggle"))
        await told(pool)
        await told(pool)
        server.then(fails(500))
        with pytest.raises(TransientError):
            await told(pool)
        server.then(hangs_after("Bees "))
        async with aclosing(pool.stream("/chat/completions", {"m": 1}, plan())) as items:
            await anext(items)
        assert histogram(reader, "gen_ai.client.operation.duration") == {None: 2, "500": 1, "cancelled": 1}
        assert histogram(reader, "gen_ai.client.operation.time_to_first_chunk") == {None: 3}
        (first, *_) = points(reader, "gen_ai.client.operation.time_to_first_chunk")
        assert first.attributes == {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": MODEL,
            "server.address": "127.0.0.1",
            "server.port": pool.endpoints[0].address.port,
        }


async def test_states_and_requests_under_way_are_gauges(server: ChatServer, reader: InMemoryMetricReader) -> None:
    async with pool_over([server]) as pool:
        pool.measure(MeterProvider([reader]).get_meter("waggle"))
        server.then(hangs_after("Bees "))
        async with aclosing(pool.stream("/chat/completions", {"m": 1}, plan())) as items:
            await anext(items)
            assert [point.value for point in _numbers(reader, "waggle.endpoint.in_flight")] == [1]
        assert [point.value for point in _numbers(reader, "waggle.endpoint.state")] == [0]
        pool.endpoints[0].take_out()
        assert [point.value for point in _numbers(reader, "waggle.endpoint.state")] == [3]


async def test_tokens_are_counted_by_kind(server: ChatServer, reader: InMemoryMetricReader) -> None:
    async with pool_over([server]) as pool:
        pool.measure(MeterProvider([reader]).get_meter("waggle"))
        pool.figures.tokens(pool.endpoints[0], read=11, written=7)
        found = points(reader, "gen_ai.client.token.usage")
        sums = {(p.attributes or {})["gen_ai.token.type"]: p.sum for p in found if isinstance(p, HistogramDataPoint)}
        assert sums == {"input": 11, "output": 7}


def _numbers(reader: InMemoryMetricReader, name: str) -> list[NumberDataPoint]:
    return [point for point in points(reader, name) if isinstance(point, NumberDataPoint)]


async def test_pools_of_one_process_are_told_together(reader: InMemoryMetricReader) -> None:
    async with chat_servers(2) as servers, pool_over(servers[:1]) as one, pool_over(servers[1:]) as two:
        measure_together(MeterProvider([reader]).get_meter("waggle"), [one.figures, two.figures])
        await told(one)
        await told(two)
        states = points(reader, "waggle.endpoint.state")
        assert len({(point.attributes or {})["server.port"] for point in states}) == 2
        assert histogram(reader, "gen_ai.client.operation.duration") == {None: 1}, "each by its address"
        assert len(points(reader, "gen_ai.client.operation.duration")) == 2
