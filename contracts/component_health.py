"""The health of the fleet as it is shown: its components, what each needs, and how that changed."""

from __future__ import annotations

from enum import StrEnum

from pydantic import AwareDatetime, Field

from contracts.views import View

WHOLE = ""
"""The component of a change that is one of the whole fleet."""


class HealthStatus(StrEnum):
    HEALTHY = "healthy"
    DEGRADED = "degraded"
    """It works, with fewer instances or worse than it should."""
    UNHEALTHY = "unhealthy"
    UNKNOWN = "unknown"
    """There is no data, which is never healthy."""


class ComponentKind(StrEnum):
    SERVICE = "service"
    """Processes of ours."""
    BACKEND = "backend"
    """What they depend on, the broker included."""


class InstanceHealth(View):
    """Of a service one process; of a backend what one process says of it."""

    service: str
    instance: str
    status: HealthStatus
    latency_ms: float | None = Field(default=None, allow_inf_nan=False)
    detail: str = ""
    since: AwareDatetime


class ComponentHealth(View):
    """A component. `latency_ms` is that of the slowest instance; services have none."""

    name: str
    kind: ComponentKind
    required: bool
    """Whether the fleet is unhealthy without it."""
    status: HealthStatus
    latency_ms: float | None = Field(default=None, allow_inf_nan=False)
    detail: str = ""
    since: AwareDatetime
    instances: tuple[InstanceHealth, ...] = ()
    needs: tuple[str, ...] = ()
    """The components that it uses itself."""
    impacted_by: tuple[str, ...] = ()
    """The components that fail, without another one being the reason, and that it needs, however far away."""


class HealthChange(View):
    """A component, or the whole fleet (`WHOLE`), is in another state than before."""

    at: AwareDatetime
    component: str
    before: HealthStatus
    after: HealthStatus


class HealthView(View):
    """The whole fleet. `changes` are there when they were asked for, oldest first."""

    status: HealthStatus
    since: AwareDatetime
    detail: str = ""
    """Which components are the reason; empty when all is well."""
    at: AwareDatetime
    components: tuple[ComponentHealth, ...]
    changes: tuple[HealthChange, ...] | None = None


class Dependency(View):
    """A component and what it needs; `needed_by` is the same the other way round."""

    component: str
    kind: ComponentKind
    status: HealthStatus
    needs: tuple[str, ...] = ()
    needed_by: tuple[str, ...] = ()


class DependenciesView(View):
    """The dependency graph: who works for whom by the topology, and what heartbeats say of backends."""

    items: tuple[Dependency, ...]
