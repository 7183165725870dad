"""Builds the reranker that the settings name. Heavy libraries are imported when it starts."""

from __future__ import annotations

from contracts.model_settings import RerankerKind, RerankerSettings
from workers.reranking.base import Reranker


def build_reranker(settings: RerankerSettings) -> Reranker | None:
    """The reranker of this process, not yet started; None: what a search finds stays in its order."""
    if settings.reranker is RerankerKind.OFF:
        return None
    if settings.reranker is RerankerKind.ENDPOINT:
        from workers.reranking.endpoint import EndpointReranker

        return EndpointReranker(settings)
    from workers.reranking.model_thread import ThreadedReranker

    return ThreadedReranker(settings)
