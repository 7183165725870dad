"""Probes of backends: the real thing, done on a slow rhythm, unless work has just shown the same."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from contracts.errors import PermanentError
from contracts.health import BackendCheck, CheckStatus
from messaging.breaker import Breaker, BreakerState, Look

INTERVAL_S: Final = 30.0
AGAIN_S: Final = 5.0
"""After a probe that failed, so that a backend which is back is not told of as away for long."""
TIMEOUT_S: Final = 10.0


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What shows that a backend works: `look` does what work does of it, in small, and raises what that raises.

    It does not open the breaker: that it takes longer than `timeout_s` may be the load. While the breaker is not closed it
    looks itself, and calls through it that succeed show the same as a probe. A `PermanentError` is an answer, too.
    """

    breaker: Breaker
    look: Look
    timeout_s: float = TIMEOUT_S

    @property
    def name(self) -> str:
        return self.breaker.name


class Probing:
    """The rhythm of one probe, and what it last found; `result` is None before it found anything."""

    def __init__(
        self, probe: Probe, *, interval_s: float = INTERVAL_S, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.result: BackendCheck | None = None
        self._probe = probe
        self._interval_s = interval_s
        self._monotonic = monotonic

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.turn()
            failed = self.result is not None and self.result.status is CheckStatus.FAILING
            await asyncio.sleep(min(AGAIN_S, self._interval_s) if failed else self._interval_s)

    async def turn(self) -> None:
        """Probe, unless nothing is to be learnt from it."""
        breaker = self._probe.breaker
        if breaker.state is not BreakerState.CLOSED:
            return
        if breaker.proved_ago_s < self._interval_s:
            latency_ms = self.result.latency_ms if self.result is not None else None
            self.result = BackendCheck(name=breaker.name, status=CheckStatus.OK, latency_ms=latency_ms)
            return
        self.result = await self._probed()

    async def _probed(self) -> BackendCheck:
        begun = self._monotonic()
        status, detail = CheckStatus.OK, ""
        try:
            async with asyncio.timeout(self._probe.timeout_s):
                await self._probe.look()
        except PermanentError as error:
            detail = f"{error}"[:500]
        except TimeoutError:
            status, detail = CheckStatus.FAILING, f"a probe was not done within {self._probe.timeout_s:g} s"
        except Exception as error:  # noqa: BLE001 (a probe that fails is what is to be told)
            status, detail = CheckStatus.FAILING, f"a probe failed: {type(error).__name__}: {error}"[:500]
        took_ms = (self._monotonic() - begun) * 1000
        return BackendCheck(name=self._probe.name, status=status, latency_ms=took_ms, detail=detail)
