"""The health of all components together, and since when each is as it is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from contracts.backends import BROKER, REQUIRED
from contracts.component_health import (
    WHOLE,
    ComponentHealth,
    ComponentKind,
    DependenciesView,
    Dependency,
    HealthStatus,
    HealthView,
    InstanceHealth,
)
from observability.dependencies import DependencyGraph, fleet_graph, known_services
from observability.health.verdicts import (
    BrokerNews,
    InstanceVerdict,
    Verdict,
    backend_verdict,
    broker_verdict,
    overall,
    service_verdict,
)
from observability.intake.processes import SeenProcess

OPTIONAL: Final = frozenset({"observer", "operator"})
"""Services that watch and repair the others: documents and questions need none of them."""
HELD: Final = timedelta(seconds=15)
"""How long the last verdicts hold while heartbeats cannot be heard: a connection that comes back changes nothing."""

Clock = Callable[[], datetime]
_Key = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What an observer knows at one time. `broker` is None when nobody has looked at it lately; `hears` tells whether
    heartbeats could have been heard; services that are expected 0 times are not required.
    """

    processes: Sequence[SeenProcess]
    expected: Mapping[str, int]
    broker: BrokerNews | None
    hears: bool


class FleetHealth:
    """Judges, and remembers since when. `known` is what was true when an observer was here before, and since when.

    `view`, `graph` and `failing` are those of the last judgement; before the first there are no components.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        known: Mapping[str, tuple[HealthStatus, datetime]] | None = None,
        services: Collection[str] | None = None,
    ) -> None:
        self._clock = clock
        self._services = frozenset(known_services() if services is None else services)
        self._since: dict[_Key, tuple[HealthStatus, datetime]] = {(name,): each for name, each in (known or {}).items()}
        self._heard_at: datetime | None = None
        now = clock()
        self.graph = fleet_graph(())
        self.view = HealthView(
            status=HealthStatus.UNKNOWN, since=now, detail="nothing was looked at yet", at=now, components=()
        )

    @property
    def failing(self) -> frozenset[str]:
        """The components that are unhealthy."""
        return frozenset(each.name for each in self.view.components if each.status is HealthStatus.UNHEALTHY)

    def judge(self, observed: Observed) -> HealthView:
        """Judge all components."""
        now = self._clock()
        if observed.hears:
            self._heard_at = now
        elif self._heard_at is not None and now - self._heard_at <= HELD:
            return self.view
        self.graph = fleet_graph(seen.beat for seen in observed.processes)
        verdicts = self._verdicts(observed, self.graph)
        failing = {each.name for each in verdicts if each.status is HealthStatus.UNHEALTHY}
        impacted = self.graph.impacted(failing)
        before, self._since = self._since, {}
        components = tuple(self._component(each, impacted.get(each.name, ()), before, now) for each in verdicts)
        status, detail = overall(verdicts)
        since = self._changed((WHOLE,), status, before, now)
        self.view = HealthView(status=status, since=since, detail=detail, at=now, components=components)
        return self.view

    def dependencies(self) -> DependenciesView:
        """The graph, with the state of each component."""
        states = {each.name: each for each in self.view.components}
        return DependenciesView(
            items=tuple(
                Dependency(
                    component=name,
                    kind=states[name].kind if name in states else self._kind(name),
                    status=states[name].status if name in states else HealthStatus.UNKNOWN,
                    needs=self.graph.needs(name),
                    needed_by=self.graph.needed_by(name),
                )
                for name in self.graph.components
            )
        )

    def _kind(self, name: str) -> ComponentKind:
        return ComponentKind.SERVICE if name in self._services else ComponentKind.BACKEND

    def _verdicts(self, observed: Observed, graph: DependencyGraph) -> list[Verdict]:
        """Services by name, then the broker and the other backends by name."""
        told = {seen.beat.service for seen in observed.processes}
        services = sorted((self._services | told | observed.expected.keys()) - {*REQUIRED})
        backends = sorted({*REQUIRED, *graph.components} - {BROKER} - {*services})
        return [
            *(self._service(name, observed) for name in services),
            broker_verdict(observed.broker),
            *(backend_verdict(name, observed.processes, hears=observed.hears) for name in backends),
        ]

    def _service(self, name: str, observed: Observed) -> Verdict:
        expected = observed.expected.get(name)
        return service_verdict(
            name,
            (seen for seen in observed.processes if seen.beat.service == name),
            expected=expected or 0,
            required=name in self._services and name not in OPTIONAL and not self._left_out(name, observed),
            hears=observed.hears,
        )

    @staticmethod
    def _left_out(name: str, observed: Observed) -> bool:
        """Whether somebody says that there is to be none of it. What was learnt is never 0 for one that was not there."""
        return observed.expected.get(name) == 0 and not any(s.beat.service == name for s in observed.processes)

    def _component(
        self,
        verdict: Verdict,
        roots: Iterable[str],
        before: Mapping[_Key, tuple[HealthStatus, datetime]],
        now: datetime,
    ) -> ComponentHealth:
        return ComponentHealth(
            name=verdict.name,
            kind=verdict.kind,
            required=verdict.required,
            status=verdict.status,
            latency_ms=verdict.latency_ms,
            detail=verdict.detail,
            since=self._changed((verdict.name,), verdict.status, before, now),
            instances=tuple(self._instance(verdict.name, each, before, now) for each in verdict.instances),
            needs=self.graph.needs(verdict.name),
            impacted_by=tuple(sorted(roots)),
        )

    def _instance(
        self,
        component: str,
        verdict: InstanceVerdict,
        before: Mapping[_Key, tuple[HealthStatus, datetime]],
        now: datetime,
    ) -> InstanceHealth:
        key = (component, verdict.service, verdict.instance)
        return InstanceHealth(
            service=verdict.service,
            instance=verdict.instance,
            status=verdict.status,
            latency_ms=verdict.latency_ms,
            detail=verdict.detail,
            since=self._changed(key, verdict.status, before, now),
        )

    def _changed(
        self, key: _Key, status: HealthStatus, before: Mapping[_Key, tuple[HealthStatus, datetime]], now: datetime
    ) -> datetime:
        known, since = before.get(key, (None, now))
        self._since[key] = (status, since if known is status else now)
        return self._since[key][1]
