"""Encodes rows anew, from what they hold."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from contracts.errors import PermanentError
from workers.encoding.base import Embedder, EncoderIdentity
from workers.indexing.base import Row
from workers.indexing.passages import passage


class RowEncoder:
    """An encoder in a thread of its own, beside which everything goes on."""

    def __init__(self, build: Callable[[], Embedder]) -> None:
        self._build = build
        self._embedder: Embedder | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="encoder")

    async def start(self) -> EncoderIdentity:
        """Build the encoder. Raises what building it raises."""
        loop = asyncio.get_running_loop()
        self._embedder = await loop.run_in_executor(self._thread, self._build)
        return self._embedder.identity

    async def encode(self, rows: Sequence[Row]) -> list[Row]:
        """The rows with other embeddings. Raises `PermanentError` for one whose text cannot be encoded."""
        if self._embedder is None:
            raise RuntimeError("the encoder is not there yet: await start() first")
        passages = [passage(row.text, heading=row.heading, sentences=row.sentences) for row in rows]
        loop = asyncio.get_running_loop()
        outcomes = await loop.run_in_executor(self._thread, self._embedder.encode_passages, passages)
        encoded = list[Row]()
        for row, outcome in zip(rows, outcomes, strict=True):
            if isinstance(outcome, Exception):
                raise PermanentError(
                    f"chunk {row.ordinal} of document {row.document_id} of tenant {row.tenant} cannot be encoded "
                    f"({outcome}): delete the document or submit it again, then run the same command again"
                ) from outcome
            encoded.append(replace(row, embedding=outcome))
        return encoded

    def stop(self) -> None:
        """Let the encoder go when it has done what it is doing."""
        if self._embedder is not None:
            self._thread.submit(self._embedder.close)
        self._thread.shutdown(wait=False)
