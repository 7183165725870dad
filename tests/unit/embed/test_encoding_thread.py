"""The encoder's thread: order kept, turns taken, and nothing more encoded once nobody waits for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence

import pytest

from tests.support.waiting import until
from workers.embed.encoding_thread import PASSAGES_AT_ONCE, EncodingThread
from workers.encoding.base import Passage, PassageEmbedding
from workers.encoding.simulated import SimulatedEmbedder


class Counting(SimulatedEmbedder):
    """Notes the size of each call, and can be held in one."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[int] = []
        self.open = threading.Event()
        self.open.set()
        self.closed = threading.Event()

    def close(self) -> None:
        self.closed.set()

    def encode_passages(self, passages: Sequence[Passage]) -> list[PassageEmbedding | Exception]:
        self.calls.append(len(passages))
        assert self.open.wait(30)
        return super().encode_passages(passages)


def passages(count: int) -> list[Passage]:
    return [Passage(text=f"{number} " * (number % 7 + 1)) for number in range(count)]


@pytest.fixture
def encoder() -> Counting:
    return Counting()


@pytest.fixture
async def thread(encoder: Counting) -> AsyncIterator[EncodingThread]:
    thread = EncodingThread(lambda: encoder)
    await thread.start()
    yield thread
    encoder.open.set()
    thread.stop()


async def test_outcomes_come_in_the_order_of_the_passages(thread: EncodingThread, encoder: Counting) -> None:
    wanted = passages(2 * PASSAGES_AT_ONCE + 3)
    outcomes = await thread.encode(wanted)
    for passage, outcome in zip(wanted, outcomes, strict=True):
        (alone,) = SimulatedEmbedder().encode_passages([passage])
        assert isinstance(outcome, PassageEmbedding)
        assert isinstance(alone, PassageEmbedding)
        assert (outcome.vector == alone.vector).all()
    assert max(encoder.calls) == PASSAGES_AT_ONCE


async def test_what_nobody_waits_for_any_more_is_not_encoded(thread: EncodingThread, encoder: Counting) -> None:
    encoder.open.clear()
    waiting = asyncio.create_task(thread.encode(passages(8 * PASSAGES_AT_ONCE)))
    await until(lambda: len(encoder.calls) == 1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    encoder.open.set()
    assert len(await thread.encode(passages(1))) == 1
    assert encoder.calls == [PASSAGES_AT_ONCE, 1]


async def test_nothing_to_encode_is_no_call(thread: EncodingThread, encoder: Counting) -> None:
    assert await thread.encode([]) == []
    assert encoder.calls == []


async def test_its_end_is_the_encoders_once_it_has_done_what_it_was_doing(encoder: Counting) -> None:
    thread = EncodingThread(lambda: encoder)
    await thread.start()
    encoder.open.clear()
    encoding = asyncio.create_task(thread.encode(passages(1)))
    await until(lambda: encoder.calls)
    thread.stop()
    assert not encoder.closed.is_set()
    encoder.open.set()
    assert len(await encoding) == 1
    assert await asyncio.to_thread(encoder.closed.wait, 10)
