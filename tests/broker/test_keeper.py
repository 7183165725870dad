"""Every accepted query ends at its deadline, with no worker alive, as long as one keeper lives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import pytest

from contracts import subjects, topology
from contracts.answers import Completed, Failed
from contracts.errors import ErrorCode
from contracts.events import QueryFact
from contracts.queries import QueryRequest
from contracts.settings import BrokerSettings, KeeperSettings
from deploy.local.nats_server import NatsServer
from messaging.answers import AnswerReader
from messaging.broker import Broker
from messaging.events import Events
from messaging.queries import Queries
from messaging.storage import Storage
from messaging.terminals import AnyTerminal, Terminals
from tests.support.outages import crash, outage
from tests.support.waiting import until
from tests.support.workers import running
from workers.keeper.deadlines import Deadlines
from workers.keeper.timekeeper import Timekeeper
from workers.keeper.worker import build

SHORT_S = 0.4


@asynccontextmanager
async def keeping(timekeeper: Timekeeper) -> AsyncIterator[Timekeeper]:
    """A keeper at work, until it is told to stop; it must not have ended by itself."""
    task = asyncio.create_task(timekeeper.run())
    try:
        yield timekeeper
        assert not task.done(), f"the keeper ended: {task}"
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def ask(broker: Broker, query_id: str = "q", *, budget_s: float = SHORT_S) -> None:
    await Queries(broker).ask(QueryRequest(tenant="t", query_id=query_id, query="How?"), budget_s=budget_s)


async def ended(broker: Broker, query_id: str = "q", *, timeout_s: float = 10.0) -> AnyTerminal:
    """How the query ended, once it has."""
    terminals = Terminals(broker)

    async def has_ended() -> bool:
        return await terminals.find("t", query_id) is not None

    await until(has_ended, timeout_s=timeout_s)
    terminal = await terminals.find("t", query_id)
    assert terminal is not None
    return terminal


def is_late(terminal: AnyTerminal) -> bool:
    return isinstance(terminal, Failed) and terminal.code == ErrorCode.DEADLINE_EXCEEDED and terminal.retryable


async def terminals_stored(broker: Broker) -> int:
    return await Storage(broker).count(topology.TERMINALS.name, "rag.terminal.>")


async def test_a_query_with_every_worker_dead_fails_at_its_deadline_and_not_before(broker: Broker) -> None:
    async with keeping(Timekeeper(broker)), AnswerReader(broker).open("t", "q") as answer:
        await ask(broker)
        events = [event async for event in answer.events(timeout_s=10)]
    assert len(events) == 1
    assert is_late(events[0])  # type: ignore[arg-type]  # the only event of an answer is its terminal
    storage = Storage(broker)
    asked = await storage.last(topology.QUERY.name, "rag.query.requests.t")
    stored = await storage.last(topology.TERMINALS.name, "rag.terminal.t.q")
    assert asked is not None
    assert stored is not None
    assert stored.stored_at >= asked.stored_at + timedelta(seconds=SHORT_S)


async def test_a_query_ended_late_is_a_fact(broker: Broker) -> None:
    async with keeping(Timekeeper(broker)):
        await ask(broker)

        async def told() -> bool:
            return await Storage(broker).count(topology.EVENTS.name, "rag.events.query.failed.t") == 1

        await until(told)


async def test_a_query_that_was_answered_keeps_its_answer_and_its_timer_goes(broker: Broker) -> None:
    answer = Completed(tenant="t", query_id="q", answer="They waggle.")
    async with keeping(Timekeeper(broker)) as keeper:
        await ask(broker, budget_s=60)
        await until(lambda: keeper.armed == 1)
        await Terminals(broker).end(answer)
        await Events(broker).query(QueryFact.COMPLETED, tenant="t", query_id="q", answered=True)
        await until(lambda: keeper.armed == 0)
    assert await Terminals(broker).find("t", "q") == answer


async def test_an_answer_whose_fact_was_lost_is_not_overruled(broker: Broker) -> None:
    answer = Completed(tenant="t", query_id="q", answer="They waggle.")
    async with keeping(Timekeeper(broker)) as keeper:
        await ask(broker, budget_s=SHORT_S)
        await Terminals(broker).end(answer)
        await until(lambda: keeper.armed == 1)
        await until(lambda: keeper.armed == 0)
    assert await Terminals(broker).find("t", "q") == answer
    assert await Storage(broker).count(topology.EVENTS.name, "rag.events.query.failed.t") == 0


async def test_a_query_whose_deadline_passed_while_no_keeper_lived_is_ended_by_the_next_one(broker: Broker) -> None:
    await ask(broker, budget_s=0.05)
    async with keeping(Timekeeper(broker)):
        assert is_late(await ended(broker))


async def test_a_query_taken_from_the_queue_by_a_worker_that_died_is_ended_by_a_later_keeper(broker: Broker) -> None:
    await ask(broker)
    await broker.js.purge_stream(topology.QUERY.name)
    async with keeping(Timekeeper(broker)):
        assert is_late(await ended(broker))


async def test_two_keepers_end_each_query_once(broker: Broker, broker_settings: BrokerSettings) -> None:
    async with AsyncExitStack() as stack:
        for n in range(2):
            other = await Broker.connect(broker_settings, name=f"keeper-{n}", on_closed=lambda: None)
            stack.push_async_callback(other.close)
            await stack.enter_async_context(keeping(Timekeeper(other)))
        for n in range(20):
            await ask(broker, f"q{n}")
        for n in range(20):
            assert is_late(await ended(broker, f"q{n}"))
    assert await terminals_stored(broker) == 20


async def test_when_one_keeper_dies_the_other_goes_on(broker: Broker) -> None:
    async with keeping(Timekeeper(broker)):
        async with keeping(Timekeeper(broker)) as dying:
            await ask(broker, budget_s=1)
            await until(lambda: dying.armed == 1)
        assert is_late(await ended(broker))


async def test_a_crash_of_the_broker_between_asking_and_the_deadline_changes_nothing(
    broker: Broker, nats_server: NatsServer
) -> None:
    async with keeping(Timekeeper(broker)) as keeper:
        await ask(broker, budget_s=1)
        await until(lambda: keeper.armed == 1)
        await crash(nats_server, broker)
        assert is_late(await ended(broker))


async def test_a_deadline_that_passes_while_the_broker_is_away_is_kept_when_it_is_back(
    broker: Broker, nats_server: NatsServer
) -> None:
    async with keeping(Timekeeper(broker)) as keeper:
        await ask(broker)
        passed = broker.clock.now() + timedelta(seconds=SHORT_S + 0.3)
        await until(lambda: keeper.armed == 1)
        async with outage(nats_server, broker):
            await until(lambda: broker.clock.now() > passed)
        assert is_late(await ended(broker))


async def test_a_publisher_that_sets_no_headers_is_served_by_the_request_itself(broker: Broker) -> None:
    deadlines = Deadlines()
    async with keeping(Timekeeper(broker, deadlines=deadlines)):
        request = QueryRequest(tenant="t", query_id="bare", query="How?")
        await broker.publish_bytes("rag.query.requests.t", request.to_bytes(), stream=topology.QUERY.name)
        await until(lambda: ("t", "bare") in deadlines)


async def test_a_waiting_request_without_headers_is_found_by_a_later_keeper(broker: Broker) -> None:
    deadlines = Deadlines()
    request = QueryRequest(tenant="t", query_id="bare", query="How?")
    await broker.publish_bytes("rag.query.requests.t", request.to_bytes(), stream=topology.QUERY.name)
    async with keeping(Timekeeper(broker, deadlines=deadlines)):
        await until(lambda: ("t", "bare") in deadlines)


async def test_a_publisher_that_names_the_expected_stream_is_served_too(broker: Broker) -> None:
    """The broker copies that header into the accepted fact, which EVENTS then refuses."""
    headers = {subjects.HEADER_QUERY_ID: "q", subjects.HEADER_BUDGET_MS: "400"}
    request = QueryRequest(tenant="t", query_id="q", query="How?")
    async with keeping(Timekeeper(broker)):
        await broker.js.publish("rag.query.requests.t", request.to_bytes(), stream="QUERY", headers=headers)
        assert is_late(await ended(broker))


@pytest.mark.parametrize("query_id", ["", "a.b", "*", ">", "a b", "x" * 200])
async def test_no_header_however_odd_stops_the_keeper(broker: Broker, query_id: str) -> None:
    odd = {subjects.HEADER_QUERY_ID: query_id, subjects.HEADER_BUDGET_MS: "soon"}
    async with keeping(Timekeeper(broker)):
        await broker.publish_bytes("rag.query.requests.t", b"\xff not json", stream="QUERY", headers=odd)
        await broker.publish_bytes("rag.query.requests.t$", b"{}", stream="QUERY", headers=odd)
        await broker.publish_bytes("rag.events.query.completed.t", b"not json", stream="EVENTS")
        await ask(broker)
        assert is_late(await ended(broker))


async def test_more_queries_than_timers_are_kept_in_the_stream_until_there_is_room(broker: Broker) -> None:
    async with keeping(Timekeeper(broker, deadlines=Deadlines(capacity=3), poll_s=0.05)) as keeper:
        for n in range(12):
            await ask(broker, f"q{n}", budget_s=0.2)
        assert keeper.armed <= 3
        for n in range(12):
            assert is_late(await ended(broker, f"q{n}"))


async def test_the_keeper_is_a_worker_that_starts_and_stops_in_order(broker: Broker, nats_server: NatsServer) -> None:
    async with running(build(KeeperSettings(nats_url=nats_server.url, instance="keeper-1"))):
        await ask(broker)
        assert is_late(await ended(broker))


async def test_a_keeper_told_to_stop_at_any_moment_stops(broker: Broker) -> None:
    for turns in range(60):
        keeping_time = asyncio.create_task(Timekeeper(broker, poll_s=0.001).run())
        for _ in range(turns):
            await asyncio.sleep(0)
        keeping_time.cancel()
        await asyncio.wait({keeping_time}, timeout=10)
        assert keeping_time.cancelled()
