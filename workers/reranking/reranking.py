"""Reranking as a search needs it: in time or not at all, and never the reason that a question fails."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import numpy as np
import structlog

from contracts.errors import PermanentError, TransientError
from messaging.breaker import Breaker, BreakerState
from workers.reranking.base import Reranker, Scores
from workers.reranking.pace import Pace
from workers.text.scripts import served_share

SHARE_BEFORE_AN_ANSWER = 0.25
"""Of the time left before the deadline: the rest is for generating the answer."""
SHARE_OF_A_SEARCH = 0.8
"""The same when nothing but the passages is wanted."""
SERVED = 0.5
"""The least share of a question in scripts that the reranker understands."""
MEASURING_S = 60.0
QUESTION = "How do bees tell each other where food is?"
PASSAGE = "Honey bees tell each other where food is by dancing on the comb, and the angle gives the direction. " * 8
"""About as long as a chunk."""

log = structlog.get_logger(__name__)


async def look(reranker: Reranker) -> None:
    """Raises what reranking raises while the model is away. Two texts, as one alone has no order."""
    await reranker.rerank(QUESTION, ["By dancing.", "Bees make honey."])


class Reranking:
    """Scores candidates when there is time for it; otherwise they stay in their order, and nobody waits.

    It is left out when its moving average says that it would not be done in `timeout_s`, or not within its share of the
    time left; while the model is away (the breaker is open); and when it fails or is not done by then.
    """

    def __init__(
        self,
        reranker: Reranker,
        breaker: Breaker,
        *,
        window: int,
        timeout_s: float,
        scripts: frozenset[str],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`window`: how many of the best candidates are to be scored. `scripts`: those that the model understands."""
        self.window = window
        self._reranker = reranker
        self._breaker = breaker
        self._timeout_s = timeout_s
        self._scripts = scripts
        self._monotonic = monotonic
        self._pace = Pace(monotonic=monotonic)

    async def start(self) -> None:
        """Get ready and see how long it takes. Raises `PermanentError` for wrong settings; a model may come later."""
        try:
            await self._reranker.start()
            async with asyncio.timeout(MEASURING_S):
                await self._measure()
        except PermanentError:
            raise
        except Exception as error:  # noqa: BLE001 (questions are answered without it; the breaker looks for it)
            self._breaker.open(_told(error, within_s=MEASURING_S))

    async def close(self) -> None:
        await self._reranker.close()

    async def scores(self, query: str, texts: Sequence[str], *, left_s: float | None, answered: bool) -> Scores | None:
        """(n,) float64, higher is better; None: keep the order as it is.

        `left_s` is the time until the deadline, None without one; `answered`: an answer is still to be generated.
        """
        limit_s = self._limit_s(left_s, answered=answered)
        if not self._worth_trying(query, len(texts), limit_s):
            return None
        begun = self._monotonic()
        try:
            async with asyncio.timeout(limit_s) as limit:
                scores = _complete(await self._reranker.rerank(query, texts), len(texts))
        except PermanentError as error:
            log.warning("not reranked", reason=str(error))
            return None
        except Exception as error:  # noqa: BLE001 (whatever it is, the question goes on without it)
            self._pace.note_unfinished(len(texts), self._monotonic() - begun)
            if (
                not limit.expired() or limit_s == self._timeout_s
            ):  # else the question was in a hurry, and no model at fault
                self._breaker.open(_told(error, within_s=limit_s))
            return None
        self._pace.note(len(texts), self._monotonic() - begun)
        self._breaker.proved()
        return scores

    def _limit_s(self, left_s: float | None, *, answered: bool) -> float:
        if left_s is None:
            return self._timeout_s
        return min(self._timeout_s, left_s * (SHARE_BEFORE_AN_ANSWER if answered else SHARE_OF_A_SEARCH))

    def _worth_trying(self, query: str, texts: int, limit_s: float) -> bool:
        return (
            self._breaker.state is BreakerState.CLOSED
            and limit_s > 0
            and self._pace.expected_s(texts) <= limit_s
            and served_share(query, self._scripts) >= SERVED
        )

    async def _measure(self) -> None:
        await look(self._reranker)
        begun = self._monotonic()
        await self._reranker.rerank(QUESTION, [PASSAGE] * self.window)
        took_s = self._monotonic() - begun
        self._pace.note(self.window, took_s)
        log.info("reranker ready", passages=self.window, took_ms=round(1000 * took_s))
        if took_s > self._timeout_s:
            log.warning(
                "reranking takes longer here than it may and will mostly be left out: set WAGGLE_RERANKER_WINDOW lower, "
                "WAGGLE_RERANKER_TIMEOUT_S higher, or choose a smaller model in WAGGLE_RERANKER_MODEL",
                took_s=round(took_s, 2),
                timeout_s=self._timeout_s,
            )


def _told(error: Exception, *, within_s: float) -> Exception:
    """A time limit that has passed says nothing by itself."""
    return error if str(error) else TimeoutError(f"not done within {within_s:.2g} s")


def _complete(scores: Scores, count: int) -> Scores:
    if scores.shape != (count,) or not np.isfinite(scores).all():
        raise TransientError("the reranker did not give each text a score that is a number")
    return scores
