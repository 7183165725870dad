"""Wait for a condition with a deadline instead of sleeping for luck."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable

POLL_S = 0.02


async def until(condition: Callable[[], object], *, timeout_s: float = 60.0, what: str | None = None) -> None:
    """Return as soon as `condition()` is true (it may be async); fail the test when it does not within `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while True:
        held = condition()
        if await held if inspect.isawaitable(held) else held:
            return
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s:g} s: {what or inspect.getsource(condition).strip()}")
        await asyncio.sleep(POLL_S)
