"""A cross-encoder in a thread of its own: loading and computing never block the event loop."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np

from contracts.model_settings import RerankerSettings
from workers.reranking.base import Scores


class PairModel(Protocol):
    """Scores pairs of a question and a text in one call."""

    @property
    def pairs_at_once(self) -> int:
        """How many pairs a call takes best."""
        ...

    def score(self, query: str, texts: Sequence[str]) -> Scores: ...


class ThreadedReranker:
    """A `Reranker` over a `PairModel`. Calls wait for each other; one that nobody waits for any more ends soon."""

    def __init__(
        self, settings: RerankerSettings, *, load: Callable[[RerankerSettings], PairModel] | None = None
    ) -> None:
        self._settings = settings
        self._load = load or _load
        self._model: PairModel | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="reranker")

    @property
    def endpoints(self) -> None:
        """Computed here."""

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._model = await loop.run_in_executor(self._thread, self._load, self._settings)

    async def rerank(self, query: str, texts: Sequence[str]) -> Scores:
        if self._model is None:
            raise RuntimeError("the reranker is not there yet: await start() first")
        withdrawn = threading.Event()
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, _scored, self._model, query, list(texts), withdrawn)
        finally:
            withdrawn.set()

    async def close(self) -> None:
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)


def _load(settings: RerankerSettings) -> PairModel:
    # As for the encoder: waiting threads sleep instead of spinning. OpenMP reads it when torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from workers.reranking.cross_encoder import load

    return load(settings)


def _scored(model: PairModel, query: str, texts: Sequence[str], withdrawn: threading.Event) -> Scores:
    """In calls of texts of like length, so that little is padded. What is left when it is withdrawn has no score."""
    scores = np.full(len(texts), np.nan)
    by_length = sorted(range(len(texts)), key=lambda place: len(texts[place]))
    for first in range(0, len(texts), model.pairs_at_once):
        if withdrawn.is_set():
            break
        places = by_length[first : first + model.pairs_at_once]
        scores[places] = model.score(query, [texts[place] for place in places])
    return scores
