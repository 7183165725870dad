"""A cancellation that arrives together with a result counts."""

from __future__ import annotations

import asyncio
import sys

import pytest

from messaging.cancelling import heeding_cancellation


async def waiting(future: asyncio.Future[str]) -> str:
    return await asyncio.wait_for(future, timeout=5)


async def result_and_cancellation_at_once(*, heeding: bool) -> asyncio.Task[str]:
    future = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(heeding_cancellation(waiting(future)) if heeding else waiting(future))
    await asyncio.sleep(0)
    future.set_result("reply")
    task.cancel()
    await asyncio.wait({task})
    return task


async def test_it_is_not_swallowed() -> None:
    assert (await result_and_cancellation_at_once(heeding=True)).cancelled()


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="asyncio.wait_for heeds it itself from Python 3.12 on")
async def test_without_the_guard_it_is() -> None:
    assert not (await result_and_cancellation_at_once(heeding=False)).cancelled()


async def test_without_a_cancellation_the_result_comes_through() -> None:
    future = asyncio.get_running_loop().create_future()
    future.set_result("reply")
    assert await heeding_cancellation(waiting(future)) == "reply"
