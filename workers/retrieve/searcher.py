"""Searches for a question: encode, search, check what may be seen, rank. Knows nothing of NATS."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from contracts.queries import QueryRequest, RetrievedPassage, SearchMode
from contracts.settings import Fusion
from workers.encoding.base import Vector
from workers.indexing.base import Candidate, VectorIndex, Visible
from workers.retrieve.ranking import rank
from workers.retrieve.visibility import Ledger, rank_visible
from workers.text.scripts import served_share

OVER_FETCH = 2
LEAST_REACH = 20
"""Rows asked of each side even for a small top_k: ranking needs something to choose from and to compare with."""
SERVED = 0.5
"""From this share of its script on, a question counts as served by the encoder."""

Encode = Callable[[str], Awaitable[Vector]]


@dataclass(frozen=True, kw_only=True)
class Found:
    """The passages, best first, and the milliseconds that each stage took."""

    passages: tuple[RetrievedPassage, ...]
    encoder_serves_query: bool
    timings_ms: dict[str, float] = field(default_factory=dict)


class Searcher:
    """Hybrid search over visible documents.

    `encode` gives the vector of a question ((d,) float32, L2-normalised); `scripts` are those that it serves.
    """

    def __init__(
        self,
        encode: Encode,
        index: VectorIndex,
        ledger: Ledger,
        *,
        scripts: frozenset[str],
        fusion: Fusion = Fusion.CONVEX,
    ) -> None:
        self._encode = encode
        self._index = index
        self._ledger = ledger
        self._scripts = scripts
        self._fusion = fusion

    async def search(self, request: QueryRequest) -> Found:
        """The best `top_k` passages. Raises `TransientError` when index or ledger cannot be asked."""
        times = _Stages()
        served = served_share(request.query, self._scripts)
        with times("encode"):
            vector = await self._encode(request.query) if _wants_vector(request.mode, served) else None
        passages = await self._ranked(request, vector, served, times)
        return Found(passages=tuple(passages), encoder_serves_query=served >= SERVED, timings_ms=times.milliseconds)

    async def _ranked(
        self, request: QueryRequest, vector: Vector | None, served: float, times: _Stages
    ) -> Sequence[RetrievedPassage]:
        async def search(reach: int, visible: Visible | None) -> Sequence[Candidate]:
            with times("search"):
                return await self._index.search(
                    request.tenant,
                    text=None if request.mode is SearchMode.VECTOR else request.query,
                    vector=vector,
                    limit=reach,
                    filters=request.filters,
                    visible=visible,
                )

        def ranked(candidates: Sequence[Candidate]) -> Sequence[RetrievedPassage]:
            with times("rank"):
                return rank(
                    request.query,
                    vector,
                    candidates,
                    mode=request.mode,
                    served=served,
                    method=self._fusion,
                    top_k=request.top_k,
                )

        reach = max(OVER_FETCH * request.top_k, LEAST_REACH)
        with times("visibility"):
            passages = await rank_visible(search, self._ledger, ranked, tenant=request.tenant, reach=reach)
        times.leave_out("search", "rank", of="visibility")
        return passages


def _wants_vector(mode: SearchMode, served: float) -> bool:
    """A hybrid search leaves the vector side out for a question of which the encoder understands nothing."""
    return mode is SearchMode.VECTOR or (mode is SearchMode.HYBRID and served > 0.0)


class _Stages:
    """Adds up the time spent per stage."""

    def __init__(self) -> None:
        self.milliseconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        begun = time.perf_counter()
        try:
            yield
        finally:
            spent = (time.perf_counter() - begun) * 1000
            self.milliseconds[stage] = round(self.milliseconds.get(stage, 0.0) + spent, 3)

    def leave_out(self, *parts: str, of: str) -> None:
        """Keep of a stage only what it took beyond the stages that ran inside it."""
        inside = sum(self.milliseconds[part] for part in parts)
        self.milliseconds[of] = round(self.milliseconds[of] - inside, 3)
