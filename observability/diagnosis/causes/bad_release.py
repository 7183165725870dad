"""Bad release: work fails on the newest version or track, while it is done well on the others."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final

from contracts.diagnoses import Cause, Subject
from observability.diagnosis.base import Finding
from observability.diagnosis.confidence import MISSING, mean, strength, support
from observability.diagnosis.signals import HEARTBEATS_MS, Measure, Reading, Signals

HIGH: Final = 0.05
CERTAIN: Final = 0.25
WELL: Final = 0.25
"""Others fail at this share of the newest's rate at most."""
LEAST_FAILED: Final = 5
LEAST_WORK: Final = 20
"""Of each side: with less nothing can be said."""
HALF_FAILED: Final = 5
STABLE: Final = "stable"
WINDOW_S: Final = 600

_WHO: Final = ("service", "instance")
_WORK: Final = (
    "messaging_process_duration_seconds_count",
    "gen_ai_client_operation_duration_seconds_count",
)
_FAILED: Final = '{error_type!=""}'
INFO: Final = Measure(
    what="version and track",
    expression="waggle_process_info",
    rests_on="waggle_process_info",
    every_ms=HEARTBEATS_MS,
    by=_WHO,
)
STARTED: Final = Measure(
    what="start of the process",
    expression="waggle_process_start_time_seconds",
    rests_on="waggle_process_start_time_seconds",
    every_ms=HEARTBEATS_MS,
    by=_WHO,
)


@dataclass(frozen=True, slots=True)
class _Counted:
    """How a counter is read: since the process began, and within the window for those that are older."""

    total: Measure
    within: Measure

    @classmethod
    def of(cls, what: str, counter: str, rests_on: str) -> _Counted:
        by_process = "sum by (service, instance)"
        return cls(
            Measure(what=what, expression=f"{by_process} ({counter})", rests_on=rests_on, by=_WHO),
            Measure(
                what=what,
                # New with the first that is counted: then the whole number is from the window.
                expression=f"{by_process} (({counter} unless {counter} offset 10m) or increase({counter}[10m]))",
                rests_on=rests_on,
                by=_WHO,
            ),
        )


WORKS: Final = tuple(
    (
        _Counted.of("work within 10 minutes", work, work),
        _Counted.of("work that failed within 10 minutes", work + _FAILED, work),
    )
    for work in _WORK
)


@dataclass(slots=True)
class _Release:
    """What the processes of a version and track did, and when the first of them began."""

    name: str
    track: str
    began_s: float = float("inf")
    done: float = 0.0
    failed: float = 0.0
    readings: list[Reading] = field(default_factory=list)
    measured: bool = True
    """Whether it is known when each process began."""

    @property
    def share(self) -> float:
        return self.failed / self.done if self.done else 0.0


class BadRelease:
    """Compares processes of one service that run side by side; one release alone is compared with nothing."""

    cause = Cause.BAD_RELEASE

    def find(self, signals: Signals) -> list[Finding]:
        info, started = signals.read(INFO), {_who(each): each.value for each in signals.read(STARTED)}
        found: dict[str, Finding] = {}
        for done, failed in WORKS:
            works = _counts(signals, done, started), _counts(signals, failed, started)
            for service, releases in _releases(info, started, *works).items():
                finding = self._of(service, releases)
                if finding is not None and (service not in found or finding.confidence > found[service].confidence):
                    found[service] = finding
        return list(found.values())

    def _of(self, service: str, releases: list[_Release]) -> Finding | None:
        if len(releases) < 2:
            return None
        newest = max(releases, key=lambda each: (each.began_s, each.track != STABLE))
        others = [each for each in releases if each is not newest]
        done, failed = sum(each.done for each in others), sum(each.failed for each in others)
        if min(newest.done, done) < LEAST_WORK or newest.failed < LEAST_FAILED or newest.share <= HIGH:
            return None
        share = failed / done
        if share > WELL * newest.share:
            return None
        subject = Subject(component=service, service=service, release=newest.name)
        return Finding(
            cause=self.cause,
            subject=subject,
            summary=f"{100 * newest.share:.0f} % of the work of {service} {newest.name} fails, {100 * share:.1f} % on others.",
            confidence=mean(
                strength(newest.share, threshold=HIGH, certain=CERTAIN),
                strength(share / newest.share, threshold=WELL, certain=0.0),
            )
            * support(newest.failed, half=HALF_FAILED)
            * (1.0 if newest.measured else MISSING),
            evidence=tuple(reading.evidence() for each in (newest, *others) for reading in each.readings[:4]),
        )


def _releases(
    info: list[Reading],
    started: dict[tuple[str, str], float],
    done: dict[tuple[str, str], Reading],
    failed: dict[tuple[str, str], Reading],
) -> dict[str, list[_Release]]:
    """The releases of each service that have done work."""
    found = defaultdict[str, dict[str, _Release]](dict)
    for reading in info:
        who, work = _who(reading), done.get(_who(reading))
        if work is None:
            continue
        version, track = reading.labels.get("version", ""), reading.labels.get("track", "")
        name = f"{version}/{track}"
        release = found[who[0]].setdefault(name, _Release(name, track))
        release.measured &= who in started
        release.began_s = min(release.began_s, started.get(who, float("inf")))
        release.done += work.value
        wrong = failed.get(who)
        release.failed += wrong.value if wrong is not None else 0.0
        release.readings += [work] if wrong is None else [wrong, work]
    return {service: list(releases.values()) for service, releases in found.items()}


def _counts(
    signals: Signals, counted: _Counted, started: dict[tuple[str, str], float]
) -> dict[tuple[str, str], Reading]:
    """A process that is younger than the window counts from its start: before it, its name may have been another's."""
    since_s = signals.at_ms / 1000 - WINDOW_S
    found = {_who(reading): reading for reading in signals.read(counted.within)}
    for reading in signals.read(counted.total):
        if started.get(_who(reading), 0.0) >= since_s:
            found[_who(reading)] = reading
    return found


def _who(reading: Reading) -> tuple[str, str]:
    return reading.labels.get("service", ""), reading.labels.get("instance", "")
