"""Which endpoint gets the next request."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from contracts.endpoints import Balance
from workers.endpoints.endpoint import Endpoint


class Balancer:
    """Chooses among endpoints; has no state but whose turn it is.

    Turns are spread smoothly (nginx's weighted round-robin): with weights 3 and 1 they are a, a, b, a, and an endpoint
    that is left out for a while gets its share again, no burst. `least_connections` takes turns among the equally busy.
    """

    def __init__(self, balance: Balance) -> None:
        self._balance = balance
        self._credit: defaultdict[Endpoint, int] = defaultdict(int)

    def choose(self, candidates: Sequence[Endpoint]) -> Endpoint:
        """One of `candidates`, which must not be empty."""
        if self._balance is Balance.LEAST_CONNECTIONS:
            least = min(map(_load, candidates))
            candidates = [endpoint for endpoint in candidates if _load(endpoint) == least]
        return self._next_in_turn(candidates)

    def _next_in_turn(self, candidates: Sequence[Endpoint]) -> Endpoint:
        for endpoint in candidates:
            self._credit[endpoint] += self._weight(endpoint)
        chosen = max(candidates, key=self._credit.__getitem__)
        self._credit[chosen] -= sum(map(self._weight, candidates))
        return chosen

    def _weight(self, endpoint: Endpoint) -> int:
        return 1 if self._balance is Balance.ROUND_ROBIN else endpoint.address.weight


def _load(endpoint: Endpoint) -> float:
    return endpoint.in_flight / endpoint.address.weight
