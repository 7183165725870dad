"""The index is optimized after changes, for a bounded share of the time, also when that fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from contracts.errors import TransientError
from tests.support.waiting import until
from workers.embed.upkeep import Upkeep


class Index:
    def __init__(self, *, failures: int = 0) -> None:
        self.optimized = 0
        self.failures = failures
        self.at_once = 0
        self.most_at_once = 0

    async def optimize(self) -> None:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        self.optimized += 1
        if self.optimized <= self.failures:
            raise TransientError("away")


@asynccontextmanager
async def kept_up(index: Index) -> AsyncIterator[Upkeep]:
    upkeep = Upkeep(index.optimize, least_pause_s=0.001)
    task = asyncio.create_task(upkeep.run())
    try:
        yield upkeep
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_without_changes_nothing_is_done() -> None:
    index = Index()
    async with kept_up(index):
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert index.optimized == 0


async def test_many_changes_are_folded_in_together_never_twice_at_once() -> None:
    index = Index()
    async with kept_up(index) as upkeep:
        for _ in range(50):
            upkeep.changed()
        await until(lambda: index.optimized == 1)
        upkeep.changed()
        await until(lambda: index.optimized == 2)
    assert index.most_at_once == 1


async def test_an_index_that_fails_is_tried_again() -> None:
    index = Index(failures=2)
    async with kept_up(index) as upkeep:
        upkeep.changed()
        await until(lambda: index.optimized == 3)
