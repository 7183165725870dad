"""High error rate: more than 5 % of the questions fail, with which code, and at whom."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from contracts.diagnoses import Cause, Subject
from contracts.errors import ErrorCode
from observability.diagnosis.base import Finding
from observability.diagnosis.components import GATEWAY, GENERATE, ON_QUESTIONS, RETRIEVE
from observability.diagnosis.confidence import MISSING, mean, strength, support
from observability.diagnosis.signals import HEARTBEATS_MS, Measure, Reading, Signals

HIGH: Final = 0.05
CERTAIN: Final = 0.25
LEAST_FAILED: Final = 3
HALF_FAILED: Final = 3

_QUERIES: Final = "waggle_queries_total"
_FAILURES: Final = "waggle_query_failures_total"
SHARE: Final = Measure(
    what="questions that fail",
    expression=(
        f'(sum(rate({_QUERIES}{{outcome="failed"}}[5m])) or vector(0)) '
        f'/ sum(rate({_QUERIES}{{outcome!="cancelled"}}[5m]))'
    ),
    rests_on=_QUERIES,
    unit="1",
)
FAILED: Final = Measure(
    what="questions that failed within 5 minutes",
    expression=f'sum(increase({_QUERIES}{{outcome="failed"}}[5m]))',
    rests_on=_QUERIES,
    unit="{query}",
)
CODES: Final = Measure(
    what="failures of the code within 5 minutes",
    # A code that nobody knew before has its whole number from the last minutes.
    expression=f"sum by (code) (({_FAILURES} unless {_FAILURES} offset 5m) or increase({_FAILURES}[5m]))",
    rests_on=_FAILURES,
    by=("code",),
    unit="{query}",
)
BACKENDS: Final = Measure(
    what="its backend: 1 well, 0.5 degraded, 0 failing",
    expression="min by (service, backend) (waggle_backend_up and on (service, instance) waggle_up == 1) < 1",
    rests_on="waggle_backend_up",
    every_ms=HEARTBEATS_MS,
    by=("service", "backend"),
)
WELL: Final = 1.0

AT: Final[Mapping[str, str]] = {
    ErrorCode.RETRIEVAL_FAILED: RETRIEVE,
    ErrorCode.GENERATION_FAILED: GENERATE,
}
"""Who ends questions with which code; others may come from anywhere on their way."""


class HighErrorRate:
    """The commonest code tells at whom questions fail, and the checks of that service which of its backends is not well."""

    cause = Cause.HIGH_ERROR_RATE

    def find(self, signals: Signals) -> list[Finding]:
        share, failed = signals.one(SHARE), signals.one(FAILED)
        if share is None or failed is None or share.value <= HIGH or failed.value < LEAST_FAILED:
            return []
        codes = [reading for reading in signals.read(CODES) if reading.value > 0]
        commonest = max(codes, key=lambda reading: reading.value, default=None)
        code = commonest.labels.get("code", "") if commonest is not None else ""
        service = AT.get(code, "")
        backends = [reading for reading in signals.read(BACKENDS) if reading.labels.get("service", "") == service]
        told = [share.evidence(threshold=HIGH), failed.evidence(threshold=LEAST_FAILED)]
        told += [reading.evidence() for reading in sorted(codes, key=lambda reading: -reading.value)[:3]]
        told += [reading.evidence(threshold=WELL) for reading in backends]
        strengths = [strength(share.value, threshold=HIGH, certain=CERTAIN)]
        if commonest is not None:
            strengths.append(commonest.value / sum(reading.value for reading in codes))
        return [
            Finding(
                cause=self.cause,
                subject=Subject(component=service or GATEWAY, service=service),
                summary=_summary(share.value, code, service, backends),
                confidence=mean(*strengths)
                * support(failed.value, half=HALF_FAILED)
                * (1.0 if commonest is not None else MISSING),
                evidence=tuple(told),
                through=frozenset() if service else ON_QUESTIONS,
            )
        ]


def _summary(share: float, code: str, service: str, backends: list[Reading]) -> str:
    which = f", mostly with {code}" if code else "; with which codes is not known"
    where = f" at {service}" if service else ""
    names = ", ".join(sorted({reading.labels.get("backend", "") for reading in backends}))
    return f"{100 * share:.0f} % of the questions fail{where}{which}{f'; not well: {names}' if names else ''}."
