"""Which findings are consequences of which: the root is named, not its victims."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol

from contracts.diagnoses import Cause
from observability.diagnosis.base import Finding

LEAST_ROOT: Final = 0.4
"""Who is less sure explains nothing else."""
MOST_NEEDS: Final = 1_000
"""Components that are followed from one."""

_SYMPTOMS: Final = frozenset(
    {Cause.HIGH_RESPONSE_TIME, Cause.HIGH_ERROR_RATE, Cause.BACKLOG_GROWING, Cause.SLOW_CONSUMER}
)
EXPLAINS: Final[Mapping[Cause, frozenset[Cause]]] = {
    Cause.BACKEND_CONNECTION_LOST: _SYMPTOMS | {Cause.BACKEND_CONNECTION_LOST, Cause.SERVICE_UNAVAILABLE},
    Cause.SERVICE_UNAVAILABLE: _SYMPTOMS | {Cause.BACKEND_CONNECTION_LOST},
    Cause.POISON_MESSAGE: frozenset({Cause.SERVICE_UNAVAILABLE, Cause.HIGH_ERROR_RATE}),
    Cause.BAD_RELEASE: _SYMPTOMS | {Cause.POISON_MESSAGE},
    Cause.SLOW_CONSUMER: frozenset({Cause.HIGH_RESPONSE_TIME, Cause.BACKLOG_GROWING}),
    Cause.BACKLOG_GROWING: frozenset({Cause.HIGH_RESPONSE_TIME, Cause.HIGH_ERROR_RATE}),
    Cause.HIGH_RESPONSE_TIME: frozenset({Cause.HIGH_ERROR_RATE}),
}
"""What a cause may bring about, in its component and in what needs it. A leak or a disk that fills explains nothing else by
itself: once it does harm, a process is dead or the broker refuses, which is found as such."""
ORDER: Final = (
    Cause.BACKEND_CONNECTION_LOST,
    Cause.SERVICE_UNAVAILABLE,
    Cause.BAD_RELEASE,
    Cause.POISON_MESSAGE,
    Cause.MEMORY_LEAK,
    Cause.DISK_FILLING,
    Cause.SLOW_CONSUMER,
    Cause.BACKLOG_GROWING,
    Cause.HIGH_RESPONSE_TIME,
    Cause.HIGH_ERROR_RATE,
)
"""Of two that are as sure, the first is shown first."""


class Graph(Protocol):
    """What components need to work."""

    def needs(self, component: str) -> tuple[str, ...]:
        """What it needs itself; nothing of a component that is not known."""
        ...


Relations = dict[str, tuple[str, ...]]
"""By the fingerprint of a finding those of its roots; the others are roots."""


def relations(findings: Sequence[Finding], graph: Graph) -> Relations:
    """What each finding comes from: the last of each chain of causes. No finding is its own root, whoever needs whom."""
    behind = {each.fingerprint: reach(each, graph) for each in findings}
    parents: dict[str, list[str]] = {}
    for finding in sorted(findings, key=lambda each: (ORDER.index(each.cause), each.fingerprint)):
        sources = [other for other in findings if _explains(other, finding, behind[finding.fingerprint])]
        found = [
            other.fingerprint for other in sources if finding.fingerprint not in _ancestors(other.fingerprint, parents)
        ]
        if found:
            parents[finding.fingerprint] = found
    return {
        fingerprint: tuple(sorted(each for each in _ancestors(fingerprint, parents) if each not in parents))
        for fingerprint in parents
    }


def rank(finding: Finding) -> tuple[int, float, str]:
    """In the order of causes, the surer first."""
    return ORDER.index(finding.cause), -finding.confidence, finding.fingerprint


def reach(finding: Finding, graph: Graph) -> frozenset[str]:
    """The components that it may come from: its own, those it may come about through, and all that these need."""
    reached: dict[str, None] = {}
    open_nodes = [finding.subject.component, *sorted(finding.through)]
    while open_nodes and len(reached) < MOST_NEEDS:
        component = open_nodes.pop()
        if component not in reached:
            reached[component] = None
            open_nodes += graph.needs(component)
    return frozenset(reached)


def _explains(source: Finding, finding: Finding, behind: frozenset[str]) -> bool:
    if source is finding or source.confidence < LEAST_ROOT or finding.cause not in EXPLAINS.get(source.cause, ()):
        return False
    if source.subject.component == finding.subject.component:
        return _concerns(source, finding)
    return source.subject.component in behind


def _concerns(source: Finding, finding: Finding) -> bool:
    """What is wrong with one instance explains nothing of another one, nor of a consumer that is another."""
    return all(
        not one or not other or one == other
        for one, other in (
            (source.subject.instance, finding.subject.instance),
            (source.subject.consumer, finding.subject.consumer),
        )
    )


def _ancestors(fingerprint: str, parents: Mapping[str, Iterable[str]]) -> frozenset[str]:
    """Itself, and all that it comes from."""
    found: set[str] = set()
    open_nodes = [fingerprint]
    while open_nodes:
        each = open_nodes.pop()
        if each not in found:
            found.add(each)
            open_nodes += parents.get(each, ())
    return frozenset(found)
