"""Messages that are handled together are still settled one by one."""

from __future__ import annotations

import asyncio

import pytest

from contracts.documents import PurgeRequest
from contracts.errors import ErrorCode, PermanentError, TransientError
from messaging.app import WorkerApp
from messaging.attempts import UNSUSPECTED_DELIVERIES
from messaging.broker import Broker
from messaging.gathering import BatchItem
from tests.support.letters import dead_letters
from tests.support.purges import CONSUMER, QUICK, left, purge, send, send_bytes
from tests.support.topologies import BRISK_ACK_WAIT_S
from tests.support.waiting import until
from tests.support.workers import running

Items = list[BatchItem[PurgeRequest]]


def ids(items: Items) -> list[str]:
    return sorted(item.message.document_id for item in items)


class Batches:
    def __init__(self) -> None:
        self.all: list[list[str]] = []

    @property
    def flat(self) -> list[str]:
        return sorted(name for batch in self.all for name in batch)


@pytest.fixture
def batches() -> Batches:
    return Batches()


async def test_what_waits_is_handled_together(broker: Broker, worker: WorkerApp, batches: Batches) -> None:
    @worker.consumes_batches(CONSUMER, PurgeRequest, max_messages=4, gather_s=0.05)
    async def handle(items: Items) -> None:
        batches.all.append(ids(items))

    await send(broker, *(f"d{n}" for n in range(8)))
    async with running(worker):
        await until(lambda: _emptied(broker))
    assert batches.flat == [f"d{n}" for n in range(8)]
    assert [len(batch) for batch in batches.all] == [4, 4]


async def test_messages_that_arrive_while_gathering_join(broker: Broker, worker: WorkerApp, batches: Batches) -> None:
    @worker.consumes_batches(CONSUMER, PurgeRequest, max_messages=3, gather_s=30)
    async def handle(items: Items) -> None:
        batches.all.append(ids(items))

    async with running(worker):
        await send(broker, "a")
        await until(lambda: _in_hand(broker, 1))
        await send(broker, "b", "c")
        await until(lambda: _emptied(broker))
    assert batches.all == [["a", "b", "c"]]


async def test_what_comes_again_and_again_is_taken_apart(broker: Broker, worker: WorkerApp, batches: Batches) -> None:
    @worker.consumes_batches(CONSUMER, PurgeRequest, max_messages=4, gather_s=0.3, delays=QUICK)
    async def handle(items: Items) -> None:
        batches.all.append(ids(items))
        if len(batches.all) <= UNSUSPECTED_DELIVERIES:
            raise TransientError("not now")

    await send(broker, "a", "b", "c")
    async with running(worker):
        await until(lambda: _emptied(broker))
    assert sorted(batches.all[UNSUSPECTED_DELIVERIES:]) == [["a"], ["b"], ["c"]]


async def test_a_lone_message_is_not_held_up(broker: Broker, worker: WorkerApp, batches: Batches) -> None:
    @worker.consumes_batches(CONSUMER, PurgeRequest, max_messages=16, gather_s=0.02)
    async def handle(items: Items) -> None:
        batches.all.append(ids(items))

    async with running(worker):
        await send(broker, "a")
        await until(lambda: batches.all == [["a"]])


async def test_one_bad_item_does_not_spoil_the_others(broker: Broker, worker: WorkerApp, batches: Batches) -> None:
    told: list[str] = []

    async def on_dead_letter(request: PurgeRequest, error: PermanentError) -> None:
        told.append(request.document_id)

    @worker.consumes_batches(
        CONSUMER, PurgeRequest, max_messages=8, gather_s=0.2, on_dead_letter=on_dead_letter, delays=QUICK
    )
    async def handle(items: Items) -> None:
        batches.all.append(ids(items))
        for item in items:
            if item.message.document_id == "bad":
                item.fail(PermanentError("cannot be encoded", code=ErrorCode.ENCODING_FAILED))
            if item.message.document_id == "later" and item.delivery.attempt == 1:
                item.fail(TransientError("not now"))

    await send(broker, "good", "bad", "later", "fine")
    await send_bytes(broker, b"no message at all")
    async with running(worker):
        await until(lambda: _emptied(broker))
    assert batches.flat == ["bad", "fine", "good", "later", "later"]
    letters = {letter.code: letter for letter in await dead_letters(broker)}
    assert set(letters) == {ErrorCode.ENCODING_FAILED, ErrorCode.INVALID_MESSAGE}
    assert letters[ErrorCode.ENCODING_FAILED].attempts == 1
    assert told == ["bad"]


async def test_a_batch_of_nothing_but_invalid_messages_never_reaches_the_handler(
    broker: Broker, worker: WorkerApp, batches: Batches
) -> None:
    @worker.consumes_batches(CONSUMER, PurgeRequest, max_messages=4, gather_s=0.1)
    async def handle(items: Items) -> None:
        batches.all.append(ids(items))

    for _ in range(3):
        await send_bytes(broker, b"{}")
    await send_bytes(broker, purge("a", tenant="victim").to_bytes())
    async with running(worker):
        await until(lambda: _emptied(broker))
    assert batches.all == []
    assert len(await dead_letters(broker)) == 4


async def test_when_the_handler_fails_each_item_is_tried_again(
    broker: Broker, worker: WorkerApp, batches: Batches
) -> None:
    @worker.consumes_batches(CONSUMER, PurgeRequest, max_messages=3, gather_s=0.6, delays=QUICK)
    async def handle(items: Items) -> None:
        batches.all.append(ids(items))
        for item in items:
            if item.message.document_id == "a":
                item.done()
        if len(batches.all) == 1:
            raise OSError("the index is away")

    await send(broker, "a", "b", "c")
    async with running(worker):
        await until(lambda: _emptied(broker))
    assert batches.flat == ["a", "b", "b", "c", "c"]
    assert await dead_letters(broker) == []


async def test_a_batch_longer_than_the_ack_wait_is_given_once(
    broker: Broker, worker: WorkerApp, batches: Batches
) -> None:
    @worker.consumes_batches(CONSUMER, PurgeRequest, max_messages=4, gather_s=0.1, concurrency=2)
    async def handle(items: Items) -> None:
        batches.all.append(ids(items))
        await asyncio.sleep(BRISK_ACK_WAIT_S * 2.5)

    await send(broker, "a", "b", "c")
    async with running(worker):
        await until(lambda: _emptied(broker))
    assert batches.flat == ["a", "b", "c"]


async def test_a_batch_that_hangs_is_cancelled_and_tried_again(
    broker: Broker, worker: WorkerApp, batches: Batches
) -> None:
    @worker.consumes_batches(CONSUMER, PurgeRequest, max_messages=4, gather_s=0.1, time_limit_s=0.2, delays=QUICK)
    async def handle(items: Items) -> None:
        batches.all.append(ids(items))
        if len(batches.all) == 1:
            await asyncio.Event().wait()

    await send(broker, "a", "b")
    async with running(worker):
        await until(lambda: _emptied(broker))
    assert batches.flat == ["a", "a", "b", "b"]


async def test_no_more_is_fetched_than_the_batches_being_worked_on(broker: Broker, worker: WorkerApp) -> None:
    release = asyncio.Event()
    taken: list[str] = []

    @worker.consumes_batches(CONSUMER, PurgeRequest, max_messages=4, gather_s=0.05, concurrency=2)
    async def handle(items: Items) -> None:
        taken.extend(ids(items))
        await release.wait()

    await send(broker, *(f"d{n}" for n in range(20)))
    async with running(worker):
        await until(lambda: len(taken) == 8)
        info = await broker.js.consumer_info(CONSUMER.stream.name, CONSUMER.durable)
        assert (info.num_ack_pending, info.num_pending) == (8, 12)
        release.set()
        await until(lambda: _emptied(broker))
    assert len(taken) == len(set(taken)) == 20


async def _emptied(broker: Broker) -> bool:
    return await left(broker) == 0


async def _in_hand(broker: Broker, count: int) -> bool:
    info = await broker.js.consumer_info(CONSUMER.stream.name, CONSUMER.durable)
    return bool(info.num_ack_pending == count)
