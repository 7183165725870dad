"""Several messages handled together, each settled on its own.

Every message of a batch goes its own way through the middlewares; the ways meet here, where one call of the handler
serves all that got this far, and part again with each message's own result.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic

from nats.aio.msg import Msg
from opentelemetry import context

from messaging.attempts import is_suspect
from messaging.delivery import Delivery, Incoming, M
from messaging.pipeline import Pipeline
from observability.stages import together


class BatchItem(Generic[M]):
    """One message of a batch. It is acknowledged when the handler returns, unless it was failed."""

    def __init__(
        self, message: M, delivery: Delivery, result: asyncio.Future[None], way: asyncio.Task[None] | None = None
    ) -> None:
        self.message = message
        self.delivery = delivery
        self.result = result
        self.way = way
        """The task that settles it."""
        self.context = context.get_current()
        """The trace that it belongs to."""

    @property
    def cut_off(self) -> bool:
        """Whether its time is over: the message has gone back to the broker, working on it is in vain."""
        return self.result.cancelled()

    @property
    def succeeded(self) -> bool:
        """Whether it is done: all that is left is its acknowledgement."""
        return self.result.done() and not self.cut_off and self.result.exception() is None

    def done(self) -> None:
        """Acknowledge this item now, without waiting for the rest of its batch."""
        if not self.result.done():
            self.result.set_result(None)

    def fail(self, error: Exception) -> None:
        """Retry or dead-letter this item alone, by the class of `error`. The first word on an item counts."""
        if not self.result.done():
            self.result.set_exception(error)


BatchHandler = Callable[[list[BatchItem[Any]]], Awaitable[None]]


class Batch:
    """Runs the handler once for the messages of one pull, but for each suspect by itself (`messaging.suspicion`)."""

    def __init__(self, pipeline: Pipeline, handler: BatchHandler) -> None:
        self._pipeline = pipeline
        self._handler = handler
        self._turns = pipeline.turns
        self._items: list[BatchItem[Any]] = []
        self._coming: set[int] = set()
        self._changed = asyncio.Event()

    async def run(self, messages: Sequence[Msg]) -> None:
        """Handle and settle all of `messages`. Only cancellation comes out of it.

        Messages that were held meet again and are handled together once more.
        """
        self._coming = set(range(len(messages)))
        async with asyncio.TaskGroup() as tasks:
            for number, message in enumerate(messages):
                tasks.create_task(self._send(number, message))
            while items := await self._met():
                serving = tasks.create_task(self._serve(items))
                await asyncio.wait([item.result for item in items])
                if all(item.cut_off for item in items):
                    serving.cancel()
                await asyncio.wait({serving})

    async def _met(self) -> list[BatchItem[Any]]:
        """All that are not done with, as soon as each of them has got this far; none when all are."""
        while len(here := [item for item in self._items if not item.cut_off]) < len(self._coming):
            self._changed.clear()
            await self._changed.wait()
        self._items = []
        return here

    async def _send(self, number: int, message: Msg) -> None:
        async def meet(incoming: Incoming[Any]) -> None:
            result = asyncio.get_running_loop().create_future()
            item: BatchItem[Any] = BatchItem(incoming.message, incoming.delivery, result, asyncio.current_task())
            self._items.append(item)
            self._changed.set()
            await item.result

        def leave() -> None:
            """The others need not wait for it any more, least of all while it is held until it can be settled."""
            self._coming.discard(number)
            self._changed.set()

        try:
            await self._pipeline.send(message, self._pipeline.to(meet), on_handled=leave)
        finally:
            leave()

    async def _serve(self, items: list[BatchItem[Any]]) -> None:
        suspects = [item for item in items if is_suspect(item.delivery)]
        await self._serve_together([item for item in items if item not in suspects])
        await asyncio.gather(*(self._serve_alone(suspect) for suspect in suspects))

    async def _serve_alone(self, suspect: BatchItem[Any]) -> None:
        try:
            await self._turns.take(suspect.delivery)
        except Exception as error:  # noqa: BLE001 (the error's class decides what becomes of the message)
            suspect.fail(error)
        else:
            await self._serve_together([suspect])
        finally:
            self._turns.leave(suspect.delivery)

    async def _serve_together(self, items: list[BatchItem[Any]]) -> None:
        items = [item for item in items if not item.cut_off]
        if not items:
            return
        try:
            with together("process together", [item.context for item in items]):
                await self._handler(items)
        except Exception as error:  # noqa: BLE001 (the error's class decides what becomes of the messages)
            for item in items:
                item.fail(error)
        else:
            for item in items:
                item.done()
        if ways := [item.way for item in items if item.succeeded and item.way is not None]:
            await asyncio.wait(ways)  # until they are acknowledged: whatever comes next may end the process
