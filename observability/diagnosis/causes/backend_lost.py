"""Backend connection lost: what a service depends on cannot be used, by all of its instances or by one."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from contracts.diagnoses import Cause, Evidence, Subject
from observability.diagnosis.base import Finding
from observability.diagnosis.confidence import any_of
from observability.diagnosis.signals import HEARTBEATS_MS, SAMPLES_MS, Measure, Reading, Signals

FAILING: Final = 0.0
OPEN: Final = 2.0
ONE_LOOK: Final = 0.6
"""How sure it is by the last look of every instance."""
LASTING: Final = 0.7
"""How sure by looks that have failed for half a minute; of its own, as the next."""
REFUSING: Final = 0.5
"""How sure by a circuit breaker that requests have opened."""
BROKER: Final = "broker"

_OF: Final = ("service", "instance", "backend")
_ALIVE: Final = 'waggle_up == 1 unless on (service, instance) waggle_process_state{state="starting"} == 1'
CHECKS: Final = Measure(
    what="check of the backend: 1 well, 0.5 degraded, 0 failing",
    expression=f"waggle_backend_up and on (service, instance) ({_ALIVE})",
    rests_on="waggle_backend_up",
    every_ms=HEARTBEATS_MS,
    by=_OF,
)
BEST: Final = Measure(
    what="the best check of half a minute",
    expression="max_over_time(waggle_backend_up[30s])",
    rests_on="waggle_backend_up",
    every_ms=HEARTBEATS_MS,
    by=_OF,
)
LATELY: Final = Measure(
    what="the best check of the last looks",
    expression="max_over_time(waggle_backend_up[12s])",
    rests_on="waggle_backend_up",
    every_ms=HEARTBEATS_MS,
    by=_OF,
)
"""Within that time everybody who works has looked once more, and has told of it: before, it is not known whose trouble it is."""
BREAKERS: Final = Measure(
    what="circuit breaker: 2 is open",
    expression="waggle_breaker_state",
    rests_on="waggle_breaker_state",
    by=("service", "instance", "waggle_backend"),
)
BROKER_UP: Final = Measure(
    what="broker answers the observer", expression="waggle_broker_up", rests_on="waggle_broker_up", every_ms=SAMPLES_MS
)

Key = tuple[str, str, str]


class BackendConnectionLost:
    """A backend that every instance of some service cannot use is lost; one that a single instance misses is that
    instance's trouble. Processes that start are left out: they connect first.
    """

    cause = Cause.BACKEND_CONNECTION_LOST

    def find(self, signals: Signals) -> list[Finding]:
        checks = signals.read(CHECKS)
        best = {_key(reading): reading.value for reading in signals.read(BEST)}
        lately = {_key(reading): reading.value for reading in signals.read(LATELY)}
        opened = {_breaker_key(reading) for reading in signals.read(BREAKERS) if reading.value == OPEN}
        groups = defaultdict[tuple[str, str], list[Reading]](list)
        for reading in checks:
            groups[reading.labels.get("backend", ""), reading.labels.get("service", "")].append(reading)
        lost = defaultdict[str, list[Reading]](list)
        found = []
        for (backend, _), readings in sorted(groups.items()):
            failing = [reading for reading in readings if reading.value <= FAILING]
            if len(failing) == len(readings):
                lost[backend] += failing
            else:
                found += [
                    self._of_instance(reading, len(readings), best, opened)
                    for reading in failing
                    if lately.get(_key(reading), 1.0) <= FAILING
                ]
        found += [self._of_backend(backend, readings, best, opened) for backend, readings in lost.items()]
        return found + self._broker(signals, BROKER in lost)

    def _of_backend(self, backend: str, failing: list[Reading], best: dict[Key, float], opened: set[Key]) -> Finding:
        services = sorted({reading.labels.get("service", "") for reading in failing})
        surely = [_certainty(reading, best, opened) for reading in failing]
        return Finding(
            cause=self.cause,
            subject=Subject(component=backend, service=services[0] if len(services) == 1 else ""),
            summary=f"No instance of {', '.join(services)} can use {backend}.",
            confidence=sum(surely) / len(surely),
            evidence=tuple(reading.evidence(threshold=FAILING) for reading in failing[:8]),
        )

    def _of_instance(self, reading: Reading, of: int, best: dict[Key, float], opened: set[Key]) -> Finding:
        service, instance, backend = _key(reading)
        return Finding(
            cause=self.cause,
            subject=Subject(component=service, service=service, instance=instance),
            summary=f"{instance} cannot use {backend}, which serves others of {of} instances of {service}.",
            confidence=_certainty(reading, best, opened),
            evidence=(reading.evidence(threshold=FAILING),),
        )

    def _broker(self, signals: Signals, known: bool) -> list[Finding]:
        reading = signals.one(BROKER_UP)
        if known or reading is None or reading.value > FAILING:
            return []
        evidence: tuple[Evidence, ...] = (reading.evidence(threshold=FAILING),)
        summary = "The broker does not answer the observer."
        subject = Subject(component=BROKER)
        return [Finding(cause=self.cause, subject=subject, summary=summary, confidence=ONE_LOOK, evidence=evidence)]


def _certainty(reading: Reading, best: dict[Key, float], opened: set[Key]) -> float:
    key = _key(reading)
    signs = [ONE_LOOK]
    if best.get(key, 1.0) <= FAILING:
        signs.append(LASTING)
    if key in opened:
        signs.append(REFUSING)
    return any_of(*signs)


def _key(reading: Reading) -> Key:
    service, instance, backend = (reading.labels.get(name, "") for name in _OF)
    return service, instance, backend


def _breaker_key(reading: Reading) -> Key:
    labels = reading.labels
    return labels.get("service", ""), labels.get("instance", ""), labels.get("waggle_backend", "")
