"""Five times as many questions as a stage can do: some are refused at the door, all others are answered in time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import httpx
import pytest

from contracts import topology
from contracts.documents import IngestRequest
from contracts.queries import QueryRequest
from messaging.app import WorkerApp
from messaging.broker import Broker
from messaging.delivery import Delivery
from messaging.storage import Storage
from tests.support.gateways import Gateway, Stage, running_gateway
from tests.support.waiting import until
from tests.support.workers import running

AT_ONCE = 2
TAKES_S = 0.1
DEADLINE_S = 4.0
FIVEFOLD_S = TAKES_S / AT_ONCE / 5
QUESTIONS = 500


class SlowStage:
    """A retrieve worker that does 20 questions a second, or none while it is stopped."""

    def __init__(self, worker: WorkerApp) -> None:
        self.going = asyncio.Event()
        self.going.set()
        self.done = 0

        @worker.consumes(topology.QUERY_WORKERS, QueryRequest, concurrency=AT_ONCE)
        async def on_request(request: QueryRequest, _: Delivery) -> None:
            await self.going.wait()
            await asyncio.sleep(TAKES_S)
            stage = Stage(worker.broker, request)
            await stage.retrieved()
            await stage.completed(None)
            self.done += 1


@pytest.fixture
async def stage(broker: Broker, worker: WorkerApp) -> AsyncIterator[SlowStage]:
    stage = SlowStage(worker)
    async with running(worker):
        yield stage


async def ask(gateway: Gateway) -> httpx.Response:
    body = {"query": "How?", "generate": False, "deadline_s": DEADLINE_S}
    return await gateway.http.post("/v1/query", json=body)


async def ask_many(gateway: Gateway, number: int, *, every_s: float) -> list[httpx.Response]:
    async with asyncio.TaskGroup() as tasks:
        asked = []
        for _ in range(number):
            asked.append(tasks.create_task(ask(gateway)))
            await asyncio.sleep(every_s)
    return [task.result() for task in asked]


async def test_what_is_let_in_is_answered_and_the_rest_is_told_when_to_come_back(
    stage: SlowStage, gateway: Gateway
) -> None:
    answers = await ask_many(gateway, QUESTIONS, every_s=FIVEFOLD_S)
    statuses = Counter(response.status_code for response in answers)
    assert set(statuses) == {200, 429}, statuses
    assert statuses[200] > 50
    assert statuses[429] > 50
    refused = next(response for response in answers if response.status_code == 429)
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert refused.headers["ratelimit-policy"].startswith('"queries";q=')
    assert refused.headers["ratelimit"] == f'"queries";r=0;t={refused.headers["retry-after"]}'
    problem = refused.json()
    assert (problem["code"], problem["status"]) == ("too_many_requests", 429)
    assert "Ask again after" in problem["detail"]


async def test_it_lets_in_again_once_the_backlog_is_done(stage: SlowStage, gateway: Gateway, broker: Broker) -> None:
    answers = await ask_many(gateway, QUESTIONS // 2, every_s=FIVEFOLD_S)
    assert 429 in {response.status_code for response in answers}

    async def is_done() -> bool:
        return await Storage(broker).count(topology.QUERY.name, ">") == 0

    await until(is_done, timeout_s=30)
    assert (await ask(gateway)).status_code == 200


async def test_an_idle_stage_refuses_nothing(stage: SlowStage, gateway: Gateway) -> None:
    for _ in range(12):
        assert (await ask(gateway)).status_code == 200


async def test_a_stage_without_workers_is_waited_for_by_a_few(broker: Broker, gateway: Gateway) -> None:
    """A worker that is being replaced finds them; each ends at its deadline otherwise."""
    answers = await ask_many(gateway, 5, every_s=0.01)
    assert {response.status_code for response in answers} == {504}


async def test_more_documents_than_may_wait_are_refused(broker: Broker, nats_server, worker: WorkerApp) -> None:
    mended = asyncio.Event()

    @worker.consumes(topology.INGEST_WORKERS, IngestRequest)
    async def on_request(_: IngestRequest, __: Delivery) -> None:
        await mended.wait()

    async with running(worker), running_gateway(nats_server.url, max_pending_documents=5) as gateway:
        await gateway.ready()

        async def refused() -> httpx.Response | None:
            body = {"name": "bees.txt", "text": "Bees dance."}
            response = await gateway.http.post("/v1/documents", json=body)
            return response if response.status_code == 429 else None

        await until(refused)
        response = await refused()
        assert response is not None
        assert int(response.headers["retry-after"]) >= 1
        assert response.headers["ratelimit-policy"] == '"documents";q=5;w=30'
        assert "documents wait to be read already" in response.json()["detail"]
        assert await Storage(broker).count(topology.INGEST.name, ">") >= 5
        mended.set()

        async def accepted() -> bool:
            return await refused() is None

        await until(accepted)
