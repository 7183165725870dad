"""The one thread that an encoder lives in: loading and encoding never block the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from messaging.breaker import Breaker
from workers.encoding.arrival import arrived
from workers.encoding.base import Embedder, Passage, PassageEmbedding

T = TypeVar("T")

PASSAGES_AT_ONCE = 64
"""In one go of the thread. It cannot be interrupted, and a process that is told to stop waits for its end."""


class EncodingThread:
    """Runs an `Embedder` in a thread of its own; calls wait for each other, and end soon when they are cancelled."""

    def __init__(self, build: Callable[[], Embedder]) -> None:
        self._build = build
        self._embedder: Embedder | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="encoder")
        self._turn = asyncio.Lock()

    async def start(self, breaker: Breaker | None = None) -> Embedder:
        """Build the encoder, which may take seconds, or as long as its server is away: `breaker` is open meanwhile.

        Raises what building it raises.
        """
        self._embedder = await arrived(lambda: self._run(self._build), breaker)
        return self._embedder

    async def encode(self, passages: Sequence[Passage]) -> list[PassageEmbedding | Exception]:
        """As `Embedder.encode_passages`; nothing to encode is no call."""
        if self._embedder is None:
            raise RuntimeError("the encoder is not there yet: await start() first")
        by_length = sorted(range(len(passages)), key=lambda position: len(passages[position].text))
        outcomes: dict[int, PassageEmbedding | Exception] = {}
        async with self._turn:  # one after the other: whoever is done writes while the next one encodes
            for first in range(0, len(passages), PASSAGES_AT_ONCE):
                positions = by_length[first : first + PASSAGES_AT_ONCE]
                encode = partial(self._embedder.encode_passages, [passages[position] for position in positions])
                outcomes.update(zip(positions, await self._run(encode), strict=True))
        return [outcomes[position] for position in range(len(passages))]

    def stop(self) -> None:
        """Let the thread end after what it is doing, and the encoder let go of what it holds."""
        if self._embedder is not None:
            self._thread.submit(self._embedder.close)
        self._thread.shutdown(wait=False)

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
