"""Alerts on components that only suffer: the alert on the component which is the root says it all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from contracts.alerts import SEVERITY, AlertEvent
from observability.dependencies import DependencyGraph

COMPONENT: Final = "component"
DEPENDENCY: Final = "dependency"
"""The label by which a rule says how its alerts take part; those without it do not."""
CAUSE: Final = "cause"
"""The component does not work."""
SYMPTOM: Final = "symptom"
"""What may come of that, for the component or for whoever needs it."""
BOTH: Final = "both"
"""The component does not work, which may come of another one that does not."""
MOST_CAUSES: Final = 1000
"""Causes beyond inhibit nothing: rather too many messages than too few."""

_URGENCY: Final = {"info": 1, "warning": 2, "critical": 3}

Graph = Callable[[], DependencyGraph]


class Dependents:
    """Told of every alert by `observe`; says which alert is the root of another one.

    A symptom is inhibited while a cause fires on its component, or on one that this needs, however far away; of causes those
    count that are roots. Only a cause that is as severe as the symptom or more inhibits it.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._causes: dict[str, tuple[str, int]] = {}

    def observe(self, alert: AlertEvent) -> None:
        if alert.labels.get(DEPENDENCY) not in {CAUSE, BOTH}:
            return
        if not alert.is_firing:
            self._causes.pop(alert.fingerprint, None)
        elif COMPONENT in alert.labels and (alert.fingerprint in self._causes or len(self._causes) < MOST_CAUSES):
            self._causes[alert.fingerprint] = (alert.labels[COMPONENT], _urgency(alert.labels))

    def inhibiting(self, labels: Mapping[str, str]) -> str | None:
        """The fingerprint of an alert on a root for which these labels are inhibited, or None."""
        kind, name = labels.get(DEPENDENCY), labels.get(COMPONENT)
        if kind not in {SYMPTOM, BOTH} or name is None or not self._causes:
            return None
        graph, least = self._graph(), _urgency(labels)
        fingerprints = dict[str, str]()
        for fingerprint, (component, urgency) in self._causes.items():
            if urgency >= least:
                fingerprints.setdefault(graph.named(component), fingerprint)
        own, roots = graph.named(name), graph.roots(fingerprints.keys())
        if kind == BOTH and own in roots:
            return None
        found = roots & (graph.all_needs(own) | {own})
        return fingerprints[min(found)] if found else None


def _urgency(labels: Mapping[str, str]) -> int:
    return _URGENCY.get(labels.get(SEVERITY, ""), 0)
