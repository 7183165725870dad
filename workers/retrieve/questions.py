"""Encodes questions in a thread of its own; those that come while it is busy are encoded together next."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from contracts.errors import PermanentError
from messaging.breaker import Breaker
from workers.encoding.arrival import arrived
from workers.encoding.base import Embedder, Vector

MAX_TOGETHER = 32
THREADS = 1
"""A question is a handful of tokens: a second thread takes longer to wake than it saves, and the other cores are needed
by the processes that the question goes through next."""
WARM_UP_S = 1.0
"""A large model has not seen every length by then, and takes so long for a question that it makes no difference."""

_WARM_UP = [*(["bee " * words] for words in range(1, 41)), *(["bee " * words] * 2 for words in range(2, 80, 4))]
"""Single questions of every usual length, and some together."""

T = TypeVar("T")


class QuestionEncoder:
    """The encoder of a retrieve worker. It never blocks the event loop."""

    def __init__(self, build: Callable[[], Embedder]) -> None:
        self._build = build
        self._embedder: Embedder | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="encoder")
        self._waiting: dict[asyncio.Future[Vector], str] = {}
        self._encoding: asyncio.Task[None] | None = None
        self._between = asyncio.Lock()
        self._stopped = False

    async def start(self, breaker: Breaker | None = None) -> Embedder:
        """Build the encoder and warm it up, which may take seconds, or as long as its server is away: `breaker` is open
        meanwhile.

        Raises what building it raises.
        """
        loop = asyncio.get_running_loop()
        self._embedder = await arrived(lambda: loop.run_in_executor(self._thread, self._built), breaker)
        return self._embedder

    @property
    def embedder(self) -> Embedder:
        """Raises `RuntimeError` before `start`."""
        if self._embedder is None:
            raise RuntimeError("the encoder is not there yet: await start() first")
        return self._embedder

    async def encode(self, question: str) -> Vector:
        """(d,) float32, L2-normalised. Raises what the encoder raises."""
        result: asyncio.Future[Vector] = asyncio.get_running_loop().create_future()
        self._waiting[result] = question
        if self._encoding is None:
            self._encoding = asyncio.create_task(self._encode_waiting())
        try:
            return await result
        finally:
            self._waiting.pop(result, None)

    async def between_questions(self, work: Callable[[Embedder], T]) -> T:
        """What `work` comes to with the encoder, in its thread, once no question is there; whatever else wants this waits.

        A question that comes meanwhile waits for its end, also when nobody waits for that any more. Raises what `work` raises.
        """
        await self._between.acquire()
        try:
            await self._idle()
            doing = asyncio.get_running_loop().run_in_executor(self._thread, work, self.embedder)
        except BaseException:
            self._between.release()
            raise
        doing.add_done_callback(lambda _: self._between.release())
        return await asyncio.shield(doing)

    async def stop(self) -> None:
        """End after what is being encoded; whoever still waits is cancelled."""
        self._stopped = True
        if self._encoding is not None:
            self._encoding.cancel()
        for result in self._waiting:
            result.cancel()
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)
        if self._embedder is not None:
            self._embedder.close()

    async def _idle(self) -> None:
        while self._encoding is not None:
            await asyncio.wait({self._encoding})
        if self._stopped:
            raise asyncio.CancelledError

    def _built(self) -> Embedder:
        embedder = self._build()
        try:
            _warm_up(embedder)
        except BaseException:
            embedder.close()
            raise
        return embedder

    async def _encode_waiting(self) -> None:
        try:
            while together := dict(list(self._waiting.items())[:MAX_TOGETHER]):
                for result in together:
                    del self._waiting[result]
                await self._encode(together)
        finally:
            self._encoding = None

    async def _encode(self, together: dict[asyncio.Future[Vector], str]) -> None:
        questions = list(together.values())
        try:
            vectors = await asyncio.get_running_loop().run_in_executor(
                self._thread, self.embedder.encode_questions, questions
            )
        except asyncio.CancelledError:
            for result in together:
                result.cancel()
            raise
        except Exception as error:  # noqa: BLE001  # each of those who asked is told
            await self._fail(together, error)
        else:
            for result, vector in zip(together, vectors, strict=True):
                if not result.done():
                    result.set_result(vector)

    async def _fail(self, together: dict[asyncio.Future[Vector], str], error: Exception) -> None:
        """Tell those who asked. A question that is at fault itself is found first, and nobody else's."""
        if isinstance(error, PermanentError) and len(together) > 1:
            try:
                for result, question in together.items():
                    await self._encode({result: question})
            finally:
                for result in together:  # those that were not come to
                    result.cancel()
        else:
            _tell(together, error)


def _warm_up(embedder: Embedder) -> None:
    until = time.monotonic() + WARM_UP_S
    for questions in _WARM_UP:
        embedder.encode_questions(questions)
        if time.monotonic() > until:
            break


def _tell(asked: Iterable[asyncio.Future[Vector]], error: Exception) -> None:
    for result in asked:
        if not result.done():
            result.set_exception(error)
