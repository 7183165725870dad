"""Five times as many questions as a stage can do: some are refused at the door, all others are answered in time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from datetime import timedelta
from itertools import cycle
from typing import Any

import httpx
import pytest

from contracts import subjects, topology
from contracts.documents import IngestRequest
from contracts.queries import GenerateRequest, QueryRequest
from deploy.local.nats_server import NatsServer
from messaging.app import WorkerApp
from messaging.broker import Broker
from messaging.consumers import backlog
from messaging.delivery import Delivery
from messaging.storage import Storage
from tests.support.gateways import Gateway, Stage, running_gateway
from tests.support.waiting import until
from tests.support.workers import running

pytestmark = pytest.mark.alone

AT_ONCE = 2
TAKES_S = 0.1
DEADLINE_S = 4.0
FIVEFOLD_S = TAKES_S / AT_ONCE / 5
QUESTIONS = 500


def slow_retrieval(worker: WorkerApp, *, at_once: int = AT_ONCE, takes_s: float = TAKES_S) -> None:
    """A retrieve worker that does 20 questions a second, or as many as told."""

    @worker.consumes(topology.QUERY_WORKERS, QueryRequest, concurrency=at_once)
    async def on_request(request: QueryRequest, _: Delivery) -> None:
        await asyncio.sleep(takes_s)
        stage = Stage(worker.broker, request)
        await stage.retrieved()
        await stage.completed(None)


def slow_generation(worker: WorkerApp) -> None:
    """A retrieve worker that keeps up, before a generate worker that does 20 questions a second."""

    @worker.consumes(topology.QUERY_WORKERS, QueryRequest, concurrency=8)
    async def on_question(request: QueryRequest, _: Delivery) -> None:
        stage = Stage(worker.broker, request)
        await stage.retrieved()
        if not request.generate:
            await stage.completed(None)
            return
        generate = GenerateRequest(
            tenant=request.tenant,
            query_id=request.query_id,
            query=request.query,
            passages=(),
            deadline=worker.broker.clock.now() + timedelta(seconds=DEADLINE_S),
        )
        await worker.broker.publish(
            subjects.generate_request(request.tenant),
            generate,
            stream=topology.GENERATE,
            message_id=request.query_id,
        )

    @worker.consumes(topology.GENERATE_STABLE_WORKERS, GenerateRequest, concurrency=AT_ONCE)
    async def on_request(request: GenerateRequest, _: Delivery) -> None:
        await asyncio.sleep(TAKES_S)
        await Stage(worker.broker, request).completed()


@pytest.fixture
async def stage(broker: Broker, worker: WorkerApp) -> AsyncIterator[None]:
    slow_retrieval(worker)
    async with running(worker):
        yield


async def ask(gateway: Gateway, *, generate: bool = False, deadline_s: float = DEADLINE_S) -> httpx.Response:
    body = {"query": "How?", "generate": generate, "deadline_s": deadline_s}
    return await gateway.http.post("/v1/query", json=body)


async def ask_many(*gateways: Gateway, number: int, every_s: float, **options: Any) -> list[httpx.Response]:
    """Each question to the next of the gateways."""
    async with asyncio.TaskGroup() as tasks:
        asked = []
        for _, gateway in zip(range(number), cycle(gateways), strict=False):
            asked.append(tasks.create_task(ask(gateway, **options)))
            await asyncio.sleep(every_s)
    return [task.result() for task in asked]


def statuses(answers: Iterable[httpx.Response]) -> Counter[int]:
    return Counter(response.status_code for response in answers)


async def test_what_is_let_in_is_answered_and_the_rest_is_told_when_to_come_back(stage: None, gateway: Gateway) -> None:
    answers = await ask_many(gateway, number=QUESTIONS, every_s=FIVEFOLD_S)
    counted = statuses(answers)
    assert set(counted) == {200, 429}, counted
    assert counted[200] > 50
    assert counted[429] > 50
    refused = next(response for response in answers if response.status_code == 429)
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert refused.headers["ratelimit-policy"].startswith('"queries";q=')
    assert refused.headers["ratelimit"] == f'"queries";r=0;t={refused.headers["retry-after"]}'
    problem = refused.json()
    assert (problem["code"], problem["status"]) == ("too_many_requests", 429)
    assert "Ask again after" in problem["detail"]


async def test_it_lets_in_again_once_the_backlog_is_done(stage: None, gateway: Gateway, broker: Broker) -> None:
    answers = await ask_many(gateway, number=QUESTIONS // 2, every_s=FIVEFOLD_S)
    assert 429 in statuses(answers)

    async def is_done() -> bool:
        return await Storage(broker).count(topology.QUERY.name, ">") == 0

    await until(is_done, timeout_s=30)
    assert (await ask(gateway)).status_code == 200


async def test_a_slow_stage_is_not_given_more_than_it_can_do_in_time(
    broker: Broker, worker: WorkerApp, gateway: Gateway
) -> None:
    """Few questions are much for a stage that takes long for each."""
    slow_retrieval(worker, at_once=1, takes_s=1.2)
    async with running(worker):
        at_first = await ask_many(gateway, number=4, every_s=0, deadline_s=20)
        assert set(statuses(at_first)) == {200}
        counted = statuses(await ask_many(gateway, number=60, every_s=0.24, deadline_s=6))
    assert set(counted) == {200, 429}, counted


async def test_several_gateways_share_what_a_stage_can_do(stage: None, nats_server: NatsServer) -> None:
    async with running_gateway(nats_server.url) as one, running_gateway(nats_server.url) as other:
        await one.ready()
        await other.ready()
        counted = statuses(await ask_many(one, other, number=QUESTIONS, every_s=FIVEFOLD_S))
    assert set(counted) == {200, 429}, counted


async def test_where_none_may_wait_long_hardly_any_waits(stage: None, broker: Broker, nats_server: NatsServer) -> None:
    """What would be done in its time, but late, is refused: at the stage there is little more than its workers have in hand."""
    async with running_gateway(nats_server.url, max_wait_s=0.1) as gateway:
        await gateway.ready()
        asking = asyncio.create_task(ask_many(gateway, number=QUESTIONS * 2, every_s=FIVEFOLD_S, deadline_s=60))
        await asyncio.sleep(4)  # until it has found how many that are
        waiting = []
        while not asking.done():
            waiting.append((await backlog(broker, topology.QUERY_WORKERS)).waiting)
            await asyncio.sleep(0.1)
        counted = statuses(await asking)

    assert set(counted) == {200, 429}, counted
    assert counted[200] > 50
    assert sorted(waiting)[len(waiting) // 2] <= 6, waiting


async def test_generation_that_is_behind_refuses_questions_but_no_searches(
    broker: Broker, worker: WorkerApp, gateway: Gateway
) -> None:
    slow_generation(worker)
    async with running(worker):
        asking = asyncio.create_task(ask_many(gateway, number=QUESTIONS, every_s=FIVEFOLD_S, generate=True))
        searched: list[httpx.Response] = []
        while not asking.done():
            searched.append(await ask(gateway))
        answers = await asking
    counted = statuses(answers)
    assert set(counted) == {200, 429}, counted
    assert set(statuses(searched)) == {200}
    refused = next(response for response in answers if response.status_code == 429)
    assert "generate-stable" in refused.json()["detail"]


async def test_an_idle_stage_refuses_nothing(stage: None, gateway: Gateway) -> None:
    for _ in range(12):
        assert (await ask(gateway)).status_code == 200


async def test_a_stage_without_workers_is_waited_for_by_a_few(broker: Broker, gateway: Gateway) -> None:
    """A worker that is being replaced finds them; each ends at its deadline otherwise."""
    answers = await ask_many(gateway, number=5, every_s=0.01)
    assert set(statuses(answers)) == {504}


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
