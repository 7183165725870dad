"""Looks of a process at what it depends on, taken in the background and told in its heartbeats."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from contracts.health import BackendCheck, CheckStatus
from messaging.breaker import Breaker, BreakerState
from messaging.probes import Probe, Probing

INTERVAL_S = 10.0
TIMEOUT_S = 5.0

Check = Callable[[], Awaitable[BackendCheck]]


class Checks:
    """Named checks and their last results."""

    def __init__(self, *, interval_s: float = INTERVAL_S, timeout_s: float = TIMEOUT_S) -> None:
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._checks: dict[str, Check] = {}
        self._every_s: dict[str, float] = {}
        self._looked_at: dict[str, float] = {}
        self._results: dict[str, BackendCheck] = {}
        self._breakers: dict[str, Breaker] = {}
        self._probings: dict[str, Probing] = {}
        self._present: list[Callable[[], BackendCheck]] = []
        self.looked = asyncio.Event()
        """Set once all have been looked at."""

    @property
    def results(self) -> tuple[BackendCheck, ...]:
        """The last look at each; `unknown` where there was none yet. Breakers, and what is told of the process itself, are those of this moment."""
        guarded = {name: _guarded(breaker, self._seen(name)) for name, breaker in self._breakers.items()}
        return (*(self._results | guarded).values(), *(look() for look in self._present))

    def add(self, name: str, check: Check, *, every_s: float = 0.0) -> None:
        """`every_s`: how long a good result holds, where a look costs more than it should every time."""
        self._checks[name] = check
        self._every_s[name] = every_s
        self._results[name] = BackendCheck(name=name, status=CheckStatus.UNKNOWN)

    def add_breaker(self, breaker: Breaker) -> None:
        """Tell what the breaker of a backend says, with the check of the same name if there is one."""
        self._breakers[breaker.name] = breaker

    def add_probe(self, probe: Probe, *, interval_s: float) -> None:
        """Tell also what probes find of the backend behind a breaker that was added."""
        self._probings[probe.name] = Probing(probe, interval_s=interval_s)
        self._results[probe.name] = BackendCheck(name=probe.name, status=CheckStatus.UNKNOWN)

    def add_present(self, look: Callable[[], BackendCheck]) -> None:
        """Tell what `look` says at the moment of each heartbeat. It must not wait, nor raise."""
        self._present.append(look)

    async def run(self) -> None:
        """Look at all of them every `interval_s`, and probe, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._look_on(), name="checks")
            for name, probing in self._probings.items():
                tasks.create_task(probing.run(), name=f"probe {name}")

    async def _look_on(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(self._interval_s)

    async def look(self) -> None:
        """Look at all of them once, each for at most `timeout_s`."""
        for name, check in self._checks.items():
            if self._is_due(name):
                self._looked_at[name] = time.monotonic()
                self._results[name] = await self._looked(name, check)
        self.looked.set()

    def _is_due(self, name: str) -> bool:
        known = self._results[name].status is CheckStatus.OK
        return not known or time.monotonic() - self._looked_at[name] >= self._every_s[name]

    def _seen(self, name: str) -> BackendCheck | None:
        probing = self._probings.get(name)
        return (probing.result if probing is not None else None) or self._results.get(name)

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
