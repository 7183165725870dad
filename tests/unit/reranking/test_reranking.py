"""Reranking in time or not at all; the model is a fake, the clock real only where something has to time out."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest

from contracts.errors import PermanentError, TransientError
from messaging.breaker import Breaker, BreakerState
from tests.support.clocks import Clock
from tests.support.waiting import until
from workers.reranking.base import Scores
from workers.reranking.pace import BELIEVED_S
from workers.reranking.reranking import QUESTION, SHARE_BEFORE_AN_ANSWER, SHARE_OF_A_SEARCH, Reranking, look

TEXTS = ["b", "a", "c"]


class Alphabetic:
    """Prefers later letters. Takes so long on the clock, fails as told, can be held."""

    endpoints = None

    def __init__(self, clock: Clock) -> None:
        self.calls: list[tuple[str, int]] = []
        self.clock = clock
        self.takes_s = 0.0
        self.error: Exception | None = None
        self.open = asyncio.Event()
        self.open.set()
        self.closed = False
        self.cancelled = 0

    async def start(self) -> None:
        if self.error:
            raise self.error

    async def rerank(self, query: str, texts: Sequence[str]) -> Scores:
        self.calls.append((query, len(texts)))
        self.clock.now += self.takes_s
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error:
            raise self.error
        return np.array([float(ord(text[0])) for text in texts])

    async def close(self) -> None:
        self.closed = True


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def model(clock: Clock) -> Alphabetic:
    return Alphabetic(clock)


@pytest.fixture
def breaker(model: Alphabetic) -> Breaker:
    return Breaker("reranker", lambda: look(model))


@pytest.fixture
def reranking(model: Alphabetic, breaker: Breaker, clock: Clock) -> Reranking:
    return made(model, breaker, clock)


def made(model: Alphabetic, breaker: Breaker, clock: Clock, *, timeout_s: float = 1.0) -> Reranking:
    return Reranking(model, breaker, window=24, timeout_s=timeout_s, scripts=frozenset({"latin"}), monotonic=clock)


async def scored(
    reranking: Reranking, query: str = "Why?", *, left_s: float | None = None, answered: bool = False
) -> Scores | None:
    return await reranking.scores(query, TEXTS, left_s=left_s, answered=answered)


async def test_every_text_has_its_score(reranking: Reranking) -> None:
    scores = await scored(reranking)
    assert scores is not None
    assert np.argsort(-scores).tolist() == [2, 0, 1]


async def test_a_start_measures_the_window(reranking: Reranking, model: Alphabetic) -> None:
    model.takes_s = 0.5
    await reranking.start()
    assert model.calls[-1] == (QUESTION, 24)
    assert await scored(reranking, left_s=0.001) is None, "3 of 24 texts are expected to take 62 ms"


async def test_a_model_that_is_too_slow_is_left_out_and_tried_again_later(
    reranking: Reranking, model: Alphabetic, clock: Clock
) -> None:
    model.takes_s = 10.0
    await reranking.start()
    calls = len(model.calls)
    assert await scored(reranking) is None
    assert len(model.calls) == calls
    clock.now += BELIEVED_S + 1
    model.takes_s = 0.1
    assert await scored(reranking) is not None
    assert await scored(reranking) is not None


@pytest.mark.parametrize(
    ("answered", "share"), [(True, SHARE_BEFORE_AN_ANSWER), (False, SHARE_OF_A_SEARCH)], ids=["answer", "search"]
)
async def test_the_deadline_leaves_it_a_share_of_the_time(
    reranking: Reranking, model: Alphabetic, answered: bool, share: float
) -> None:
    model.takes_s = 0.3
    await scored(reranking)
    assert await scored(reranking, left_s=0.29 / share, answered=answered) is None
    assert await scored(reranking, left_s=0.31 / share, answered=answered) is not None


async def test_no_time_left_is_no_time(reranking: Reranking, model: Alphabetic) -> None:
    assert await scored(reranking, left_s=-1.0) is None
    assert model.calls == []


async def test_one_that_is_not_done_in_time_is_stopped_and_counts_as_away(
    model: Alphabetic, breaker: Breaker, clock: Clock
) -> None:
    model.open.clear()
    assert await scored(made(model, breaker, clock, timeout_s=0.05)) is None
    assert model.cancelled == 1
    assert breaker.state is BreakerState.OPEN
    assert "0.05 s" in breaker.reason


async def test_a_question_in_a_hurry_turns_reranking_off_for_nobody_else(
    model: Alphabetic, breaker: Breaker, clock: Clock
) -> None:
    reranking = made(model, breaker, clock, timeout_s=600)
    model.open.clear()
    assert await scored(reranking, left_s=0.05) is None
    assert model.cancelled == 1
    assert breaker.state is BreakerState.CLOSED
    model.open.set()
    assert await scored(reranking) is not None


@pytest.mark.parametrize("error", [TransientError("away"), RuntimeError("device lost")])
async def test_one_that_fails_counts_as_away_until_it_is_back(
    reranking: Reranking, model: Alphabetic, breaker: Breaker, error: Exception
) -> None:
    model.error = error
    assert await scored(reranking) is None
    assert breaker.state is BreakerState.OPEN
    calls = len(model.calls)
    assert await scored(reranking) is None
    assert len(model.calls) == calls, "one that is away is not asked"
    model.error = None
    looking = asyncio.create_task(breaker.run())
    async with asyncio.timeout(60):
        await breaker.closed()
    looking.cancel()
    assert await scored(reranking) is not None


async def test_texts_that_are_refused_say_nothing_about_the_model(
    reranking: Reranking, model: Alphabetic, breaker: Breaker
) -> None:
    model.error = PermanentError("too long")
    assert await scored(reranking) is None
    assert breaker.state is BreakerState.CLOSED


@pytest.mark.parametrize("scores", [np.array([1.0, 2.0]), np.array([1.0, np.nan, 0.0])])
async def test_scores_that_mean_nothing_are_not_used(
    reranking: Reranking, model: Alphabetic, breaker: Breaker, monkeypatch: pytest.MonkeyPatch, scores: Scores
) -> None:
    async def rerank(query, texts):
        return scores

    monkeypatch.setattr(model, "rerank", rerank)
    assert await scored(reranking) is None
    assert breaker.state is BreakerState.OPEN


async def test_a_question_that_the_model_does_not_understand_is_not_reranked(
    reranking: Reranking, model: Alphabetic
) -> None:
    assert await scored(reranking, "蜜蜂为什么跳舞？") is None
    assert model.calls == []


async def test_a_question_that_is_given_up_stops_it(reranking: Reranking, model: Alphabetic, breaker: Breaker) -> None:
    model.open.clear()
    asked = asyncio.create_task(scored(reranking))
    await until(lambda: model.calls)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert model.cancelled == 1
    assert breaker.state is BreakerState.CLOSED


@pytest.mark.parametrize("error", [TransientError("not up yet"), RuntimeError("CUDA out of memory")])
async def test_a_model_that_is_away_at_the_start_may_come_later(
    reranking: Reranking, model: Alphabetic, breaker: Breaker, error: Exception
) -> None:
    model.error = error
    await reranking.start()
    assert breaker.state is BreakerState.OPEN


async def test_wrong_settings_are_told_at_the_start(reranking: Reranking, model: Alphabetic) -> None:
    model.error = PermanentError("WAGGLE_RERANKER_MODEL")
    with pytest.raises(PermanentError, match="WAGGLE_RERANKER_MODEL"):
        await reranking.start()


async def test_its_end_is_the_models(reranking: Reranking, model: Alphabetic) -> None:
    await reranking.close()
    assert model.closed
