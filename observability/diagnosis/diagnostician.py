"""Finds what is wrong at a moment, and what of it is behind the rest."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Final

import structlog
from cachetools import LRUCache

from contracts.diagnoses import Cause, DiagnosesView, Diagnosis
from observability.diagnosis.actions import ACTIONS
from observability.diagnosis.base import Detector, Finding
from observability.diagnosis.causes import (
    BackendConnectionLost,
    BacklogGrowing,
    BadRelease,
    DiskFilling,
    FailingWork,
    HighErrorRate,
    HighResponseTime,
    MemoryLeak,
    PoisonMessage,
    ServiceUnavailable,
    SlowConsumer,
)
from observability.diagnosis.causes.unavailable import UP
from observability.diagnosis.combining import LEAST_ROOT, Graph, Relations, rank, reach, relations
from observability.diagnosis.lingering import Lingering
from observability.diagnosis.needs import ObservedNeeds
from observability.diagnosis.signals import Signals, moment
from observability.promql import EvaluationError, SeriesSource

MEMORY_MS: Final = 3_600_000
MOST_FINDINGS: Final = 200
"""Of one moment: the surest of each cause. A fleet in which more is wrong has one trouble, not hundreds."""
MOST_CACHED: Final = 256

log = structlog.get_logger(__name__)

DETECTORS: Final[tuple[Detector, ...]] = (
    HighResponseTime(),
    HighErrorRate(),
    FailingWork(),
    MemoryLeak(),
    BackendConnectionLost(),
    ServiceUnavailable(),
    BacklogGrowing(),
    PoisonMessage(),
    BadRelease(),
    DiskFilling(),
    SlowConsumer(),
)

Symptoms = frozenset[tuple[str, bool, frozenset[str]]]


class Diagnostician:
    """Runs all detectors over `source`, and combines what they find by the graph of needs of that moment.

    `now_ms` is the present, `memory_ms` how far back there are all samples. Safe for several threads. How findings hang
    together is kept by their fingerprints, for as many sets of symptoms as `most_cached`.
    """

    def __init__(
        self,
        source: SeriesSource,
        *,
        now_ms: Callable[[], int],
        memory_ms: int = MEMORY_MS,
        detectors: Sequence[Detector] = DETECTORS,
        graph_at: Callable[[Signals], Graph] = ObservedNeeds,
        most_cached: int = MOST_CACHED,
    ) -> None:
        self._source = source
        self._now_ms = now_ms
        self._memory_ms = memory_ms
        self._detectors = tuple(detectors)
        self._graph_at = graph_at
        self._known: LRUCache[Symptoms, Relations] = LRUCache(maxsize=most_cached)
        self._lock = threading.Lock()
        self._lingering = Lingering()

    def now(self) -> DiagnosesView:
        """What is wrong. What comes from a root that was there two minutes ago is a consequence still."""
        return self._judged(self._now_ms(), self._lingering)

    def at(self, at_ms: int) -> DiagnosesView:
        """What was wrong at a moment, in milliseconds since 1970; of a time of which nothing is known no cause is judged.

        Takes a while: call it in a thread. Raises `EvaluationError` when not even the graph can be read.
        """
        return self._judged(at_ms, Lingering())

    def _judged(self, at_ms: int, lingering: Lingering) -> DiagnosesView:
        signals = Signals(self._source, at_ms=at_ms, rolled_up=self._now_ms() - at_ms > self._memory_ms)
        if not signals.read(UP):  # nobody was heard, and nobody missed
            return DiagnosesView(at=moment(at_ms), unjudged=tuple(Cause))
        findings, unjudged = self._findings(signals)
        behind = [*findings, *lingering.heed(findings, at_ms)]
        roots = self._relations(behind, self._graph_at(signals)) if findings else {}
        diagnoses = [_diagnosis(finding, roots.get(finding.fingerprint, ()), at_ms) for finding in findings]
        return DiagnosesView(
            at=moment(at_ms), items=tuple(diagnoses[i] for i in _ranked(findings, roots)), unjudged=unjudged
        )

    def _findings(self, signals: Signals) -> tuple[list[Finding], tuple[Cause, ...]]:
        """Each cause of each subject once, and the causes that could not be looked for."""
        found: dict[str, Finding] = {}
        unjudged: list[Cause] = []
        for detector in self._detectors:
            try:
                findings = detector.find(signals)
            except EvaluationError as error:
                log.warning("a cause cannot be looked for", cause=detector.cause.value, reason=str(error))
                unjudged.append(detector.cause)
                continue
            for finding in sorted(findings, key=rank)[: MOST_FINDINGS // len(self._detectors)]:
                found.setdefault(finding.fingerprint, finding)
        return list(found.values()), tuple(dict.fromkeys(unjudged))

    def _relations(self, findings: list[Finding], graph: Graph) -> Relations:
        symptoms = frozenset(_symptom(finding, graph) for finding in findings)
        with self._lock:
            known = self._known.get(symptoms)
        if known is None:
            known = relations(findings, graph)
            with self._lock:
                self._known[symptoms] = known
        return known


def _symptom(finding: Finding, graph: Graph) -> tuple[str, bool, frozenset[str]]:
    """All that decides what a finding hangs together with."""
    return finding.fingerprint, finding.confidence >= LEAST_ROOT, reach(finding, graph)


def _ranked(findings: list[Finding], roots: Relations) -> list[int]:
    """The order in which they are shown: roots first, then the surer."""
    return sorted(
        range(len(findings)),
        key=lambda i: (findings[i].fingerprint in roots, -round(findings[i].confidence, 2), rank(findings[i])),
    )


def _diagnosis(finding: Finding, roots: tuple[str, ...], at_ms: int) -> Diagnosis:
    return Diagnosis(
        fingerprint=finding.fingerprint,
        cause=finding.cause,
        subject=finding.subject,
        summary=finding.summary,
        confidence=round(min(1.0, max(0.0, finding.confidence)), 3),
        evidence=finding.evidence,
        actions=() if roots else ACTIONS[finding.cause],
        impacted_by=roots,
        at=moment(at_ms),
    )
