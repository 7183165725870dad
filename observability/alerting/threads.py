"""Evaluations off the event loop, in threads that cannot hold up the end of the process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

AT_ONCE: Final = 4


class EvaluationThreads:
    """Runs a few functions at once, each in a thread of its own. One that never returns keeps its place for ever, so that
    however often it is begun anew there are no more threads than places.
    """

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._places = asyncio.Semaphore(at_once)

    async def run(self, work: Callable[[], T]) -> T:
        """The result of `work`, or its error. Cancelled, it no longer waits; the thread goes on to its end."""
        await self._places.acquire()
        loop = asyncio.get_running_loop()
        result: asyncio.Future[T] = loop.create_future()

        def settle(value: T | None, error: Exception | None) -> None:
            self._places.release()
            if result.done():  # nobody waits any more
                return
            if error is not None:
                result.set_exception(error)
            else:
                result.set_result(value)  # type: ignore[arg-type]  # None only where T is

        def body() -> None:
            value, failure = None, None
            try:
                value = work()
            except Exception as error:  # noqa: BLE001 (handed on to who waits)
                failure = error
            try:
                loop.call_soon_threadsafe(settle, value, failure)
            except RuntimeError:  # the loop is closed, the process about to end
                return

        threading.Thread(target=body, name="rule evaluation", daemon=True).start()
        return await result
