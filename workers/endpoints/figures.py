"""Figures of the endpoints as metrics, named by the GenAI semantic conventions where they have a name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from opentelemetry.metrics import CallbackOptions, Meter, NoOpMeter, Observation
from opentelemetry.util.types import AttributeValue

from contracts.endpoint_reports import EndpointState
from workers.endpoints.endpoint import Endpoint
from workers.endpoints.genai import ModelFigures
from workers.endpoints.purpose import Purpose

LEVELS = {
    EndpointState.HEALTHY: 0,
    EndpointState.RESTING: 1,
    EndpointState.DRAINING: 2,
    EndpointState.FAILING: 3,
}
"""The states as the gauge tells them."""


class EndpointFigures:
    """Counts nothing until `measure` names a meter. Attributes are bounded: address, model, operation, cause."""

    def __init__(self, purpose: Purpose, endpoints: Sequence[Endpoint]) -> None:
        self._purpose = purpose
        self._endpoints = endpoints
        self._make(NoOpMeter("waggle"))

    def measure(self, meter: Meter) -> None:
        """Count times and tokens from now on. The states are told by `measure_together`."""
        self._make(meter)

    def operation(self, endpoint: Endpoint, seconds: float, *, error: str | None) -> None:
        """One attempt at an endpoint; `error` is its cause, None if it went well."""
        self._model.operation(self._attributes(endpoint), seconds, error=error)

    def first_token(self, endpoint: Endpoint, seconds: float) -> None:
        self._model.first_token(self._attributes(endpoint), seconds)

    def tokens(self, endpoint: Endpoint, *, read: int, written: int) -> None:
        self._model.tokens(self._attributes(endpoint), read=read, written=written)

    def _make(self, meter: Meter) -> None:
        self._model = ModelFigures(meter)

    def states(self) -> list[Observation]:
        return [Observation(LEVELS[endpoint.state], self._attributes(endpoint)) for endpoint in self._endpoints]

    def in_flight(self) -> list[Observation]:
        return [Observation(endpoint.in_flight, self._attributes(endpoint)) for endpoint in self._endpoints]

    def _attributes(self, endpoint: Endpoint) -> dict[str, AttributeValue]:
        return {
            "gen_ai.operation.name": self._purpose.operation,
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": self._purpose.model,
            "server.address": endpoint.address.host,
            "server.port": endpoint.address.port,
        }


def measure_together(meter: Meter, figures: Sequence[EndpointFigures]) -> None:
    """Tell the figures of all pools of a process from now on; a meter heeds the first who makes a gauge, and no other."""
    for each in figures:
        each.measure(meter)

    def states(_: CallbackOptions) -> Iterable[Observation]:
        return [observation for each in figures for observation in each.states()]

    def in_flight(_: CallbackOptions) -> Iterable[Observation]:
        return [observation for each in figures for observation in each.in_flight()]

    meter.create_observable_gauge(
        "waggle.endpoint.state",
        [states],
        description="0: healthy, 1: resting (too much to do), 2: draining, 3: failing (left out).",
    )
    meter.create_observable_gauge(
        "waggle.endpoint.in_flight", [in_flight], unit="{request}", description="Requests under way."
    )
