"""Finished embed batches are counted once each, by any number of workers."""

from __future__ import annotations

import asyncio

import pytest

from messaging.batches import FinishedBatches
from messaging.broker import Broker
from messaging.ledger import DocumentLedger


async def test_whoever_finishes_last_sees_the_full_count(broker: Broker) -> None:
    batches = FinishedBatches(broker)
    counts = await asyncio.gather(*(batches.finish("g", n) for n in range(20)))
    assert max(counts) == 20
    assert await batches.count("g") == 20


async def test_a_repeated_batch_counts_once(broker: Broker) -> None:
    batches = FinishedBatches(broker)
    assert await batches.finish("g", 0) == 1
    assert await batches.finish("g", 0) == 1
    assert await batches.finish("g", 1) == 2


async def test_generations_are_counted_apart_and_cleared_apart(broker: Broker) -> None:
    batches = FinishedBatches(broker)
    await batches.finish("g", 0)
    await batches.finish("h", 0)
    await batches.clear("g")
    assert (await batches.count("g"), await batches.count("h")) == (0, 1)


async def test_more_batches_than_one_bulk_read_holds_are_counted(broker: Broker) -> None:
    batches = FinishedBatches(broker)
    await asyncio.gather(*(batches.finish("g", n) for n in range(1100)))
    assert await batches.count("g") == 1100


async def test_a_batch_beyond_the_plan_is_refused(broker: Broker) -> None:
    with pytest.raises(ValueError, match="not one of 2"):
        await DocumentLedger(broker).batch_done("t", "d", "g", 2, of=2)
