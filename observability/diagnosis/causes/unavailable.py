"""Service unavailable: heartbeats are missing, of the last instance or of one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from contracts.diagnoses import Cause, Subject
from observability.diagnosis.base import Finding
from observability.diagnosis.confidence import any_of
from observability.diagnosis.signals import HEARTBEATS_MS, Measure, Reading, Signals

DEAD: Final = 0.7
"""How sure three missed heartbeats are; further signs, each of its own, add to that."""
LASTING: Final = 0.6
"""Dead for half a minute, so that a restart would be over."""
NOBODY: Final = 0.6
"""None of its service is alive where some are expected."""
STUCK: Final = 0.8
"""How sure an instance is that says itself that it has work and finishes none."""
NEVER_CAME: Final = 0.5
"""Expected, and not heard: it may have been stopped on purpose."""
SUSPECT: Final = 0.5
"""What is left of confidence when so many are silent at once that it may be the observer who does not hear."""
SILENT_SHARE: Final = 0.3
SMALL_FLEET: Final = 5
SILENT_OF_FEW: Final = 2

UP: Final = Measure(
    what="alive (1) or dead (0) by its heartbeats",
    expression="waggle_up",
    rests_on="waggle_up",
    every_ms=HEARTBEATS_MS,
    by=("service", "instance"),
)
EVER_UP: Final = Measure(
    what="heard within half a minute",
    expression="max_over_time(waggle_up[30s])",
    rests_on="waggle_up",
    every_ms=HEARTBEATS_MS,
    by=("service", "instance"),
)
HANGING: Final = Measure(
    what="has work and finishes none (1), as it says itself",
    expression="waggle_process_stuck == 1 and on (service, instance) waggle_up == 1",
    rests_on="waggle_process_stuck",
    every_ms=HEARTBEATS_MS,
    by=("service", "instance"),
)
ALIVE: Final = Measure(
    what="instances alive",
    expression="waggle_service_alive",
    rests_on="waggle_service_alive",
    every_ms=HEARTBEATS_MS,
    by=("service",),
    unit="{instance}",
)
EXPECTED: Final = Measure(
    what="instances expected",
    expression="waggle_service_expected",
    rests_on="waggle_service_expected",
    every_ms=HEARTBEATS_MS,
    by=("service",),
    unit="{instance}",
)


class ServiceUnavailable:
    """A service of which nobody is alive, an instance that is dead while others of its service are alive, or one that lives and
    hangs.
    """

    cause = Cause.SERVICE_UNAVAILABLE

    def find(self, signals: Signals) -> list[Finding]:
        up, expected = signals.read(UP), signals.read(EXPECTED)
        alive = {reading.labels.get("service", ""): reading for reading in signals.read(ALIVE)}
        lately = {_name(reading) for reading in signals.read(EVER_UP) if reading.value > 0}
        dead = defaultdict[str, list[Reading]](list)
        for reading in up:
            if reading.value == 0:
                dead[reading.labels.get("service", "")].append(reading)
        trust = SUSPECT if _is_suspect(sum(map(len, dead.values())), len(up)) else 1.0
        gone = [self._gone(each, alive, dead, lately, trust) for each in expected if each.value > 0]
        found = [finding for finding in gone if finding is not None]
        named = {finding.subject.service for finding in found}
        for service, readings in dead.items():
            if service not in named:
                found += [self._dead(reading, lately, trust) for reading in readings]
        return found + [self._stuck(reading) for reading in signals.read(HANGING)]

    def _gone(
        self,
        expected: Reading,
        alive: Mapping[str, Reading],
        dead: Mapping[str, list[Reading]],
        lately: set[tuple[str, str]],
        trust: float,
    ) -> Finding | None:
        service = expected.labels.get("service", "")
        living, silent = alive.get(service), dead.get(service, [])
        if living is not None and living.value > 0:
            return None
        if living is None and not silent:
            return None  # expected, but nothing recent says that nobody is there
        signs = [NOBODY, DEAD] if silent else [NEVER_CAME]
        if silent and not any(_name(reading) in lately for reading in silent):
            signs.append(LASTING)
        told = [reading.evidence(threshold=0) for reading in silent[:8]]
        told += [expected.evidence()] if living is None else [living.evidence(threshold=0), expected.evidence()]
        return Finding(
            cause=self.cause,
            subject=Subject(component=service, service=service),
            summary=f"No {service} is alive, and {expected.value:.0f} should be.",
            confidence=any_of(*signs) * trust,
            evidence=tuple(told),
        )

    def _dead(self, reading: Reading, lately: set[tuple[str, str]], trust: float) -> Finding:
        service, instance = _name(reading)
        signs = [DEAD] if (service, instance) in lately else [DEAD, LASTING]
        return Finding(
            cause=self.cause,
            subject=Subject(component=service, service=service, instance=instance),
            summary=f"{instance} ({service}) has missed three heartbeats.",
            confidence=any_of(*signs) * trust,
            evidence=(reading.evidence(threshold=0),),
        )

    def _stuck(self, reading: Reading) -> Finding:
        service, instance = _name(reading)
        return Finding(
            cause=self.cause,
            subject=Subject(component=service, service=service, instance=instance),
            summary=f"{instance} ({service}) has work and finishes none.",
            confidence=STUCK,
            evidence=(reading.evidence(threshold=1),),
        )


def _name(reading: Reading) -> tuple[str, str]:
    return reading.labels.get("service", ""), reading.labels.get("instance", "")


def _is_suspect(silent: int, known: int) -> bool:
    return silent > SILENT_SHARE * known if known > SMALL_FLEET else silent >= SILENT_OF_FEW
