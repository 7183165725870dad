"""Sending again what nobody answers: while a new leader is elected it is kept by nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from messaging.errors import UnansweredError

AGAIN_S = 1.0
"""How long an answer is waited for before something is sent again."""
PAUSE_S = 0.05
"""Before what the broker cannot do yet is sent again."""

T = TypeVar("T")


async def repeated(attempt: Callable[[float], Awaitable[T]], *, within_s: float) -> T:
    """The result of an attempt, which is given the seconds that it may take and must bear repetition.

    Raises the last `UnansweredError` after `within_s`, and any other error at once.
    """
    loop = asyncio.get_running_loop()
    given_up_at = loop.time() + within_s
    while True:
        try:
            return await attempt(min(AGAIN_S, given_up_at - loop.time()))
        except UnansweredError:
            await asyncio.sleep(PAUSE_S)
            if loop.time() >= given_up_at:
                raise
