"""Who asks for something and does not read it holds nothing for long."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator

import pytest

from contracts.answers import Cancelled
from contracts.queries import QueryRequest
from messaging.broker import Broker
from messaging.terminals import Terminals
from tests.support.gateways import FakeWorkers, Gateway, Stage, running_gateway
from tests.support.waiting import until

PIECE = "x" * 100_000
PIECES = 80
"""Together more than the buffers of both ends hold."""
TIMEOUT_S = 0.3


@pytest.fixture
async def workers(broker: Broker) -> AsyncIterator[FakeWorkers]:
    workers = FakeWorkers(broker)
    workers.scenario = talk
    await workers.start()
    yield workers
    await workers.stop()


@pytest.fixture
async def gateway(workers: FakeWorkers, nats_server, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Gateway]:
    """With room for one request."""
    monkeypatch.setattr("gateway.protocol.BoundedHttpProtocol.send_timeout_s", TIMEOUT_S)
    async with running_gateway(nats_server.url, max_requests=1) as running:
        await running.ready()
        yield running


async def talk(_: QueryRequest, stage: Stage) -> None:
    """Much, and no end."""
    await stage.retrieved()
    for number in range(1, PIECES + 1):
        await stage.delta(f"1.{number}", PIECE)


async def asking(gateway: Gateway) -> socket.socket:
    """A connection on which a question was asked; whoever holds it has small buffers."""
    host, _, port = gateway.url.removeprefix("http://").partition(":")
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    connection.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(connection, (host, int(port)))
    body = json.dumps({"query": "How?", "stream": True, "deadline_s": 300}).encode()
    head = f"POST /v1/query HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    await loop.sock_sendall(connection, head.encode() + body)
    return connection


async def test_who_does_not_read_is_cut_off_and_its_question_withdrawn(
    gateway: Gateway, workers: FakeWorkers, broker: Broker
) -> None:
    connection = await asking(gateway)
    try:
        await until(lambda: bool(workers.questions))

        async def is_free() -> bool:
            return (await gateway.http.get("/v1/nothing")).status_code == 404

        await until(is_free)
        request = workers.questions[0]

        async def is_withdrawn() -> bool:
            return isinstance(await Terminals(broker).find(request.tenant, request.query_id), Cancelled)

        await until(is_withdrawn)
    finally:
        connection.close()


async def test_who_reads_slowly_but_steadily_is_not(gateway: Gateway) -> None:
    connection = await asking(gateway)
    loop, read, pieces = asyncio.get_running_loop(), 0, 0
    try:
        async with asyncio.timeout(60):
            while pieces < PIECES:
                data = await loop.sock_recv(connection, 65536)
                assert data, "it was cut off"
                read += len(data)
                pieces = read // len(PIECE)
                await asyncio.sleep(0.002)
    finally:
        connection.close()
