"""What goes for every stream of events: proxies on the way hold nothing back, keep nothing, and do not take it for dead."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.sse import MEDIA_TYPE
from messaging.broker import Broker
from tests.support.gateways import FakeWorkers, Gateway, finishing_after, running_gateway
from tests.support.waiting import until

REQUESTS: dict[tuple[str, str], dict[str, Any]] = {
    ("post", "/v1/query"): {"json": {"query": "Why?", "stream": True}},
    ("get", "/v1/queries/{query_id}/events"): {},
    ("get", "/v1/documents/{document_id}/events"): {},
    ("post", "/v1/chat/completions"): {
        "json": {"model": "waggle", "messages": [{"role": "user", "content": "Why?"}], "stream": True}
    },
}


@pytest.fixture
async def workers(broker: Broker) -> AsyncIterator[FakeWorkers]:
    workers = FakeWorkers(broker)
    await workers.start()
    yield workers
    await workers.stop()


@pytest.fixture
async def gateway(workers: FakeWorkers, nats_server) -> AsyncIterator[Gateway]:
    async with running_gateway(nats_server.url) as started:
        await started.ready()
        yield started


async def test_every_stream_tells_proxies_to_pass_it_on_as_it_comes(gateway: Gateway) -> None:
    paths = (await gateway.http.get("/openapi.json")).json()["paths"]
    streams = {
        (method, path)
        for path, operations in paths.items()
        for method, operation in operations.items()
        if MEDIA_TYPE in operation["responses"].get("200", {}).get("content", {})
    }
    assert streams == REQUESTS.keys()
    ids = {
        "query_id": (await gateway.http.post("/v1/query", json={"query": "Why?"})).json()["query_id"],
        "document_id": (await gateway.http.post("/v1/documents", json={"name": "a", "text": "b"})).json()[
            "document_id"
        ],
    }

    for (method, path), request in REQUESTS.items():
        async with gateway.http.stream(method, path.format(**ids), **request) as response:
            told = response.headers
            assert (response.status_code, told["content-type"].split(";")[0]) == (200, MEDIA_TYPE), path
            assert (told["cache-control"], told["x-accel-buffering"]) == ("no-store, no-transform", "no"), path
            assert "content-length" not in told
            assert "content-encoding" not in told


async def test_while_nothing_happens_a_stream_says_so_now_and_then(gateway: Gateway, workers: FakeWorkers) -> None:
    go_on = asyncio.Event()
    workers.scenario = finishing_after(go_on)
    lines: list[str] = []

    async def reading() -> None:
        async with gateway.http.stream("POST", "/v1/query", json={"query": "Why?", "stream": True}) as response:
            async for line in response.aiter_lines():
                lines.append(line)  # noqa: PERF401  (each is looked at as it comes)

    following = asyncio.create_task(reading())
    await until(lambda: lines.count(": waiting") >= 2)
    go_on.set()
    await following
    assert lines.index("event: retrieved") < lines.index(": waiting") < lines.index("event: completed")
