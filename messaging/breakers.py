"""The circuit breakers of a process: looked after together, measured together."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from messaging.breaker import Breaker, BreakerState

LEVELS = {BreakerState.CLOSED: 0, BreakerState.HALF_OPEN: 1, BreakerState.OPEN: 2}
"""The states as the gauge tells them."""


class Breakers:
    """Holds the breakers, runs their looks, and counts what they do."""

    def __init__(self) -> None:
        self._breakers: list[Breaker] = []

    def add(self, breaker: Breaker) -> None:
        self._breakers.append(breaker)

    async def run(self) -> None:
        """Look at the backends that are away, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for breaker in self._breakers:
                tasks.create_task(breaker.run(), name=f"breaker {breaker.name}")

    def release(self) -> None:
        """The process is to end: whoever waits for a backend gives its message back."""
        for breaker in self._breakers:
            breaker.release()

    def measure(self, meter: Meter) -> None:
        """Tell states and changes as metrics, from now on."""
        changes = meter.create_counter("waggle.breaker.transitions", description="Changes of a circuit breaker.")

        def changed(breaker: Breaker) -> None:
            changes.add(1, {"waggle.backend": breaker.name, "waggle.breaker.state": breaker.state.value})

        def states(_: CallbackOptions) -> Iterable[Observation]:
            return [Observation(LEVELS[breaker.state], {"waggle.backend": breaker.name}) for breaker in self._breakers]

        meter.create_observable_gauge(
            "waggle.breaker.state", [states], description="0: closed, 1: half open, 2: open (the backend is away)."
        )
        for breaker in self._breakers:
            breaker.on_change(changed)
