"""Stand-ins for retrieve workers that encode texts for whoever asks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from messaging.broker import Broker
from messaging.encoding import Encode, encode_office
from tests.support.subscriptions import known_to_broker
from workers.encoding.base import Embedder
from workers.encoding.simulated import SimulatedEmbedder
from workers.retrieve.text_vectors import TextVectors

T = TypeVar("T")


def vectors_of(
    embedder: Embedder, *, reply_bytes: int = 1024 * 1024, monotonic: Callable[[], float] = time.monotonic
) -> TextVectors:
    """Of an encoder that no question wants."""

    async def at_once(work: Callable[[Embedder], T]) -> T:
        return work(embedder)

    return TextVectors(at_once, embedder.identity, reply_bytes=reply_bytes, monotonic=monotonic)


@asynccontextmanager
async def encoding_office(
    broker: Broker, encode: Encode | None = None, *, concurrency: int = 16
) -> AsyncIterator[asyncio.Task[None]]:
    """Answer requests for vectors with those of the simulated encoder, or by `encode`, during the block."""
    answer = encode or vectors_of(SimulatedEmbedder()).reply
    office = asyncio.create_task(encode_office(broker, answer, service="retrieve", concurrency=concurrency).run())
    await asyncio.sleep(0)
    await known_to_broker(broker)
    try:
        yield office
    finally:
        office.cancel()
        await asyncio.wait({office})
