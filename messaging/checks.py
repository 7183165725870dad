"""Looks of a process at what it depends on, taken in the background and told in its heartbeats."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from contracts.health import BackendCheck, CheckStatus
from messaging.breaker import Breaker, BreakerState

INTERVAL_S = 10.0
TIMEOUT_S = 5.0

Check = Callable[[], Awaitable[BackendCheck]]


class Checks:
    """Named checks and their last results."""

    def __init__(self, *, interval_s: float = INTERVAL_S, timeout_s: float = TIMEOUT_S) -> None:
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._checks: dict[str, Check] = {}
        self._results: dict[str, BackendCheck] = {}
        self._breakers: dict[str, Breaker] = {}

    @property
    def results(self) -> tuple[BackendCheck, ...]:
        """The last look at each; `unknown` where there was none yet. A breaker tells its state of this moment."""
        guarded = {name: _guarded(breaker, self._results.get(name)) for name, breaker in self._breakers.items()}
        return tuple((self._results | guarded).values())

    def add(self, name: str, check: Check) -> None:
        self._checks[name] = check
        self._results[name] = BackendCheck(name=name, status=CheckStatus.UNKNOWN)

    def add_breaker(self, breaker: Breaker) -> None:
        """Tell what the breaker of a backend says, with the check of the same name if there is one."""
        self._breakers[breaker.name] = breaker

    async def run(self) -> None:
        """Look at all of them every `interval_s`, until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(self._interval_s)

    async def look(self) -> None:
        """Look at all of them once, each for at most `timeout_s`."""
        for name, check in self._checks.items():
            self._results[name] = await self._looked(name, check)

    async def _looked(self, name: str, check: Check) -> BackendCheck:
        started = time.perf_counter()
        try:
            async with asyncio.timeout(self._timeout_s):
                return await check()
        except TimeoutError:
            detail = f"no answer within {self._timeout_s:g} s"
        except Exception as error:  # noqa: BLE001 (a check that fails is what is to be told)
            detail = f"{type(error).__name__}: {error}"[:500]
        took_ms = (time.perf_counter() - started) * 1000
        return BackendCheck(name=name, status=CheckStatus.FAILING, latency_ms=took_ms, detail=detail)


def _guarded(breaker: Breaker, looked: BackendCheck | None) -> BackendCheck:
    """`breaker <state>: <why>`; an open one is a failure whatever the last look said."""
    result = looked or BackendCheck(name=breaker.name, status=CheckStatus.OK)
    closed = breaker.state is BreakerState.CLOSED
    why = result.detail if closed else breaker.reason
    detail = f"breaker {breaker.state.value}{f': {why}' if why else ''}"[:500]
    return result.model_copy(update={"detail": detail, "status": result.status if closed else CheckStatus.FAILING})
