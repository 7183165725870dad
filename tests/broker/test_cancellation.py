"""Work on a query that has ended is interrupted, and only that."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from contracts.answers import Completed
from deploy.local.nats_server import NatsServer
from messaging.broker import Broker
from messaging.cancellation import Cancellations, QueryCancelledError
from messaging.queries import Queries
from messaging.terminals import Terminals
from tests.support.outages import outage
from tests.support.subscriptions import known_to_broker


@pytest.fixture
async def cancellations(broker: Broker) -> AsyncIterator[Cancellations]:
    cancellations = Cancellations(broker)
    await cancellations.start()
    yield cancellations
    await cancellations.stop()


async def endless(cancellations: Cancellations, query_id: str = "q", begun: asyncio.Event | None = None) -> None:
    async with cancellations.watch("t", query_id):
        if begun is not None:
            begun.set()
        await asyncio.Event().wait()


async def test_a_withdrawn_query_is_interrupted(cancellations: Cancellations, broker: Broker) -> None:
    begun = asyncio.Event()
    working = asyncio.create_task(endless(cancellations, begun=begun))
    await begun.wait()
    await Queries(broker).cancel("t", "q")
    with pytest.raises(QueryCancelledError):
        await working


async def test_a_query_that_had_ended_before_is_interrupted(cancellations: Cancellations, broker: Broker) -> None:
    await Terminals(broker).end(Completed(tenant="t", query_id="q", answer="done"))
    with pytest.raises(QueryCancelledError):
        await endless(cancellations)


async def test_other_queries_and_tenants_go_on(cancellations: Cancellations, broker: Broker) -> None:
    begun = asyncio.Event()
    working = asyncio.create_task(endless(cancellations, "q1", begun))
    await begun.wait()
    await Queries(broker).cancel("t", "q2")
    await Queries(broker).cancel("other", "q1")
    await known_to_broker(broker)
    assert not working.done()
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working


async def test_work_that_ends_by_itself_is_left_alone(cancellations: Cancellations) -> None:
    async with cancellations.watch("t", "q"):
        await asyncio.sleep(0)
    await asyncio.sleep(0)


async def test_an_error_of_the_work_itself_comes_through(cancellations: Cancellations) -> None:
    with pytest.raises(ZeroDivisionError):
        async with cancellations.watch("t", "q"):
            raise ZeroDivisionError


async def test_a_task_cancelled_from_outside_stays_cancelled(cancellations: Cancellations, broker: Broker) -> None:
    begun = asyncio.Event()
    working = asyncio.create_task(endless(cancellations, begun=begun))
    await begun.wait()
    working.cancel()
    await Queries(broker).cancel("t", "q")
    with pytest.raises(asyncio.CancelledError):
        await working
    assert working.cancelled()


async def test_a_timeout_around_it_still_counts_as_a_timeout(cancellations: Cancellations) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await endless(cancellations)


async def test_without_a_broker_the_work_goes_on(
    cancellations: Cancellations, broker: Broker, nats_server: NatsServer
) -> None:
    async with outage(nats_server, broker), cancellations.watch("t", "q"):
        await asyncio.sleep(0)


async def test_word_of_a_cancellation_reaches_workers_after_a_reconnect(
    cancellations: Cancellations, broker: Broker, nats_server: NatsServer
) -> None:
    async with outage(nats_server, broker):
        pass
    await test_a_withdrawn_query_is_interrupted(cancellations, broker)


async def test_nothing_is_remembered_of_queries_that_are_done(cancellations: Cancellations) -> None:
    for i in range(100):
        async with cancellations.watch("t", f"q{i}"):
            pass
    assert cancellations.watched == 0
