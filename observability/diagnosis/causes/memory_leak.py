"""Memory leak: a process takes ever more memory, long after it has started."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from contracts.diagnoses import Cause, Evidence, Subject
from observability.diagnosis.base import Finding
from observability.diagnosis.confidence import MISSING, mean, strength, support
from observability.diagnosis.signals import Measure, Signals, Track, moment
from observability.diagnosis.trends import Trend, median, trend

WINDOW_S: Final = 3600.0
WARM_UP_S: Final = 600.0
"""In which models are loaded and caches fill."""
LEAST_SPAN_S: Final = 1800.0
LEAST_SAMPLES: Final = 25
HALF_SAMPLES: Final = 15
LEAST_GROWTH: Final = 0.1
"""Of what the process has, in the time looked at."""
CERTAIN_GROWTH: Final = 0.5
LEAST_GROWTH_BYTES: Final = 32 * 1024**2
RISING: Final = 0.8
CERTAINLY_RISING: Final = 1.0
GOES_ON: Final = 0.5
"""The later half rises at this share of the whole at least: what fills and is full has stopped."""

METRIC: Final = "process_memory_usage_bytes"
UPTIME: Final = Measure(
    what="how long the process has run",
    expression="process_uptime_seconds",
    rests_on="process_uptime_seconds",
    by=("service", "instance"),
    unit="s",
)


class MemoryLeak:
    """Looks at an hour of each process, from its last start and its warm-up on."""

    cause = Cause.MEMORY_LEAK

    def find(self, signals: Signals) -> list[Finding]:
        started = {
            (reading.labels.get("service", ""), reading.labels.get("instance", "")): signals.at_ms / 1000
            - reading.value
            for reading in signals.read(UPTIME)
        }
        found = (self._of(track, started) for track in signals.tracks(METRIC, span_s=WINDOW_S))
        return [finding for finding in found if finding is not None]

    def _of(self, track: Track, started: Mapping[tuple[str, str], float]) -> Finding | None:
        service, instance = track.labels.get("service", ""), track.labels.get("instance", "")
        start_s = started.get((service, instance))
        track = track.since((_last_fall(track) if start_s is None else start_s) + WARM_UP_S)
        found = _leak(track)
        if found is None:
            return None
        per_hour = found.slope_per_s * 3600
        evidence = Evidence(
            what=f"memory, {found.samples} samples of {found.span_s / 60:.0f} min: growth",
            source=str(track.labels),
            value=found.growth,
            threshold=max(LEAST_GROWTH * found.level, LEAST_GROWTH_BYTES),
            unit="By",
            at=moment(track.at_ms),
        )
        rising = Evidence(
            what="pairs of samples that rise",
            source=str(track.labels),
            value=found.agreement,
            threshold=RISING,
            unit="1",
            at=moment(track.at_ms),
        )
        return Finding(
            cause=self.cause,
            subject=Subject(component=service, service=service, instance=instance),
            summary=f"{instance} takes {per_hour / 1024**2:.0f} MiB more each hour and has {track.values[-1] / 1024**2:.0f} MiB.",
            confidence=mean(
                strength(found.agreement, threshold=RISING, certain=CERTAINLY_RISING),
                strength(found.growth / found.level, threshold=LEAST_GROWTH, certain=CERTAIN_GROWTH),
            )
            * support(found.samples, half=HALF_SAMPLES)
            * (1.0 if start_s is not None else MISSING),
            evidence=(evidence, rising),
        )


def _leak(track: Track) -> Trend | None:
    values = track.values
    if len(values) < LEAST_SAMPLES or values.max() - values.min() < LEAST_GROWTH_BYTES:
        return None
    if track.times_s[-1] - track.times_s[0] < LEAST_SPAN_S:
        return None
    # Most processes end here: comparing pairs takes a hundred times as long.
    quarter = len(values) // 4
    if median(values[-quarter:]) - median(values[:quarter]) < LEAST_GROWTH_BYTES / 2:
        return None
    whole = trend(track.times_s, values)
    later = trend(track.times_s[len(values) // 2 :], values[len(values) // 2 :])
    if whole is None or later is None or whole.agreement < RISING:
        return None
    enough = whole.growth >= max(LEAST_GROWTH * whole.level, LEAST_GROWTH_BYTES)
    return whole if enough and later.slope_per_s >= GOES_ON * whole.slope_per_s else None


def _last_fall(track: Track) -> float:
    """When the process seems to have begun: where nothing tells, at the last sample that has half of the one before."""
    halved = (track.values[1:] < track.values[:-1] / 2).nonzero()[0]
    return float(track.times_s[halved[-1] + 1] if len(halved) else track.times_s[0])
