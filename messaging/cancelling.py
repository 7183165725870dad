"""Cancellation that is not lost inside a library's wait."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


async def heeding_cancellation(awaitable: Awaitable[T]) -> T:
    """Await, and raise `CancelledError` if the current task was cancelled meanwhile, even if there is a result or error.

    Before Python 3.12 `asyncio.wait_for`, which every request of the NATS client waits in, swallows a cancellation that
    arrives together with the result (CPython issue 86296).
    """
    task = asyncio.current_task()
    before = task.cancelling() if task else 0
    try:
        return await awaitable
    finally:
        if task is not None and task.cancelling() > before:
            raise asyncio.CancelledError
