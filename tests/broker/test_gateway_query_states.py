"""How questions stand: one of them whole, and the list of the tenant's, told from what the broker keeps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from contracts import subjects, topology
from contracts.answers import Completed
from contracts.api_keys import Scope
from contracts.documents import Failure
from contracts.errors import ErrorCode
from contracts.events import QueryEvent, QueryFact
from contracts.gateway_settings import Auth
from contracts.identifiers import new_id
from contracts.queries import QueryRequest
from deploy.local.nats_server import NatsServer
from messaging.api_keys import KeyBook
from messaging.broker import Broker
from messaging.queries import Queries
from messaging.query_log import QueryLog
from messaging.query_replies import QueryReplies
from messaging.storage import Storage
from tests.broker.test_gateway_keys import key
from tests.support.gateways import CITATION, PASSAGE, FakeWorkers, Gateway, Stage, finishing_after, running_gateway
from tests.support.waiting import until

QUESTION = {"query": "How do bees tell the way?"}


@pytest.fixture
async def workers(broker: Broker) -> AsyncIterator[FakeWorkers]:
    workers = FakeWorkers(broker, Telling(broker).answer)
    await workers.start()
    yield workers
    await workers.stop()


@pytest.fixture
async def gateway(workers: FakeWorkers, nats_server: NatsServer) -> AsyncIterator[Gateway]:
    async with running_gateway(nats_server.url) as running:
        await running.ready()
        yield running


class Telling:
    """Ends questions as workers do, who tell it. What is asked says how."""

    def __init__(self, broker: Broker) -> None:
        self._replies = QueryReplies.over(broker)

    async def answer(self, request: QueryRequest, stage: Stage) -> None:
        if request.query.startswith("wait"):
            return
        await stage.retrieved()
        await self.end(request)

    async def end(self, request: QueryRequest) -> None:
        if request.query.startswith("fail"):
            failure = Failure(code=ErrorCode.GENERATION_FAILED, message="The model is gone: ask again.")
            await self._replies.end_failed(request, failure, retryable=True)
            return
        completed = Completed(
            tenant=request.tenant,
            query_id=request.query_id,
            principal=request.principal,
            answer="Bees dance [1]." if request.generate else None,
            answered=not request.query.startswith("unheard"),
            citations=(CITATION,) if request.generate else (),
            finish_reason="stop",
            timings_ms={"search": 1.5},
        )
        await self._replies.end_completed(completed, (PASSAGE,), writing_s=0.5)


async def asked(broker: Broker, query: str = "wait", *, tenant: str = "default") -> QueryRequest:
    """A question that somebody asked over NATS."""
    request = QueryRequest(query=query, tenant=tenant)
    await Queries(broker).ask(request)
    return request


async def ended(broker: Broker, query: str, *, tenant: str = "default") -> QueryRequest:
    request = await asked(broker, "wait", tenant=tenant)
    await Telling(broker).end(request.model_copy(update={"query": query}))
    return request


async def listed(gateway: Gateway, headers: dict[str, str] | None = None, **parameters: Any) -> list[dict[str, Any]]:
    response = await gateway.http.get("/v1/queries", headers=headers or {}, params=parameters)
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["items"]
    return found


async def ids(gateway: Gateway, **parameters: Any) -> list[str]:
    return [each["query_id"] for each in await listed(gateway, **parameters)]


async def test_a_question_that_was_answered_is_shown_as_it_was_answered(gateway: Gateway) -> None:
    answer = (await gateway.http.post("/v1/query", json=QUESTION)).json()

    shown = (await gateway.http.get(f"/v1/queries/{answer['query_id']}")).json()

    del answer["timings_ms"]["gateway"]  # the time of that request
    assert shown == {"query_id": answer["query_id"], "state": "completed", "result": answer}
    assert shown["result"]["passages"]


async def test_an_answer_outlives_its_passages(gateway: Gateway, broker: Broker) -> None:
    query_id = (await gateway.http.post("/v1/query", json=QUESTION)).json()["query_id"]
    await Storage(broker).purge(topology.ANSWERS.name, subjects.answer("default", query_id))

    shown = (await gateway.http.get(f"/v1/queries/{query_id}")).json()

    assert (shown["state"], shown["result"]["answer"], shown["result"]["passages"]) == (
        "completed",
        "Bees dance [1].",
        None,
    )


async def test_a_question_that_failed_says_why(gateway: Gateway, broker: Broker) -> None:
    failed = await ended(broker, "fail")

    response = await gateway.http.get(f"/v1/queries/{failed.query_id}")

    assert (response.status_code, response.json()) == (
        200,
        {
            "query_id": failed.query_id,
            "state": "failed",
            "result": {
                "query_id": failed.query_id,
                "status": "failed",
                "code": "generation_failed",
                "message": "The model is gone: ask again.",
                "retryable": True,
            },
        },
    )


async def test_a_question_runs_from_when_it_is_accepted_until_it_is_withdrawn(gateway: Gateway, broker: Broker) -> None:
    running = await asked(broker)  # over NATS: nothing of its answer is there, and no gateway waits for it
    path = f"/v1/queries/{running.query_id}"

    before = (await gateway.http.get(path)).json()
    await gateway.http.delete(path)
    after = (await gateway.http.get(path)).json()

    assert before == {"query_id": running.query_id, "state": "running", "result": None}
    assert after["state"] == "cancelled"
    assert after["result"] == {"query_id": running.query_id, "status": "cancelled"}


async def test_a_question_that_waits_for_its_turn_can_be_followed(gateway: Gateway, broker: Broker) -> None:
    waiting = await asked(broker)

    async with gateway.http.stream("GET", f"/v1/queries/{waiting.query_id}/events") as response:
        assert response.status_code == 200


async def test_a_question_with_an_id_of_its_asker_is_found_while_it_waits(gateway: Gateway, broker: Broker) -> None:
    request = QueryRequest(query="wait", query_id="mine-7")
    await Queries(broker).ask(request)

    assert (await gateway.http.get("/v1/queries/mine-7")).json()["state"] == "running"


async def test_a_question_whose_answer_is_under_way_runs(gateway: Gateway, workers: FakeWorkers) -> None:
    go_on = asyncio.Event()
    workers.scenario = finishing_after(go_on)
    waiting = asyncio.create_task(gateway.http.post("/v1/query", json=QUESTION))
    await until(lambda: bool(workers.questions))
    path = f"/v1/queries/{workers.questions[0].query_id}"

    assert (await gateway.http.get(path)).json()["state"] == "running"
    go_on.set()
    await waiting
    assert (await gateway.http.get(path)).json()["state"] == "completed"


async def test_what_has_not_changed_is_not_sent_again(gateway: Gateway) -> None:
    query_id = (await gateway.http.post("/v1/query", json=QUESTION)).json()["query_id"]
    first = await gateway.http.get(f"/v1/queries/{query_id}")

    again = await gateway.http.get(f"/v1/queries/{query_id}", headers={"If-None-Match": first.headers["etag"]})

    assert (again.status_code, again.content) == (304, b"")


async def test_nobody_is_shown_a_question_of_another_tenant(broker: Broker, nats_server: NatsServer) -> None:
    mine = await ended(broker, "answer", tenant="acme")
    theirs, waiting = await ended(broker, "answer", tenant="other"), await asked(broker, tenant="other")
    async with running_gateway(nats_server.url, auth=Auth.KEYS) as gateway:
        await gateway.ready()
        headers = await key(KeyBook(broker), gateway, Scope.QUERY, tenant="acme")

        for unknown in (theirs.query_id, waiting.query_id, new_id()):
            refused = await gateway.http.get(f"/v1/queries/{unknown}", headers=headers)
            assert (refused.status_code, refused.json()["code"]) == (404, "not_found")
            assert "GET /v1/queries" in refused.json()["detail"]
        assert [each["query_id"] for each in await listed(gateway, headers)] == [mine.query_id]
        forbidden = await key(KeyBook(broker), gateway, Scope.READ, tenant="acme")
        assert (await gateway.http.get("/v1/queries", headers=forbidden)).status_code == 403


async def test_questions_are_listed_once_each_in_the_order_in_which_they_ended(
    gateway: Gateway, broker: Broker
) -> None:
    running, cancelled = await asked(broker), await asked(broker)
    completed, failed = await ended(broker, "answer"), await ended(broker, "fail")
    await gateway.http.delete(f"/v1/queries/{cancelled.query_id}")

    found = await listed(gateway)

    assert [(each["query_id"], each["state"]) for each in found] == [
        (running.query_id, "running"),
        (completed.query_id, "completed"),
        (failed.query_id, "failed"),
        (cancelled.query_id, "cancelled"),
    ]
    assert {name: value for name, value in found[1].items() if value is not None and name not in {"query_id", "at"}} == {
        "state": "completed", "by": "anonymous", "answered": True, "passages": 1, "top_score": 0.9, "citations": 1,
        "cached": False, "timings_ms": {"search": 1.5}, "writing_s": 0.5, "prompt_tokens": 0, "completion_tokens": 0,
    }  # fmt: skip
    assert (found[2]["code"], found[2]["message"]) == ("generation_failed", "The model is gone: ask again.")
    at, ends_by = (datetime.fromisoformat(found[0][name]) for name in ("at", "ends_by"))
    assert ends_by - at == timedelta(seconds=30)
    assert "wait" not in str(found)


async def test_questions_are_chosen_by_state_reason_and_time(gateway: Gateway, broker: Broker) -> None:
    running = (await asked(broker)).query_id
    completed, failed = (await ended(broker, "answer")).query_id, (await ended(broker, "fail")).query_id
    unheard = (await ended(broker, "unheard")).query_id

    assert await ids(gateway, state="running") == [running]
    assert await ids(gateway, state="failed") == [failed]
    assert await ids(gateway, state=["running", "completed"]) == [running, completed, unheard]
    assert await ids(gateway, code="generation_failed") == [failed]
    assert await ids(gateway, code="deadline_exceeded") == []
    assert await ids(gateway, answered="false") == [unheard]
    assert await ids(gateway, answered="true", state="failed") == []
    now = datetime.now(UTC)
    assert await ids(gateway, until=(now - timedelta(hours=1)).isoformat()) == []
    assert await ids(gateway, since=(now + timedelta(hours=1)).isoformat()) == []
    assert len(await ids(gateway, since=(now - timedelta(days=7)).isoformat())) == 4
    for wrong in ({"state": "lost"}, {"since": "yesterday"}, {"answered": "perhaps"}, {"code": "a b"}):
        assert (await gateway.http.get("/v1/queries", params=wrong)).status_code == 422


async def test_the_list_is_read_page_by_page(gateway: Gateway, broker: Broker) -> None:
    for query in ("answer", "fail", "answer"):
        await ended(broker, query)
        await asked(broker)
    whole, found, cursor = await ids(gateway), [], None
    while True:
        parameters = {"limit": "1"} | ({} if cursor is None else {"cursor": cursor})
        page = (await gateway.http.get("/v1/queries", params=parameters)).json()
        assert len(page["items"]) <= 1
        found += [each["query_id"] for each in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break

    assert (len(whole), found) == (6, whole)


async def test_a_question_that_runs_is_listed_once_however_often_it_was_accepted(
    gateway: Gateway, broker: Broker
) -> None:
    running = await asked(broker)
    fact = QueryEvent(id="again", query_id=running.query_id, fact=QueryFact.ACCEPTED)
    await broker.publish(
        subjects.query_event(QueryFact.ACCEPTED, "default"),
        fact,
        stream=topology.EVENTS,
        message_id="again",
        headers={subjects.HEADER_QUERY_ID: running.query_id},
    )

    assert await ids(gateway) == [running.query_id]


async def test_a_fact_that_belongs_to_another_subject_is_left_out(gateway: Gateway, broker: Broker) -> None:
    strange = QueryEvent(id="strange", tenant="other", query_id="secret", fact=QueryFact.COMPLETED)
    await broker.publish(
        subjects.query_event(QueryFact.COMPLETED, "default"), strange, stream=topology.EVENTS, message_id="strange"
    )
    await broker.nc.publish(subjects.query_event(QueryFact.FAILED, "default"), b"{}")
    mine = await ended(broker, "answer")

    assert await ids(gateway) == [mine.query_id]


async def test_a_page_looks_at_so_many_facts_and_says_where_to_go_on(broker: Broker) -> None:
    for _ in range(3):
        await ended(broker, "answer")  # of which two facts each are told
    log = QueryLog(broker, most_read=2)

    first = await log.page("default", limit=50)
    rest = await log.page("default", limit=50, after=first.after or 0)

    assert (len(first.events), len(rest.events)) == (1, 1)
    assert first.after is not None


async def test_where_events_cannot_be_read_it_says_so(gateway: Gateway, broker: Broker) -> None:
    await broker.js.delete_stream(topology.EVENTS.name)

    refused = await gateway.http.get("/v1/queries")

    assert (refused.status_code, refused.json()["code"]) == (503, "temporarily_unavailable")


async def test_a_stream_that_only_its_leader_reads_is_listed_alike(gateway: Gateway, broker: Broker) -> None:
    for name in (topology.EVENTS.name, topology.TERMINALS.name):
        info = await broker.js.stream_info(name)
        await broker.js.update_stream(info.config, allow_direct=False)
    completed, running = await ended(broker, "answer"), await asked(broker)

    assert await ids(gateway) == [completed.query_id, running.query_id]
    assert await ids(gateway, limit=1) == [completed.query_id]
    assert (await gateway.http.get(f"/v1/queries/{running.query_id}")).json()["state"] == "running"
