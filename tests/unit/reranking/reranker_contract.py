"""What every `Reranker` must do. An adapter's test class inherits it and provides a started `reranker`."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from workers.reranking.base import Reranker

QUESTION = "Why do bees dance?"
TEXTS = [
    "Bees dance to tell where food is.",
    "The queen lays eggs. " * 80,
    "蜜蜂通过舞蹈传递信息。",
    *(f"Text number {number} is about honey{'!' * number}" for number in range(21)),
]


class RerankerContract:
    """A score for each text, whatever stands beside it."""

    async def test_every_text_has_a_score_of_its_own(self, reranker: Reranker) -> None:
        scores = await reranker.rerank(QUESTION, TEXTS)
        assert (scores.shape, str(scores.dtype)) == ((len(TEXTS),), "float64")
        assert len(np.unique(scores)) == len(TEXTS)

    async def test_a_texts_score_does_not_depend_on_its_place(self, reranker: Reranker) -> None:
        forward, backward = await reranker.rerank(QUESTION, TEXTS), await reranker.rerank(QUESTION, TEXTS[::-1])
        np.testing.assert_allclose(forward, backward[::-1], atol=1e-5)

    async def test_calls_may_be_under_way_together(self, reranker: Reranker) -> None:
        together = await asyncio.gather(*(reranker.rerank(QUESTION, TEXTS[: 2 + n]) for n in range(5)))
        assert [len(scores) for scores in together] == [2, 3, 4, 5, 6]
        np.testing.assert_allclose(together[4][:2], together[0], atol=1e-5)

    async def test_one_that_is_cancelled_leaves_the_next_alone(self, reranker: Reranker) -> None:
        asked = asyncio.create_task(reranker.rerank(QUESTION, TEXTS))
        await asyncio.sleep(0)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        assert np.isfinite(await reranker.rerank(QUESTION, TEXTS[:3])).all()

    async def test_nothing_to_score_is_nothing(self, reranker: Reranker) -> None:
        assert (await reranker.rerank(QUESTION, [])).shape == (0,)

    @pytest.mark.parametrize("text", ["\x00", "\ud800", "🐝" * 600, " ", ""])
    async def test_odd_texts_have_scores_like_any_other(self, reranker: Reranker, text: str) -> None:
        assert np.isfinite(await reranker.rerank(text, [text, "plain"])).all()
