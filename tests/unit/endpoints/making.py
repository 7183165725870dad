"""Endpoints without servers."""

from __future__ import annotations

from contracts.endpoints import EndpointAddress
from tests.support.clocks import Clock
from workers.endpoints.endpoint import Endpoint
from workers.endpoints.faults import Fault, FaultKind


def endpoint(name: str = "a", *, weight: int = 1, standby: bool = False, clock: Clock | None = None) -> Endpoint:
    address = EndpointAddress(url=f"http://{name}/v1", weight=weight, standby=standby)
    return Endpoint(address, monotonic=clock or Clock())


def failure(reason: str = "answered 500", *, again: bool = False) -> Fault:
    return Fault(kind=FaultKind.FAILURE, label="500", reason=reason, again=again)


def busy(rest_s: float) -> Fault:
    return Fault(kind=FaultKind.BUSY, label="429", reason="answered 429", rest_s=rest_s)


def misconfigured(reason: str = "refuses the key") -> Fault:
    return Fault(kind=FaultKind.MISCONFIGURED, label="401", reason=reason)


REFUSED = Fault(kind=FaultKind.REFUSED, label="400", reason="refused the request with 400")
