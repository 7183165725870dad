"""The index as another process sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from contracts.settings import IndexSettings
from workers.encoding.simulated import SimulatedEmbedder
from workers.indexing.base import VectorIndex
from workers.indexing.factory import build_index


@asynccontextmanager
async def opened_index(
    settings: IndexSettings, embedder: SimulatedEmbedder | None = None
) -> AsyncIterator[VectorIndex]:
    """The index of these settings, open; `embedder` where its vectors are not of the usual length."""
    index = build_index(settings, (embedder or SimulatedEmbedder()).identity)
    await index.open()
    try:
        yield index
    finally:
        await index.close()
