"""The reranker's thread: texts grouped, order kept, and nothing more computed once nobody waits for it."""

from __future__ import annotations

import asyncio
import threading
import zlib
from collections.abc import AsyncIterator, Sequence

import numpy as np
import pytest

from contracts.errors import PermanentError
from contracts.model_settings import RerankerSettings
from tests.support.waiting import until
from tests.unit.reranking.reranker_contract import RerankerContract
from workers.reranking.base import Scores
from workers.reranking.model_thread import ThreadedReranker


class Lengths:
    """Prefers long texts; can be held in a call."""

    pairs_at_once = 4

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.threads: set[str] = set()
        self.open = threading.Event()
        self.open.set()

    def score(self, query: str, texts: Sequence[str]) -> Scores:
        self.calls.append(list(texts))
        self.threads.add(threading.current_thread().name)
        assert self.open.wait(30)
        return np.array([float(len(text)) for text in texts])


@pytest.fixture
def model() -> Lengths:
    return Lengths()


@pytest.fixture
async def reranker(model: Lengths) -> AsyncIterator[ThreadedReranker]:
    reranker = ThreadedReranker(RerankerSettings(), load=lambda _: model)
    await reranker.start()
    yield reranker
    model.open.set()
    await reranker.close()


class Digests:
    """Every text has a score of its own."""

    pairs_at_once = 5

    def score(self, query: str, texts: Sequence[str]) -> Scores:
        return np.array([float(zlib.crc32(text.encode("utf-8", "surrogatepass"))) for text in texts])


class TestThreadedReranker(RerankerContract):
    @pytest.fixture
    async def reranker(self) -> AsyncIterator[ThreadedReranker]:
        reranker = ThreadedReranker(RerankerSettings(), load=lambda _: Digests())
        await reranker.start()
        yield reranker
        await reranker.close()


async def test_scores_come_in_the_order_of_the_texts(reranker: ThreadedReranker, model: Lengths) -> None:
    texts = ["x" * length for length in (5, 1, 9, 2, 7, 3)]
    assert (await reranker.rerank("q", texts)).tolist() == [5, 1, 9, 2, 7, 3]
    assert [len(call) for call in model.calls] == [4, 2]
    assert model.calls[0] == ["x", "xx", "xxx", "x" * 5]
    assert model.threads == {"reranker_0"}


async def test_what_nobody_waits_for_ends_with_the_call_it_is_in(reranker: ThreadedReranker, model: Lengths) -> None:
    model.open.clear()
    asked = asyncio.create_task(reranker.rerank("q", ["x"] * 40))
    queued = asyncio.create_task(reranker.rerank("q", ["y"] * 40))
    await until(lambda: model.calls)
    for task in (asked, queued):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    model.open.set()
    assert (await reranker.rerank("q", ["last"])).tolist() == [4]
    assert [call[0] for call in model.calls] == ["x", "last"]


async def test_nothing_is_scored_before_the_start() -> None:
    reranker = ThreadedReranker(RerankerSettings(), load=lambda _: Lengths())
    with pytest.raises(RuntimeError, match="start"):
        await reranker.rerank("q", ["x"])
    await reranker.close()


async def test_a_model_that_cannot_be_loaded_is_told() -> None:
    def fail(_: RerankerSettings) -> Lengths:
        raise PermanentError("no such model")

    reranker = ThreadedReranker(RerankerSettings(), load=fail)
    with pytest.raises(PermanentError, match="no such model"):
        await reranker.start()
    await reranker.close()
