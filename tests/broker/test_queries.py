"""Asking and withdrawing questions."""

from __future__ import annotations

from datetime import timedelta

import pytest

from contracts import subjects, topology
from contracts.answers import Cancelled, Completed
from contracts.events import QueryEvent, QueryFact
from contracts.queries import QueryRequest
from messaging.broker import Broker
from messaging.queries import Queries
from messaging.storage import Storage, Stored
from messaging.terminals import Terminals
from tests.support.waiting import until


@pytest.fixture
def queries(broker: Broker) -> Queries:
    return Queries(broker)


def question(query_id: str = "q", tenant: str = "t") -> QueryRequest:
    return QueryRequest(tenant=tenant, query_id=query_id, query="How do bees dance?")


async def accepted(broker: Broker) -> list[Stored]:
    return await Storage(broker).following(topology.EVENTS.name, "rag.events.query.accepted.*")


async def test_a_question_is_queued_with_its_budget(queries: Queries, broker: Broker) -> None:
    await queries.ask(question(), budget_s=12.5)
    [queued] = await Storage(broker).following(topology.QUERY.name, "rag.query.requests.t")
    assert QueryRequest.from_bytes(queued.data).query_id == "q"
    assert queued.headers[subjects.HEADER_BUDGET_MS] == "12500"


async def test_an_accepted_question_is_a_fact_with_its_headers_and_without_its_text(
    queries: Queries, broker: Broker
) -> None:
    await queries.ask(question(), budget_s=1)

    async def told() -> bool:
        return len(await accepted(broker)) == 1

    await until(told)
    [fact] = await accepted(broker)
    assert (fact.headers[subjects.HEADER_QUERY_ID], fact.headers[subjects.HEADER_BUDGET_MS]) == ("q", "1000")
    assert fact.data == b""
    assert abs(fact.stored_at - broker.clock.now()) < timedelta(seconds=30)


async def test_a_question_asked_twice_under_one_id_is_taken_once(queries: Queries, broker: Broker) -> None:
    await queries.ask(question())
    again = await queries.ask(question())
    assert again.duplicate
    assert await Storage(broker).count(topology.QUERY.name, "rag.query.requests.*") == 1


async def test_one_tenants_question_does_not_swallow_anothers_with_the_same_id(
    queries: Queries, broker: Broker
) -> None:
    await queries.ask(question(tenant="a"))
    await queries.ask(question(tenant="b"))
    assert await Storage(broker).count(topology.QUERY.name, "rag.query.requests.*") == 2

    async def both_told() -> bool:
        return len(await accepted(broker)) == 2

    await until(both_told)


@pytest.mark.parametrize("budget_s", [0.0, -1.0, 301.0, float("nan")])
async def test_a_budget_out_of_bounds_is_refused(queries: Queries, budget_s: float) -> None:
    with pytest.raises(ValueError, match="budget"):
        await queries.ask(question(), budget_s=budget_s)


async def test_a_withdrawn_question_ends_cancelled_and_the_workers_hear_of_it(queries: Queries, broker: Broker) -> None:
    heard = await broker.nc.subscribe("rag.cancel.t.q")
    assert await queries.cancel("t", "q", "alice")
    await heard.next_msg(timeout=5)
    terminal = await Terminals(broker).find("t", "q")
    assert isinstance(terminal, Cancelled)
    assert terminal.principal == "alice"
    [fact] = await Storage(broker).following(topology.EVENTS.name, "rag.events.query.cancelled.t")
    assert QueryEvent.from_bytes(fact.data).fact is QueryFact.CANCELLED


async def test_withdrawing_what_has_ended_changes_nothing(queries: Queries, broker: Broker) -> None:
    answer = Completed(tenant="t", query_id="q", answer="They waggle.")
    await Terminals(broker).end(answer)
    assert not await queries.cancel("t", "q")
    assert await Terminals(broker).find("t", "q") == answer
