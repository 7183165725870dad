"""Asking again: after the time that the gateway named, and never longer than there is patience."""

from __future__ import annotations

import asyncio

import pytest

from cli.client import GatewayError
from cli.replies import Problem
from cli.uploading.patience import patiently


class Refusing:
    """Refuses so many times, then answers."""

    def __init__(self, *, status: int, times: int, retry_after_s: float | None) -> None:
        self.calls = 0
        self._error = GatewayError(Problem(status=status, detail="Not now."), retry_after_s=retry_after_s)
        self._times = times

    async def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self._times:
            raise self._error
        return "accepted"


async def test_it_comes_back_when_it_was_told_to() -> None:
    gateway = Refusing(status=429, times=3, retry_after_s=0.01)

    assert await patiently(gateway, patience_s=10) == "accepted"


async def test_a_time_beyond_its_patience_is_not_waited_for() -> None:
    gateway = Refusing(status=429, times=1000, retry_after_s=86_400)

    with pytest.raises(GatewayError):
        await asyncio.wait_for(patiently(gateway, patience_s=0.2), 20)
    assert 2 <= gateway.calls <= 3, "once more at the end"


async def test_what_cannot_succeed_is_not_asked_again() -> None:
    gateway = Refusing(status=422, times=1, retry_after_s=None)

    with pytest.raises(GatewayError):
        await patiently(gateway, patience_s=10)
    assert gateway.calls == 1
