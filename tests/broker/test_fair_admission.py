"""One tenant asks and submits without end; another one is served as if it were nearly alone."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from contracts import topology
from contracts.api_keys import Scope
from contracts.documents import IngestRequest
from contracts.gateway_settings import Auth
from contracts.queries import QueryRequest
from contracts.tenants import TenantTerms
from messaging.api_keys import KeyBook
from messaging.app import WorkerApp
from messaging.broker import Broker
from messaging.delivery import Delivery
from messaging.tenants import TenantBook
from tests.support.gateways import Gateway, Stage, running_gateway
from tests.support.waiting import until
from tests.support.workers import running

pytestmark = pytest.mark.alone

DEADLINE_S = 12.0
TAKES_S = 0.1
"""For one question, of which two are in hand at once: 20 a second."""
AHEAD = 45
"""Of the bulk's questions so many may be done before one of another tenant that comes later: those that lie ready at the
broker, and those in hand. In the order in which they came it would be all that may wait: more than 150.
"""


@pytest.fixture
async def gateway(broker: Broker, nats_server) -> AsyncIterator[Gateway]:
    async with running_gateway(nats_server.url, auth=Auth.KEYS, max_pending_documents=20) as started:
        await started.ready()
        yield started


@pytest.fixture
async def done(broker: Broker, worker: WorkerApp) -> AsyncIterator[list[str]]:
    """The tenants of the questions that were answered, in order."""
    found: list[str] = []

    @worker.consumes(topology.QUERY_WORKERS, QueryRequest, concurrency=2)
    async def on_request(request: QueryRequest, _: Delivery) -> None:
        await asyncio.sleep(TAKES_S)
        stage = Stage(worker.broker, request)
        await stage.retrieved()
        found.append(request.tenant)
        await stage.completed(None)

    async with running(worker):
        yield found


@asynccontextmanager
async def client(broker: Broker, gateway: Gateway, tenant: str, *scopes: Scope) -> AsyncIterator[httpx.AsyncClient]:
    """Connections of its own, as many as it likes: those of others are no reason to wait."""
    made = await KeyBook(broker).create(name="test", tenant=tenant, scopes=scopes, principal="test")
    async with httpx.AsyncClient(
        base_url=gateway.url,
        headers={"Authorization": f"Bearer {made.text}"},
        limits=httpx.Limits(max_connections=None),
        timeout=60,
        trust_env=False,
    ) as http:

        async def is_known() -> bool:
            return (await http.get("/v1/nothing")).status_code == 404

        await until(is_known)
        yield http


async def ask(http: httpx.AsyncClient) -> int:
    body = {"query": "How?", "generate": False, "deadline_s": DEADLINE_S}
    return (await http.post("/v1/query", json=body)).status_code


async def flood(http: httpx.AsyncClient, answers: Counter[int]) -> None:
    """Five times as many as can be done."""
    async with asyncio.TaskGroup() as tasks:

        async def one() -> None:
            answers[await ask(http)] += 1

        while True:
            tasks.create_task(one())
            await asyncio.sleep(TAKES_S / 2 / 5)


@asynccontextmanager
async def flooded(answers: Counter[int], *clients: httpx.AsyncClient) -> AsyncIterator[None]:
    """From when as many questions wait as may."""
    flooding = [asyncio.create_task(flood(http, answers)) for http in clients]
    try:
        await until(lambda: answers[429] > 0, timeout_s=60)
        yield
    finally:
        for each in flooding:
            each.cancel()
        await asyncio.gather(*flooding, return_exceptions=True)


async def test_who_asks_little_does_not_wait_behind_who_asks_much(
    broker: Broker, gateway: Gateway, done: list[str]
) -> None:
    answers, before = Counter[int](), list[int]()
    async with (
        client(broker, gateway, "bulk", Scope.QUERY) as bulk,
        client(broker, gateway, "few", Scope.QUERY) as few,
        flooded(answers, bulk),
    ):
        for _ in range(8):
            so_far = len(done)
            assert await ask(few) == 200
            before.append(done[so_far:].index("few"))

    assert set(answers) == {200, 429}
    assert max(before) < AHEAD, before


async def test_by_their_weights(broker: Broker, gateway: Gateway, done: list[str]) -> None:
    await TenantBook(broker).set(TenantTerms(tenant="heavy", weight=3))
    async with (
        client(broker, gateway, "heavy", Scope.QUERY) as heavy,
        client(broker, gateway, "light", Scope.QUERY) as light,
        flooded(Counter[int](), heavy, light),
    ):
        so_far = len(done)
        await until(lambda: len(done) >= so_far + 160, timeout_s=60)

    served = Counter(done[so_far + 40 :])
    assert served["light"] > 0
    assert 2 <= served["heavy"] / served["light"] <= 4.5, served


async def test_no_tenant_fills_the_queue_of_documents_alone(
    broker: Broker, gateway: Gateway, worker: WorkerApp
) -> None:
    """Where others wait as well each has its share of it; who is alone has all of it."""
    mended = asyncio.Event()

    @worker.consumes(topology.INGEST_WORKERS, IngestRequest)
    async def on_request(_: IngestRequest, __: Delivery) -> None:
        await mended.wait()

    async with (
        running(worker),
        client(broker, gateway, "bulk", Scope.INGEST) as bulk,
        client(broker, gateway, "few", Scope.INGEST) as few,
    ):
        assert await accepted(bulk) >= 20
        assert 5 <= await accepted(few) <= 15
        assert await submit(bulk) == 429
        mended.set()


async def accepted(http: httpx.AsyncClient) -> int:
    """How many documents are let in before one is refused."""
    number = 0
    while (status := await submit(http)) == 202:
        number += 1
        await asyncio.sleep(0.02)
    assert status == 429
    return number


async def submit(http: httpx.AsyncClient) -> int:
    return (await http.post("/v1/documents", json={"name": "a", "text": "Bees."})).status_code
