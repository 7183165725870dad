"""The one thread that an encoder lives in: loading and encoding never block the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from workers.encoding.base import Embedder, Passage, PassageEmbedding

T = TypeVar("T")


class EncodingThread:
    """Runs an `Embedder` in a thread of its own; calls wait for each other."""

    def __init__(self, build: Callable[[], Embedder]) -> None:
        self._build = build
        self._embedder: Embedder | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="encoder")

    async def start(self) -> Embedder:
        """Build the encoder, which may take seconds. Raises what building it raises."""
        self._embedder = await self._run(self._build)
        return self._embedder

    async def encode(self, passages: Sequence[Passage]) -> list[PassageEmbedding | Exception]:
        """As `Embedder.encode_passages`; nothing to encode is no call."""
        if self._embedder is None:
            raise RuntimeError("the encoder is not there yet: await start() first")
        if not passages:
            return []
        return await self._run(partial(self._embedder.encode_passages, passages))

    def stop(self) -> None:
        """Let the thread end after what it is doing."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
