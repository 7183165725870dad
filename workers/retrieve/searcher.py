"""Searches for a question: encode, search, check what may be seen, rank, rerank. Knows nothing of NATS."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from opentelemetry.trace import Span

from contracts.queries import QueryRequest, RetrievedPassage, SearchMode
from contracts.settings import Fusion
from observability.stages import stage
from workers.encoding.base import Vector
from workers.indexing.base import Candidate, VectorIndex, Visible
from workers.reranking.reranking import Reranking
from workers.retrieve.question_vectors import Encode
from workers.retrieve.ranking import distinct, rank, reordered
from workers.retrieve.visibility import Ledger, rank_visible
from workers.text.scripts import served_share

OVER_FETCH = 2
LEAST_REACH = 20
"""Rows asked of each side even for a small top_k: ranking needs something to choose from and to compare with."""
SERVED = 0.5
"""From this share of its script on, a question counts as served by the encoder."""
RERANK_SKIPPED = "rerank_skipped"
"""Among the timings, with the value 1, where the passages are in the order that they have without a reranker."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """The passages, best first, and the milliseconds that each stage took.

    `searched_for`: what was searched for, where that is not the question itself.
    """

    passages: tuple[RetrievedPassage, ...]
    encoder_serves_query: bool
    timings_ms: dict[str, float] = field(default_factory=dict)
    searched_for: str | None = None


class Searcher:
    """Hybrid search over visible documents.

    `encode` gives the vector of a tenant's question ((d,) float32, L2-normalised); `scripts` are those that it serves.
    """

    def __init__(
        self,
        encode: Encode,
        index: VectorIndex,
        ledger: Ledger,
        *,
        scripts: frozenset[str],
        fusion: Fusion = Fusion.CONVEX,
        reranking: Reranking | None = None,
        engine: str = "",
        model: str = "",
    ) -> None:
        """`engine` is what the index runs on, `model` what encodes, for traces."""
        self._encode = encode
        self._index = index
        self._ledger = ledger
        self._scripts = scripts
        self._order = _Order(fusion=fusion, reranking=reranking)
        self._searching = {"db.system.name": engine, "db.operation.name": "search"}
        self._encoding = {"gen_ai.operation.name": "embeddings", "gen_ai.request.model": model}

    def order(self, *, fusion: Fusion, reranking: Reranking | None) -> None:
        """Put what is found in order like this from the next search on."""
        self._order = _Order(fusion=fusion, reranking=reranking)

    async def search(self, request: QueryRequest, *, left_s: float | None = None) -> Found:
        """The best `top_k` passages. Raises `TransientError` when index or ledger cannot be asked.

        `left_s` is the time until the question's deadline: what can be left out for lack of time is left out.
        """
        times = _Stages(left_s=left_s)
        order = self._order  # it may be exchanged meanwhile
        served = served_share(request.query, self._scripts)
        with times("encode", self._encoding):
            vector = await self._encode(request.tenant, request.query) if _wants_vector(request.mode, served) else None
        passages = await self._ranked(request, vector, served, order, times)
        if order.reranking is not None:
            passages = await _reranked(request, passages, order.reranking, times)
        return Found(
            passages=tuple(passages[: request.top_k]),
            encoder_serves_query=served >= SERVED,
            timings_ms=times.milliseconds,
        )

    async def _ranked(
        self, request: QueryRequest, vector: Vector | None, served: float, order: _Order, times: _Stages
    ) -> Sequence[RetrievedPassage]:
        async def search(reach: int, visible: Visible | None) -> Sequence[Candidate]:
            with times("search", self._searching) as span:
                found = await self._index.search(
                    request.tenant,
                    text=None if request.mode is SearchMode.VECTOR else request.query,
                    vector=vector,
                    limit=reach,
                    filters=request.filters,
                    visible=visible,
                )
                span.set_attribute("db.response.returned_rows", len(found))
                return found

        def ranked(candidates: Sequence[Candidate]) -> Sequence[RetrievedPassage]:
            with times.untraced("rank"):
                return rank(
                    request.query,
                    vector,
                    candidates,
                    mode=request.mode,
                    served=served,
                    method=order.fusion,
                    top_k=max(request.top_k, window),
                )

        window = order.reranking.window if order.reranking else 0
        reach = max(OVER_FETCH * request.top_k, LEAST_REACH, window)
        with times("visibility"):
            passages = await rank_visible(search, self._ledger, ranked, tenant=request.tenant, reach=reach)
        times.leave_out("search", "rank", of="visibility")
        return passages


@dataclass(frozen=True, kw_only=True)
class _Order:
    """How what was found is put in order."""

    fusion: Fusion
    reranking: Reranking | None


async def _reranked(
    request: QueryRequest, passages: Sequence[RetrievedPassage], reranking: Reranking, times: _Stages
) -> Sequence[RetrievedPassage]:
    """The first `window` passages in the order of the reranker, if it is done in time; the others follow as they are."""
    if (first := distinct(passages, reranking.window)) < 2:
        return passages
    with times("rerank"):
        scores = await reranking.scores(
            request.query,
            [_with_heading(passage) for passage in passages[:first]],
            left_s=times.left_s(),
            answered=request.generate,
        )
    if scores is None:
        times.milliseconds[RERANK_SKIPPED] = 1.0
        return passages
    return [*reordered(passages[:first], scores), *passages[first:]]


def _with_heading(passage: RetrievedPassage) -> str:
    """What the encoder saw of it, too."""
    return f"{passage.heading}\n{passage.text}" if passage.heading else passage.text


def _wants_vector(mode: SearchMode, served: float) -> bool:
    """A hybrid search leaves the vector side out for a question of which the encoder understands nothing."""
    return mode is SearchMode.VECTOR or (mode is SearchMode.HYBRID and served > 0.0)


class _Stages:
    """Traces stages, adds up the time spent in each, and knows what is left of `left_s`."""

    def __init__(self, *, left_s: float | None) -> None:
        self.milliseconds: dict[str, float] = {}
        self._ends_at = None if left_s is None else time.perf_counter() + left_s

    @contextmanager
    def __call__(self, name: str, attributes: Mapping[str, str] | None = None) -> Iterator[Span]:
        with self.untraced(name), stage(name, {**(attributes or {})}) as span:
            yield span

    @contextmanager
    def untraced(self, name: str) -> Iterator[None]:
        """For what takes so little that a span would be a good part of it."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            spent = (time.perf_counter() - begun) * 1000
            self.milliseconds[name] = round(self.milliseconds.get(name, 0.0) + spent, 3)

    def left_s(self) -> float | None:
        return None if self._ends_at is None else self._ends_at - time.perf_counter()

    def leave_out(self, *parts: str, of: str) -> None:
        """Keep of a stage only what it took beyond the stages that ran inside it."""
        inside = sum(self.milliseconds[part] for part in parts)
        self.milliseconds[of] = round(self.milliseconds[of] - inside, 3)
