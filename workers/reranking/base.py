"""The edge to models that judge question and passage together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from workers.endpoints.care import Pooled

Scores = NDArray[np.float64]


class Reranker(Protocol):
    """Says how well each of some texts answers a question. Any number of calls may be under way."""

    @property
    def endpoints(self) -> Pooled | None:
        """Where it is served; None: in this process."""
        ...

    async def start(self) -> None:
        """Get ready; may take a minute for a model that is loaded.

        Raises `PermanentError` for wrong settings, `TransientError` while the model is away: it may come later.
        """
        ...

    async def rerank(self, query: str, texts: Sequence[str]) -> Scores:
        """(n,) float64, one score per text, higher is better; scores of one call compare with each other only.

        Raises `TransientError` while the model is away, `PermanentError` when it refuses this question or these texts.
        Cancelled, it stops soon.
        """
        ...

    async def close(self) -> None:
        """Let go of everything."""
        ...
