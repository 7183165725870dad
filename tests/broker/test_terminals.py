"""A query ends once, whoever and however many try to end it."""

from __future__ import annotations

import asyncio

import pytest

from contracts import subjects, topology
from contracts.answers import Cancelled, Completed, Failed
from contracts.errors import ErrorCode
from deploy.local.nats_server import NatsServer
from messaging.broker import Broker
from messaging.errors import BrokerUnavailableError
from messaging.storage import Storage
from messaging.terminals import AnyTerminal, Terminals
from tests.support.outages import crash, outage
from tests.support.waiting import until


@pytest.fixture
def terminals(broker: Broker) -> Terminals:
    return Terminals(broker)


def completed(answer: str = "Bees dance.", query_id: str = "q") -> Completed:
    return Completed(tenant="t", query_id=query_id, answer=answer)


async def stored(broker: Broker, subject: str = "rag.terminal.t.q") -> int:
    return await Storage(broker).count(topology.TERMINALS.name, subject)


async def test_a_terminal_is_stored_and_found(terminals: Terminals) -> None:
    terminal = completed()
    assert await terminals.find("t", "q") is None
    assert await terminals.end(terminal)
    assert await terminals.find("t", "q") == terminal


async def test_of_fifty_racing_terminals_one_is_stored_and_one_told_it_won(
    terminals: Terminals, broker: Broker
) -> None:
    racing: list[AnyTerminal] = [completed(f"answer {i}") for i in range(48)]
    racing += [Cancelled(tenant="t", query_id="q")]
    racing += [Failed(tenant="t", query_id="q", code=ErrorCode.DEADLINE_EXCEEDED, message="late", retryable=True)]
    won = await asyncio.gather(*(terminals.end(terminal) for terminal in racing))
    assert sum(won) == 1
    assert await stored(broker) == 1
    assert await terminals.find("t", "q") == racing[won.index(True)]


async def test_ending_again_with_the_very_same_terminal_is_still_ours(terminals: Terminals) -> None:
    terminal = completed()
    assert await terminals.end(terminal)
    assert await terminals.end(terminal)


async def test_after_a_crash_that_lost_the_brokers_memory_of_ids_the_first_terminal_still_stands(
    terminals: Terminals, broker: Broker, nats_server: NatsServer
) -> None:
    first = completed("first")
    await terminals.end(first)
    await crash(nats_server, broker)
    assert not await terminals.end(completed("second"))
    assert await terminals.end(first)
    assert await terminals.find("t", "q") == first
    assert await stored(broker) == 1


async def test_equal_query_ids_of_two_tenants_end_apart(terminals: Terminals) -> None:
    assert await terminals.end(completed())
    assert await terminals.end(Completed(tenant="other", query_id="q", answer="another"))


async def test_the_broker_copies_the_stored_terminal_and_no_other_to_the_answer(
    terminals: Terminals, broker: Broker
) -> None:
    heard: list[bytes] = []
    subscription = await broker.nc.subscribe(subjects.answer_end("t", "q"))
    for i in range(5):
        await terminals.end(completed(f"answer {i}"))
    heard.append((await subscription.next_msg(timeout=5)).data)

    async def captured() -> bool:
        return await Storage(broker).count(topology.ANSWERS.name, subjects.answer_end("t", "q")) == 1

    await until(captured)
    assert heard == [completed_bytes(await terminals.find("t", "q"))]
    assert subscription.pending_msgs == 0


def completed_bytes(terminal: AnyTerminal | None) -> bytes:
    assert terminal is not None
    return terminal.to_bytes()


async def test_without_a_broker_nobody_is_told_that_a_query_ended(
    terminals: Terminals, broker: Broker, nats_server: NatsServer
) -> None:
    async with outage(nats_server, broker):
        with pytest.raises(BrokerUnavailableError):
            await terminals.end(completed())
    assert await terminals.find("t", "q") is None


async def test_a_terminal_that_cannot_be_read_is_an_end_all_the_same(terminals: Terminals, broker: Broker) -> None:
    await broker.publish_bytes("rag.terminal.t.q", b"{}", stream=topology.TERMINALS.name)
    assert not await terminals.end(completed())
    found = await terminals.find("t", "q")
    assert isinstance(found, Failed)
    assert found.code == ErrorCode.INVALID_MESSAGE
