"""Questions over HTTP, on a real broker, with stand-ins for the workers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from contracts.answers import Cancelled, Completed, Failed
from contracts.errors import ErrorCode
from contracts.identifiers import new_id
from contracts.queries import Condition, QueryRequest, SearchMode
from messaging.broker import Broker
from messaging.queries import Queries
from messaging.storage import Storage
from messaging.terminals import Terminals
from tests.support.gateways import TEXT, FakeWorkers, Gateway, Stage, running_gateway
from tests.support.waiting import until

QUESTION = {"query": "How do bees tell the way?"}


@pytest.fixture
async def workers(broker: Broker) -> AsyncIterator[FakeWorkers]:
    workers = FakeWorkers(broker)
    await workers.start()
    yield workers
    await workers.stop()


@pytest.fixture
async def gateway(workers: FakeWorkers, nats_server) -> AsyncIterator[Gateway]:
    async with running_gateway(nats_server.url) as running:
        await running.ready()
        yield running


@pytest.fixture
def terminals(broker: Broker) -> Terminals:
    return Terminals(broker)


async def sse(response: httpx.Response) -> AsyncIterator[tuple[str, str, dict]]:
    """(event, id, data) of a stream."""
    name = event_id = ""
    async for line in response.aiter_lines():
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "id":
            event_id = value
        elif field == "data":
            yield name, event_id, json.loads(value)


@asynccontextmanager
async def streaming(gateway: Gateway, **fields) -> AsyncIterator[httpx.Response]:
    async with gateway.http.stream("POST", "/v1/query", json={**QUESTION, "stream": True, **fields}) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        yield response


async def test_a_question_is_answered_in_one_document_with_its_citations(gateway):
    response = await gateway.http.post("/v1/query", json=QUESTION)
    assert response.status_code == 200
    answer = response.json()
    assert (answer["status"], answer["answer"], answer["answered"]) == ("completed", "Bees dance [1].", True)
    assert answer["query_id"] == response.headers["waggle-query-id"]
    citation = answer["citations"][0]
    assert {key: citation[key] for key in ("n", "document_id", "name", "page", "heading", "start", "end", "quote")} == {
        "n": 1, "document_id": "bees", "name": "bees.txt", "page": 1, "heading": None, "start": 0, "end": 11,
        "quote": TEXT[:11],
    }  # fmt: skip
    passage = answer["passages"][0]
    assert {key: passage[key] for key in ("document_id", "name", "text", "score", "start", "end", "page")} == {
        "document_id": "bees", "name": "bees.txt", "text": TEXT, "score": 0.9, "start": 0, "end": len(TEXT), "page": 1,
    }  # fmt: skip
    assert set(answer) >= {"usage", "timings_ms"}


async def test_a_search_whose_passages_were_lost_is_no_empty_success(gateway, workers):
    async def forgetful(_: QueryRequest, stage: Stage) -> None:
        await stage.completed(None)

    workers.scenario = forgetful
    response = await gateway.http.post("/v1/query", json={**QUESTION, "generate": False})

    assert response.status_code == 503
    assert "retry-after" in response.headers


async def test_a_search_has_passages_and_no_answer(gateway):
    answer = (await gateway.http.post("/v1/query", json={**QUESTION, "generate": False})).json()
    assert answer["answer"] is None
    assert len(answer["passages"]) == 1


async def test_everything_asked_for_reaches_the_workers_and_the_tenant_is_not_asked(gateway, workers):
    body = {
        **QUESTION,
        "top_k": 7,
        "mode": "keyword",
        "filters": {"document_ids": ["bees"], "metadata": {"lang": ["en", "zh"], "year": {"gte": 2020, "lt": 2024}}},
        "generation": {"max_tokens": 9, "temperature": 0.5, "stop": ["."], "seed": 3},
        "deadline_s": 12.5,
    }
    headers = {"X-Tenant": "other", "X-Forwarded-For": "10.0.0.1"}
    assert (await gateway.http.post("/v1/query", json=body, headers=headers)).status_code == 200
    asked = workers.questions[0]
    assert (asked.tenant, asked.principal) == ("default", "anonymous")
    assert (asked.top_k, asked.mode, asked.filters.document_ids) == (7, SearchMode.KEYWORD, ("bees",))
    assert asked.filters.metadata == {"lang": Condition(any_of=("en", "zh")), "year": Condition(gte=2020, lt=2024)}
    assert (asked.generation.max_tokens, asked.generation.stop, asked.generation.seed) == (9, (".",), 3)


async def test_a_stream_tells_passages_pieces_and_the_whole_with_resume_ids(gateway):
    async with streaming(gateway) as response:
        told = [item async for item in sse(response)]
    assert [(name, event_id) for name, event_id, _ in told] == [
        ("retrieved", "0.1"), ("delta", "1.1"), ("delta", "1.2"), ("completed", "end")
    ]  # fmt: skip
    assert "".join(data["text"] for name, _, data in told if name == "delta") == "Bees dance [1]."
    assert told[-1][2]["answer"] == "Bees dance [1]."
    assert {data["query_id"] for _, _, data in told} == {response.headers["waggle-query-id"]}


async def test_the_accept_header_asks_for_a_stream_too(gateway):
    headers = {"Accept": "text/event-stream"}
    async with gateway.http.stream("POST", "/v1/query", json=QUESTION, headers=headers) as response:
        assert [name async for name, _, _ in sse(response)][-1] == "completed"


async def test_a_later_attempt_voids_the_text_of_the_first(gateway, workers):
    async def twice(_: QueryRequest, stage: Stage) -> None:
        await stage.retrieved()
        await stage.delta("1.1", "Bees si")
        await stage.delta("2.1", "Bees dance")
        await stage.completed("Bees dance")

    workers.scenario = twice
    async with streaming(gateway) as response:
        told = [data async for name, _, data in sse(response) if name == "delta"]
    assert [data["attempt"] for data in told] == [1, 2]


@pytest.mark.parametrize(
    ("code", "retryable", "status"),
    [
        (ErrorCode.DEADLINE_EXCEEDED, True, 504),
        (ErrorCode.RETRIEVAL_FAILED, True, 503),
        (ErrorCode.GENERATION_FAILED, False, 500),
    ],
)
async def test_a_failed_question_is_a_problem_or_a_failed_event(gateway, workers, code, retryable, status):
    async def failing(_: QueryRequest, stage: Stage) -> None:
        await stage.failed(code, retryable=retryable)

    workers.scenario = failing
    response = await gateway.http.post("/v1/query", json=QUESTION)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.headers["content-type"] == "application/problem+json"
    assert ("retry-after" in response.headers) == (status == 503)
    async with streaming(gateway) as stream:
        told = [item async for item in sse(stream)]
    assert [(name, data["code"], data["retryable"]) for name, _, data in told] == [("failed", code, retryable)]


async def test_with_nobody_alive_the_gateway_itself_ends_the_question_after_its_deadline(gateway, workers, terminals):
    workers.scenario = _silent
    response = await gateway.http.post("/v1/query", json={**QUESTION, "deadline_s": 0.2})
    problem = response.json()
    assert (response.status_code, problem["code"]) == (504, "deadline_exceeded")
    assert isinstance(await terminals.find("default", problem["query_id"]), Failed)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"query": ""},
        {"query": "x", "surprise": 1},
        {"query": "x", "deadline_s": 301},
        {"query": "x", "generation": {"seed": "x"}},
        {"query": "x", "filters": {"document_ids": ["*"]}},
        {"query": "x", "filters": {"metadata": {"year": {"gte": "2020"}}}},
    ],
)
async def test_what_is_no_question_is_refused_and_not_asked(gateway, workers, body):
    response = await gateway.http.post("/v1/query", json=body)
    assert (response.status_code, response.json()["code"]) == (422, "invalid_request")
    assert response.json()["errors"]
    assert workers.questions == []


async def test_a_client_that_leaves_withdraws_its_question(gateway, workers, terminals):
    workers.scenario = _silent
    waiting = asyncio.create_task(gateway.http.post("/v1/query", json=QUESTION))
    await until(lambda: bool(workers.questions))
    waiting.cancel()
    await until(lambda: _ended(terminals, workers.questions[0].query_id, Cancelled))


async def test_a_client_that_leaves_its_stream_withdraws_the_question_after_a_grace(gateway, workers, terminals):
    workers.scenario = _stuck
    async with streaming(gateway) as response:
        await anext(sse(response))
    await until(lambda: _ended(terminals, workers.questions[0].query_id, Cancelled))


async def test_a_stream_that_ended_is_not_withdrawn(gateway, workers, terminals):
    async with streaming(gateway) as response:
        _ = [item async for item in sse(response)]
    assert await _ended(terminals, workers.questions[0].query_id, Completed)


async def test_an_answer_is_resumed_after_any_event_on_another_gateway(gateway, workers, terminals, nats_server):
    go_on = asyncio.Event()

    async def slow(_: QueryRequest, stage: Stage) -> None:
        await stage.retrieved()
        await stage.delta("1.1", "Bees ")
        await go_on.wait()
        await stage.delta("1.2", "dance.")
        await stage.completed("Bees dance.")

    workers.scenario = slow
    async with streaming(gateway) as response:
        stream = sse(response)
        seen = [await anext(stream), await anext(stream)]
    path = f"/v1/queries/{response.headers['waggle-query-id']}/events"
    async with (
        running_gateway(nats_server.url) as other,
        _ready(other),
        other.http.stream("GET", path, headers={"Last-Event-ID": seen[-1][1]}) as resumed,
    ):
        await asyncio.sleep(1)  # longer than the grace: the first gateway would have withdrawn it by now
        go_on.set()
        rest = [(name, event_id) async for name, event_id, _ in sse(resumed)]
    assert rest == [("delta", "1.2"), ("completed", "end")]
    assert await _ended(terminals, workers.questions[0].query_id, Completed)


async def test_an_ended_answer_is_read_again_from_its_start_and_after_its_end(gateway):
    query_id = (await gateway.http.post("/v1/query", json=QUESTION)).json()["query_id"]
    path = f"/v1/queries/{query_id}/events"
    async with gateway.http.stream("GET", path) as response:
        assert [event_id async for _, event_id, _ in sse(response)] == ["0.1", "1.1", "1.2", "end"]
    assert (await gateway.http.get(path, headers={"Last-Event-ID": "end"})).status_code == 204
    assert (await gateway.http.get(path, headers={"Last-Event-ID": "x'"})).status_code == 422


async def test_an_unknown_query_is_not_found(gateway):
    assert (await gateway.http.get(f"/v1/queries/{new_id()}/events")).status_code == 404
    assert (await gateway.http.delete(f"/v1/queries/{new_id()}")).status_code == 404
    assert (await gateway.http.delete("/v1/queries/a.b")).status_code == 422


async def test_a_query_is_cancelled_by_id_and_its_waiting_asker_is_told(gateway, workers):
    workers.scenario = _silent
    waiting = asyncio.create_task(gateway.http.post("/v1/query", json=QUESTION))
    await until(lambda: bool(workers.questions))
    query_id = workers.questions[0].query_id
    for _ in range(2):
        response = await gateway.http.delete(f"/v1/queries/{query_id}")
        assert (response.status_code, response.json()) == (200, {"query_id": query_id, "status": "cancelled"})
    answered = await waiting
    assert (answered.status_code, answered.json()["code"]) == (409, "query_cancelled")


async def test_a_cancelled_stream_ends_with_cancelled(gateway, workers):
    workers.scenario = _stuck
    async with streaming(gateway) as response:
        stream = sse(response)
        assert (await anext(stream))[0] == "retrieved"
        await gateway.http.delete(f"/v1/queries/{response.headers['waggle-query-id']}")
        assert (await anext(stream))[0] == "cancelled"


async def test_what_has_ended_otherwise_cannot_be_cancelled(gateway):
    query_id = (await gateway.http.post("/v1/query", json=QUESTION)).json()["query_id"]
    response = await gateway.http.delete(f"/v1/queries/{query_id}")
    assert (response.status_code, response.json()["ended"]) == (409, "completed")


async def test_an_answer_asked_for_over_nats_is_followed_over_http(gateway, broker):
    request = QueryRequest(query="Straight to the broker?")
    await Queries(broker).ask(request)
    async with gateway.http.stream("GET", f"/v1/queries/{request.query_id}/events") as response:
        assert [name async for name, _, _ in sse(response)][-1] == "completed"


async def test_many_questions_at_once_each_get_their_own_answer(gateway, workers):
    async def named(request: QueryRequest, stage: Stage) -> None:
        await stage.retrieved()
        await stage.completed(request.query)

    workers.scenario = named
    questions = [f"question {n}" for n in range(50)]
    replies = await asyncio.gather(*(gateway.http.post("/v1/query", json={"query": q}) for q in questions))
    assert [reply.json()["answer"] for reply in replies] == questions


async def test_a_full_queue_is_told_as_503_and_nothing_is_left_to_do(gateway, broker, workers):
    workers.scenario = _silent
    info = await broker.js.stream_info("QUERY")
    await broker.js.update_stream(info.config, max_msgs=1)
    first = asyncio.create_task(gateway.http.post("/v1/query", json={**QUESTION, "deadline_s": 1}))
    await until(lambda: bool(workers.questions))
    response = await gateway.http.post("/v1/query", json=QUESTION)
    assert (response.status_code, response.headers["retry-after"]) == (503, "2")
    assert await Storage(broker).count("QUERY", ">") == 1
    await first


@asynccontextmanager
async def _ready(gateway: Gateway) -> AsyncIterator[None]:
    await gateway.ready()
    yield


async def _silent(_: QueryRequest, __: Stage) -> None:
    """Nobody works."""


async def _stuck(_: QueryRequest, stage: Stage) -> None:
    """Found, then nothing more."""
    await stage.retrieved()


async def _ended(terminals: Terminals, query_id: str, how: type) -> bool:
    return isinstance(await terminals.find("default", query_id), how)
