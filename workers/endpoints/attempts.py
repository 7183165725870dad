"""One request's way through the endpoints: who may be asked next, and what is said when nobody answered."""

from __future__ import annotations

from collections.abc import Sequence

from contracts.endpoint_reports import EndpointState
from contracts.errors import WaggleError
from workers.endpoints.balancing import Balancer
from workers.endpoints.endpoint import Endpoint
from workers.endpoints.errors import EndpointsAwayError, EndpointsUnfitError, RequestRefusedError
from workers.endpoints.faults import Fault, FaultKind
from workers.endpoints.purpose import Purpose


class Attempts:
    """Each endpoint is asked once, and one more time one of those that only lost the connection: at most one attempt
    more than there are endpoints.

    Standbys are asked when no other endpoint can be; with `standbys_first` it is the other way round.
    """

    def __init__(
        self, endpoints: Sequence[Endpoint], balancer: Balancer, purpose: Purpose, *, standbys_first: bool = False
    ) -> None:
        self._endpoints = endpoints
        self._balancer = balancer
        self._purpose = purpose
        self._standbys_first = standbys_first
        self._faults: dict[Endpoint, Fault] = {}
        self._repeated = False

    def next(self) -> Endpoint | None:
        """Who is asked next; None when nobody is left."""
        untried = [endpoint for endpoint in self._endpoints if endpoint.usable and endpoint not in self._faults]
        if untried:
            return self._balancer.choose(self._first(untried))
        repeatable = [endpoint for endpoint, fault in self._faults.items() if endpoint.usable and fault.again]
        if not repeatable or self._repeated:
            return None
        self._repeated = True
        return self._balancer.choose(self._first(repeatable))

    def failed(self, endpoint: Endpoint, fault: Fault) -> None:
        """Note what became of an attempt. Raises `RequestRefusedError` when the request itself is at fault."""
        if fault.kind is FaultKind.REFUSED:
            raise RequestRefusedError(f"{endpoint.url} {fault.reason}", code=self._purpose.code)
        self._faults[endpoint] = fault

    def error(self) -> WaggleError:
        """What to raise when nobody is left.

        `EndpointsUnfitError` if no endpoint would ever answer with these settings; else `EndpointsAwayError`, with the time
        when the first of those that rest can be asked again.
        """
        reasons = "; ".join(f"{endpoint.url} {self._reason(endpoint)}" for endpoint in self._endpoints)
        message = f"no endpoint answered: {reasons}"
        if self._all_misconfigured():
            return EndpointsUnfitError(message, code=self._purpose.code)
        rests = [endpoint.rest_s for endpoint in self._endpoints if endpoint.state is EndpointState.RESTING]
        return EndpointsAwayError(
            message,
            code=self._purpose.code,
            retry_after_s=min(rests, default=None),
            faults=tuple(self._faults.values()),
        )

    def _first(self, endpoints: Sequence[Endpoint]) -> Sequence[Endpoint]:
        return [e for e in endpoints if e.address.standby is self._standbys_first] or endpoints

    def _reason(self, endpoint: Endpoint) -> str:
        fault = self._faults.get(endpoint)
        return fault.reason if fault else endpoint.standing

    def _all_misconfigured(self) -> bool:
        asked = [endpoint for endpoint in self._endpoints if not endpoint.draining]
        faults = [self._faults.get(endpoint) for endpoint in asked]
        return bool(faults) and all(fault and fault.kind is FaultKind.MISCONFIGURED for fault in faults)
