"""Effects that must happen once they were begun, however long the broker is away."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from contracts.errors import TransientError

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5.0
NOW_S = 1.0
"""How long a caller waits for the first try."""

log = structlog.get_logger(__name__)


class Redrive:
    """Owns tasks that repeat an idempotent effect until it succeeds or fails for good.

    They live as long as this process: what a crash cuts off is left to the reconciler.
    """

    def __init__(self, *, jitter: Callable[[], float] = random.random) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._jitter = jitter

    @property
    def pending(self) -> int:
        return len(self._tasks)

    def later(self, what: str, effect: Callable[[], Awaitable[object]]) -> None:
        """Run `effect` in the background, again after each `TransientError`. `what` is for the log."""
        self._own(what, effect, asyncio.Event())

    async def now_or_later(self, what: str, effect: Callable[[], Awaitable[object]]) -> None:
        """As `later`, and wait for the first try, up to `NOW_S`. It goes on when the caller is cancelled."""
        tried = asyncio.Event()
        self._own(what, effect, tried)
        with suppress(TimeoutError):
            async with asyncio.timeout(NOW_S):
                await tried.wait()

    async def close(self) -> None:
        """Cancel what is still to be done."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _own(self, what: str, effect: Callable[[], Awaitable[object]], tried: asyncio.Event) -> None:
        task = asyncio.create_task(self._repeat(what, effect, tried), name=f"redrive {what}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: tried.set())

    async def _repeat(self, what: str, effect: Callable[[], Awaitable[object]], tried: asyncio.Event) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                await effect()
            except TransientError as error:
                log.info("will be tried again", what=what, reason=str(error), in_s=round(pause_s, 1))
            except Exception:
                log.exception("given up", what=what)
                return
            else:
                return
            tried.set()
            await asyncio.sleep(pause_s * (0.5 + self._jitter() / 2))
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
