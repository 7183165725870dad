"""How a component does, from what its instances say."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from contracts.backends import BROKER, REQUIRED
from contracts.component_health import ComponentKind, HealthStatus
from contracts.health import CheckStatus, ProcessState
from observability.intake.broker_facts import BrokerFacts
from observability.intake.processes import SeenProcess

SLOW_BROKER_S: Final = 0.5
"""As the rule BrokerSlow has it."""
FULL_BROKER: Final = 0.95
"""Share of the broker's storage."""

_CHECKS: Final = {
    CheckStatus.OK: HealthStatus.HEALTHY,
    CheckStatus.DEGRADED: HealthStatus.DEGRADED,
    CheckStatus.FAILING: HealthStatus.UNHEALTHY,
    CheckStatus.UNKNOWN: HealthStatus.UNKNOWN,
}
_STATES: Final = {
    ProcessState.READY: (HealthStatus.HEALTHY, ""),
    ProcessState.STARTING: (HealthStatus.DEGRADED, "starting"),
    ProcessState.PAUSED: (HealthStatus.DEGRADED, "paused: it takes no new work until it is told to go on"),
    ProcessState.DRAINING: (HealthStatus.DEGRADED, "stopping"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceVerdict:
    """A process of a service, or what a process says of a backend."""

    service: str
    instance: str
    status: HealthStatus
    latency_ms: float | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A component."""

    name: str
    kind: ComponentKind
    required: bool
    status: HealthStatus
    detail: str = ""
    latency_ms: float | None = None
    instances: tuple[InstanceVerdict, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerNews:
    """The last look at the broker. `facts` is None when it was away; `streams` are those that should be there."""

    facts: BrokerFacts | None
    streams: Collection[str] = ()


def service_verdict(
    service: str, processes: Iterable[SeenProcess], *, expected: int, required: bool, hears: bool
) -> Verdict:
    """A service is unhealthy without a process that is ready, and degraded with fewer than are expected, or with one that
    is dead or starts. One that stops as it was told to is not missed. Of a service that was never heard of nothing is known,
    unless a process is expected.
    """
    instances = tuple(_process(seen, hears=hears) for seen in processes)
    status, detail = _service_status(instances, expected=expected, hears=hears)
    return Verdict(
        name=service,
        kind=ComponentKind.SERVICE,
        required=required,
        status=status,
        detail=detail,
        instances=instances,
    )


def _process(seen: SeenProcess, *, hears: bool) -> InstanceVerdict:
    if not hears:
        status, detail = HealthStatus.UNKNOWN, "the observer does not hear heartbeats"
    elif not seen.alive:
        status, detail = HealthStatus.UNHEALTHY, "dead: it has missed three heartbeats"
    else:
        status, detail = _STATES[seen.beat.state]
    return InstanceVerdict(service=seen.beat.service, instance=seen.beat.instance, status=status, detail=detail)


def _service_status(instances: Sequence[InstanceVerdict], *, expected: int, hears: bool) -> tuple[HealthStatus, str]:
    if not hears:
        return HealthStatus.UNKNOWN, "the observer does not hear heartbeats"
    if not instances and not expected:
        return HealthStatus.UNKNOWN, "no process of it was heard of"
    ready = sum(each.status is HealthStatus.HEALTHY for each in instances)
    if not ready:
        return HealthStatus.UNHEALTHY, f"none of {max(expected, len(instances))} is ready"
    missed = sum(each.status is not HealthStatus.HEALTHY and each.detail != "stopping" for each in instances)
    if ready < expected or missed:
        return HealthStatus.DEGRADED, f"{ready} of {max(expected, ready + missed)} are ready"
    return HealthStatus.HEALTHY, ""


def backend_verdict(name: str, processes: Iterable[SeenProcess], *, hears: bool) -> Verdict:
    """A backend is unhealthy when all processes of a service say that it fails: that service cannot use it. It is degraded
    when only some say so, or that it is degraded. What the dead said last is not known to be true any more.
    """
    instances = tuple(each for seen in processes for each in _checks(name, seen, hears=hears))
    status, detail = _backend_status(instances)
    return Verdict(
        name=name,
        kind=ComponentKind.BACKEND,
        required=name in REQUIRED,
        status=status,
        detail=detail,
        latency_ms=max((each.latency_ms for each in instances if each.latency_ms is not None), default=None),
        instances=instances,
    )


def _checks(name: str, seen: SeenProcess, *, hears: bool) -> Iterable[InstanceVerdict]:
    known = hears and seen.alive
    for check in seen.beat.checks:
        if check.name == name:
            yield InstanceVerdict(
                service=seen.beat.service,
                instance=seen.beat.instance,
                status=_CHECKS[check.status] if known else HealthStatus.UNKNOWN,
                latency_ms=check.latency_ms if known else None,
                detail=check.detail if known else "its process is not heard any more",
            )


def _backend_status(instances: Sequence[InstanceVerdict]) -> tuple[HealthStatus, str]:
    known = [each for each in instances if each.status is not HealthStatus.UNKNOWN]
    if not known:
        return HealthStatus.UNKNOWN, "no process says how it does"
    by_service = defaultdict[str, list[HealthStatus]](list)
    for each in known:
        by_service[each.service].append(each.status)
    lost = sorted(name for name, said in by_service.items() if set(said) == {HealthStatus.UNHEALTHY})
    if lost:
        return HealthStatus.UNHEALTHY, f"fails for every {' and every '.join(lost)}"
    counted = Counter(each.status for each in known)
    if counted[HealthStatus.UNHEALTHY]:
        return HealthStatus.DEGRADED, f"fails for {counted[HealthStatus.UNHEALTHY]} of {len(known)} processes"
    if counted[HealthStatus.DEGRADED]:
        return HealthStatus.DEGRADED, f"degraded for {counted[HealthStatus.DEGRADED]} of {len(known)} processes"
    return HealthStatus.HEALTHY, ""


def broker_verdict(news: BrokerNews | None) -> Verdict:
    """The broker, as the observer itself sees it; None: nobody has looked lately."""
    status, detail = _broker_status(news)
    latency_ms = news.facts.latency_s * 1000 if news is not None and news.facts is not None else None
    return Verdict(
        name=BROKER,
        kind=ComponentKind.BACKEND,
        required=True,
        status=status,
        detail=detail,
        latency_ms=latency_ms,
    )


def _broker_status(news: BrokerNews | None) -> tuple[HealthStatus, str]:
    if news is None:
        return HealthStatus.UNKNOWN, "nobody has looked at it lately"
    facts = news.facts
    if facts is None:
        return HealthStatus.UNHEALTHY, "it does not answer the observer"
    lost = sorted(set(news.streams) - {stream.name for stream in facts.streams})
    if lost:
        return (
            HealthStatus.DEGRADED,
            f"stream {', '.join(lost)} cannot be looked at: run `waggle provision` if it is gone",
        )
    limit = facts.storage_limit_bytes
    if limit is not None and facts.storage_bytes > FULL_BROKER * limit:
        return HealthStatus.DEGRADED, f"its storage is {facts.storage_bytes / limit:.0%} full"
    if facts.latency_s > SLOW_BROKER_S:
        return HealthStatus.DEGRADED, f"slow: it took {facts.latency_s:.1f} s to answer"
    return HealthStatus.HEALTHY, ""


def overall(verdicts: Iterable[Verdict]) -> tuple[HealthStatus, str]:
    """Of the whole fleet: unhealthy when a required component is, unknown when nothing is known of a required one, and
    degraded when anything else is not healthy. What is optional and was never heard of does not count.
    """
    given = list(verdicts)
    for required, status, becomes in (
        (True, HealthStatus.UNHEALTHY, HealthStatus.UNHEALTHY),
        (True, HealthStatus.UNKNOWN, HealthStatus.UNKNOWN),
        (False, HealthStatus.UNHEALTHY, HealthStatus.DEGRADED),
        (False, HealthStatus.DEGRADED, HealthStatus.DEGRADED),
    ):
        found = [each.name for each in given if each.status is status and (each.required or not required)]
        if found:
            return becomes, f"{status}: {', '.join(sorted(found))}"
    return (HealthStatus.HEALTHY, "") if given else (HealthStatus.UNKNOWN, "nothing was looked at")
