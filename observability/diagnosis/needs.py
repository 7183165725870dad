"""What services need: who takes out of the queues that they fill, and what their heartbeats tell of."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from observability.dependencies import fleet_graph
from observability.diagnosis.signals import HEARTBEATS_MS, Measure, Signals

CHECKED: Final = Measure(
    what="backends that services look at",
    expression="count by (service, backend) (last_over_time(waggle_backend_up[10m]))",
    rests_on="waggle_up",
    every_ms=HEARTBEATS_MS,
)


class ObservedNeeds:
    """A `Graph` of what travels where, and of the backends that services have looked at within the 10 minutes before the moment
    of `signals`.
    """

    def __init__(self, signals: Signals) -> None:
        self._queues = fleet_graph(())
        self._backends = defaultdict[str, set[str]](set)
        for reading in signals.read(CHECKED):
            self._backends[reading.labels.get("service", "")].add(reading.labels.get("backend", ""))

    def needs(self, component: str) -> tuple[str, ...]:
        return tuple(sorted({*self._queues.needs(component), *self._backends.get(component, ())}))
