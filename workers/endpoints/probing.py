"""Looks at endpoints that are out, until they are back."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from pydantic import JsonValue

from workers.endpoints.endpoint import Endpoint
from workers.endpoints.faults import EndpointFaultError, Fault, FaultKind
from workers.endpoints.purpose import Purpose, TimeLimit
from workers.endpoints.wire import Wire

SHORTEST_PAUSE_SHARE = 0.5
"""By chance a pause is shortened to at least this share, so that a fleet does not ask all at once."""
_NOT_THERE = frozenset({"404", "405", "501"})


@dataclass(frozen=True, kw_only=True)
class ProbePauses:
    """A pause before a probe doubles from `first_s` to `max_s` while they fail; a probe takes `timeout_s` at most."""

    first_s: float = 0.5
    max_s: float = 30.0
    timeout_s: float = 3.0


class Prober:
    """Asks for the list of models. Where there is none the route itself is asked for nothing, which it refuses at once.

    A refused key or a busy endpoint is an answer: it lives.
    """

    def __init__(
        self,
        wire: Wire,
        purpose: Purpose,
        *,
        pauses: ProbePauses | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._wire = wire
        self._purpose = purpose
        self._pauses = pauses or ProbePauses()
        self._sleep = sleep
        self._jitter = jitter

    async def run(self, endpoint: Endpoint) -> None:
        """Probe `endpoint` whenever it is out, until cancelled.

        The pauses go on growing when it fails again before it has answered a single request.
        """
        pause_s, successes = self._pauses.first_s, endpoint.successes
        while True:
            await endpoint.out.wait()
            if endpoint.successes != successes:
                pause_s, successes = self._pauses.first_s, endpoint.successes
            pause_s = self._next(await self._bring_back(endpoint, pause_s))

    async def _bring_back(self, endpoint: Endpoint, pause_s: float) -> float:
        """Probe until it is back; the last pause after a probe that failed."""
        wait_s = pause_s
        while endpoint.out.is_set():
            await self._sleep(self._shortened(wait_s))
            if await self.probe(endpoint) is None:
                wait_s = self._pauses.first_s
            else:
                wait_s = pause_s = self._next(pause_s)
        return pause_s

    async def probe(self, endpoint: Endpoint) -> Fault | None:
        """Look once and tell the endpoint: what is wrong, None if nothing."""
        fault = await self._look(endpoint)
        if fault is None:
            endpoint.probe_passed()
        else:
            endpoint.probe_failed(fault.reason)
        return fault

    async def first_that_passes(self, endpoints: Iterable[Endpoint]) -> Endpoint | None:
        """Probe all at once; the first that answers, None if none does. The other probes are given up."""
        probes = {asyncio.create_task(self.probe(endpoint)): endpoint for endpoint in endpoints}
        waiting = set(probes)
        try:
            while waiting:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for probe in done:
                    if probe.result() is None:
                        return probes[probe]
            return None
        finally:
            for probe in probes:
                probe.cancel()
            await asyncio.gather(*probes, return_exceptions=True)

    async def _look(self, endpoint: Endpoint) -> Fault | None:
        fault = await self._failure(f"{endpoint.url}/models", None)
        if fault is not None and fault.label in _NOT_THERE:
            return await self._failure(f"{endpoint.url}{self._purpose.route}", {})
        return fault

    async def _failure(self, url: str, body: dict[str, JsonValue] | None) -> Fault | None:
        limit = TimeLimit(seconds=self._pauses.timeout_s, setting="the time of a probe")
        try:
            await self._wire.ask(url, body, limit)
        except EndpointFaultError as error:
            return error.fault if error.fault.kind is FaultKind.FAILURE else None
        return None

    def _next(self, pause_s: float) -> float:
        return min(2 * pause_s, self._pauses.max_s)

    def _shortened(self, pause_s: float) -> float:
        return pause_s * (SHORTEST_PAUSE_SHARE + (1 - SHORTEST_PAUSE_SHARE) * self._jitter())
