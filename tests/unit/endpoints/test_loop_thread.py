"""An event loop beside the caller's thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor

import pytest

from tests.support.waiting import until
from workers.endpoints.loop_thread import LoopThread


@pytest.fixture
def loop() -> Iterator[LoopThread]:
    loop = LoopThread("beside")
    yield loop
    loop.close()


async def _thread() -> str:
    await asyncio.sleep(0)
    return threading.current_thread().name


async def _fail() -> None:
    raise ValueError("no")


def test_work_is_done_there_for_any_number_of_threads(loop: LoopThread) -> None:
    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(lambda _: loop.run(_thread()), range(8))) == {"beside"}


def test_what_it_raises_is_raised_here(loop: LoopThread) -> None:
    with pytest.raises(ValueError, match="no"):
        loop.run(_fail())


async def test_another_loop_may_wait_for_it_and_withdraw(loop: LoopThread) -> None:
    begun, ended = threading.Event(), threading.Event()

    async def wait() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    assert await loop.awaited(_thread()) == "beside"
    waiting = asyncio.create_task(loop.awaited(wait()))
    await until(begun.is_set)
    waiting.cancel()
    await until(ended.is_set)


def test_closing_breaks_off_what_is_under_way() -> None:
    loop, begun = LoopThread("beside"), threading.Event()

    async def wait() -> None:
        begun.set()
        await asyncio.Event().wait()

    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(loop.run, wait())
        assert begun.wait(30)
        loop.close()
        with pytest.raises(CancelledError):
            waiting.result(30)
