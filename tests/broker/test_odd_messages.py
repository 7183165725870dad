"""Messages that nobody meant to send end as dead letters too; none stays in its queue unseen."""

from __future__ import annotations

import pytest

from contracts import subjects
from contracts.documents import PurgeRequest
from contracts.errors import ErrorCode, PermanentError
from contracts.topology import Topology
from messaging.app import WorkerApp
from messaging.broker import Broker
from messaging.delivery import Delivery
from tests.support.letters import dead_letters
from tests.support.purges import CONSUMER, left, send
from tests.support.topologies import brisk
from tests.support.waiting import until
from tests.support.workers import running


@pytest.fixture
def table() -> Topology:
    return brisk(max_deliver=2)


async def test_an_empty_message_that_poses_as_a_word_of_the_broker_is_dead_lettered(
    broker: Broker, worker: WorkerApp
) -> None:
    @worker.consumes(CONSUMER, PurgeRequest)
    async def handle(request: PurgeRequest, delivery: Delivery) -> None:
        raise AssertionError("it holds no request")

    async with running(worker):
        await broker.nc.publish(subjects.embed_purge("t"), b"", headers={"Status": "404"})

        async def is_dead_lettered() -> bool:
            return [letter.code for letter in await dead_letters(broker)] == [ErrorCode.INVALID_MESSAGE]

        await until(is_dead_lettered)
    assert await left(broker) == 0


async def test_a_message_whose_subject_of_work_does_not_exist_is_dead_lettered(
    broker: Broker, worker: WorkerApp
) -> None:
    async def unknown(request: PurgeRequest, error: PermanentError) -> None:
        raise PermanentError(f"there is no document {request.document_id}")

    @worker.consumes(CONSUMER, PurgeRequest, on_dead_letter=unknown)
    async def handle(request: PurgeRequest, delivery: Delivery) -> None:
        raise PermanentError("the ledger has no record of it", code=ErrorCode.INTERNAL)

    async with running(worker):
        await send(broker, "nothing")

        async def is_dead_lettered() -> bool:
            return [letter.reason for letter in await dead_letters(broker)] == ["the ledger has no record of it"]

        await until(is_dead_lettered)
    assert await left(broker) == 0
