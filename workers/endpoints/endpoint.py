"""One endpoint of a pool: whether it may be used, and what became of its requests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog

from contracts.endpoint_reports import EndpointState, EndpointStats
from contracts.endpoints import EndpointAddress
from workers.endpoints.faults import Fault, FaultKind

FAILURES_TO_LEAVE = 3
"""So many failed requests in a row take an endpoint out."""
PROBES_TO_RETURN = 2
"""So many passed probes in a row bring it back."""
LATENCY_WEIGHT = 0.2
"""How much the newest latency counts in the moving average."""

log = structlog.get_logger(__name__)


class Endpoint:
    """Leaves after three failures in a row and returns after two passed probes.

    What it refuses for its settings or the request's sake counts as neither failure nor success. Having returned it
    leaves again at its first failure, until a request has succeeded.
    """

    def __init__(self, address: EndpointAddress, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.address = address
        self.out = asyncio.Event()
        self.draining = False
        self.in_flight = 0
        self.last_error = ""
        self.probe_error = ""
        self.successes = 0
        self.departures = 0
        self._monotonic = monotonic
        self._requests = 0
        self._failures = 0
        self._failures_in_a_row = 0
        self._passed_in_a_row = 0
        self._rests_until = -float("inf")
        self._latency_s: float | None = None

    def __repr__(self) -> str:
        return f"<Endpoint {self.address.url} {self.state.value}>"

    @property
    def url(self) -> str:
        return self.address.url

    @property
    def state(self) -> EndpointState:
        if self.draining:
            return EndpointState.DRAINING
        if self.out.is_set():
            return EndpointState.FAILING
        return EndpointState.RESTING if self.rest_s > 0 else EndpointState.HEALTHY

    @property
    def usable(self) -> bool:
        return self.state is EndpointState.HEALTHY

    @property
    def rest_s(self) -> float:
        """How long it rests yet."""
        return max(0.0, self._rests_until - self._monotonic())

    @property
    def standing(self) -> str:
        """Why it is not used, as a reader of an error wants it."""
        if self.state is EndpointState.DRAINING:
            return "is being drained"
        if self.state is EndpointState.RESTING:
            return f"rests for another {self.rest_s:.3g} s ({self.last_error})"
        return self.trouble or "was not tried"

    @property
    def trouble(self) -> str:
        """What the last request failed for that did; and, of one that is out, why it still is."""
        if self.last_error and self.probe_error:
            return f"{self.last_error}; a probe since then: {self.probe_error}"
        return self.last_error or self.probe_error

    def begin(self) -> None:
        self._requests += 1
        self.in_flight += 1

    def end(self) -> None:
        self.in_flight -= 1

    def first_token_after(self, seconds: float) -> None:
        before = seconds if self._latency_s is None else self._latency_s
        self._latency_s = before + LATENCY_WEIGHT * (seconds - before)

    def succeeded(self) -> None:
        self.successes += 1
        self._failures_in_a_row = 0

    def faulted(self, fault: Fault) -> None:
        """Make of a fault what its kind says."""
        if fault.kind is FaultKind.REFUSED:
            return
        self.last_error = fault.reason
        if fault.kind is FaultKind.FAILURE:
            self._failed()
        elif fault.kind is FaultKind.BUSY:
            self._rests_until = max(self._rests_until, self._monotonic() + (fault.rest_s or 0.0))

    def probe_passed(self) -> None:
        self._passed_in_a_row += 1
        if self._passed_in_a_row >= PROBES_TO_RETURN:
            self.bring_back()

    def probe_failed(self, reason: str) -> None:
        self._passed_in_a_row = 0
        self.probe_error = reason

    def take_out(self) -> None:
        if not self.out.is_set():
            self._passed_in_a_row = 0
            self.departures += 1
            self.out.set()
            log.warning("endpoint is out", endpoint=self.url, reason=self.last_error)

    def bring_back(self) -> None:
        if self.out.is_set():
            self.out.clear()
            self.probe_error = ""
            self._failures_in_a_row = FAILURES_TO_LEAVE - 1
            log.info("endpoint is back", endpoint=self.url)

    def stats(self) -> EndpointStats:
        return EndpointStats(
            url=self.url,
            state=self.state,
            weight=self.address.weight,
            standby=self.address.standby,
            requests=self._requests,
            failures=self._failures,
            in_flight=self.in_flight,
            last_error=self.trouble,
            latency_s=self._latency_s,
        )

    def _failed(self) -> None:
        self._failures += 1
        self._failures_in_a_row += 1
        if self._failures_in_a_row >= FAILURES_TO_LEAVE:
            self.take_out()
