"""Bounds how long one handler may take."""

from __future__ import annotations

import asyncio
from typing import Any

from contracts.errors import TransientError
from messaging.delivery import Incoming
from messaging.middlewares.base import Next


class TimeLimit:
    """Cancels a handler after `limit_s` and raises `TransientError`: what hangs once may not hang again."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s

    async def __call__(self, incoming: Incoming[Any], call_next: Next) -> None:
        try:
            async with asyncio.timeout(self._limit_s) as limit:
                await call_next(incoming)
        except TimeoutError as error:
            if limit.expired():
                raise TransientError(f"the handler did not finish within {self._limit_s:g} s") from error
            raise
