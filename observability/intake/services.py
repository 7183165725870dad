"""How many processes of each service are alive, and how many should be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from observability.intake import catalogue
from observability.intake.expectation import Expectation
from observability.intake.series_group import SeriesGroup
from observability.promql.labels import METRIC_NAME, Labels
from observability.promql.source import SeriesSink

MOST_SERVICES: Final = 64


class Services:
    """Learns what to expect of each service, unless it is told."""

    def __init__(
        self,
        sink: SeriesSink,
        *,
        expected: Mapping[str, int] | None = None,
        known: Mapping[str, int] | None = None,
        now: float = 0.0,
    ) -> None:
        """`expected`: how many processes of a service there should be, where that is configured. `known`: what was learnt
        of others by an observer that died, so that who died with it is missed.
        """
        self._configured = dict(expected or {})
        self._learnt = {service: Expectation(number, now=now) for service, number in (known or {}).items()}
        self._group = SeriesGroup(sink)

    @property
    def expected(self) -> dict[str, int]:
        """How many processes of each service there should be, as far as anything is known of it."""
        return {service: each.number for service, each in self._learnt.items()} | self._configured

    def leave(self, service: str) -> None:
        """A process stopped as it was told to."""
        if (expectation := self._learnt.get(service)) is not None:
            expectation.leave()

    def end(self, *, time_ms: int) -> None:
        """We are told to stop. What stops and starts with us is not to be missed by whoever comes next."""
        self._group.end(time_ms=time_ms)

    def write(self, alive: Mapping[str, int], *, now: float, time_ms: int) -> None:
        """Tell of all services. Those that nobody expects and that have no process any more are told no more."""
        for service in alive:
            if service not in self._learnt and len(self._learnt) < MOST_SERVICES:
                self._learnt[service] = Expectation()
        for service, expectation in list(self._learnt.items()):
            expectation.observe(alive.get(service, 0), now=now)
            if service not in alive and not expectation.number:
                del self._learnt[service]
        values = list[tuple[Labels, float]]()
        for service, expected in sorted(self.expected.items()):
            values.append((_labels(catalogue.SERVICE_ALIVE, service), alive.get(service, 0)))
            values.append((_labels(catalogue.SERVICE_EXPECTED, service), expected))
        self._group.write(values, time_ms=time_ms)


def _labels(name: str, service: str) -> Labels:
    return Labels({METRIC_NAME: name, "service": service})
