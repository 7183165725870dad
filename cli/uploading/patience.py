"""Asking a gateway again that is away for a moment, or that says to come back later."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

import stamina

from cli.client import GatewayError, UnreachableError

PATIENCE_S = 120.0
RETRIED_STATUSES = frozenset({408, 429, 502, 503, 504})

Result = TypeVar("Result")


async def patiently(call: Callable[[], Awaitable[Result]], *, patience_s: float = PATIENCE_S) -> Result:
    """What `call` returns, tried again for `patience_s`; then its last error. The call must be safe to repeat.

    A gateway that names a time is asked again then, or once more when patience ends, if that is sooner.
    """
    until_s = time.monotonic() + patience_s

    def next_try(error: Exception) -> bool | timedelta:
        return _worth_another_try(error, left_s=max(0.0, until_s - time.monotonic()))

    async for attempt in stamina.retry_context(
        on=next_try, attempts=None, timeout=patience_s, wait_initial=0.5, wait_max=10.0
    ):
        with attempt:
            return await call()
    raise AssertionError("an attempt either returns or raises")


def _worth_another_try(error: Exception, *, left_s: float) -> bool | timedelta:
    """Whether to ask again; after the time that the gateway named, where it did."""
    if isinstance(error, GatewayError) and error.problem.status in RETRIED_STATUSES:
        return timedelta(seconds=min(error.retry_after_s, left_s)) if error.retry_after_s else True
    return isinstance(error, UnreachableError)


def quiet_retries() -> None:
    """Do not log every further attempt: a person at a terminal sees that it takes longer."""
    stamina.instrumentation.set_on_retry_hooks(())
