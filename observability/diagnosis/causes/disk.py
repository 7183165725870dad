"""Disk filling: a filesystem, or what the broker may store, will be full within hours."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

import numpy as np

from contracts.diagnoses import Cause, Evidence, Subject
from observability.diagnosis.base import Finding
from observability.diagnosis.confidence import mean, strength, support
from observability.diagnosis.signals import HEARTBEATS_MS, Measure, Signals, Track, moment
from observability.diagnosis.trends import Trend, trend

WINDOW_S: Final = 3600.0
LEAST_SPAN_S: Final = 1200.0
LEAST_SAMPLES: Final = 15
HALF_SAMPLES: Final = 8
LEAST_USED: Final = 0.5
"""Of little use, a large file looks like a trend."""
FULL: Final = 0.95
SOON_S: Final = 4 * 3600.0
CERTAIN_S: Final = 3600.0
RISING: Final = 0.8
CERTAINLY_RISING: Final = 1.0
METRIC: Final = "system_filesystem_utilization"
DISK: Final = "disk"
BROKER: Final = "broker"

INFO: Final = Measure(
    what="hosts of processes, also of those that have ended within the hour",
    expression="max by (service, instance, host) (last_over_time(waggle_process_info[1h]))",
    rests_on="waggle_up",
    every_ms=HEARTBEATS_MS,
)
LIMIT: Final = Measure(
    what="storage of the broker",
    expression="waggle_broker_storage_limit_bytes",
    rests_on="waggle_broker_storage_limit_bytes",
    unit="By",
)


class DiskFilling:
    """Says when what is filled will be full, if it goes on as in the last hour; and what is full already."""

    cause = Cause.DISK_FILLING

    def find(self, signals: Signals) -> list[Finding]:
        found = [
            self._of(track, Subject(component=DISK, host=host), f"{mount} of {host}")
            for (host, mount), track in sorted(_filesystems(signals).items())
        ]
        limit = signals.one(LIMIT)
        if limit is not None and limit.value > 0:
            for track in signals.tracks("waggle_broker_storage_bytes", span_s=WINDOW_S):
                shares = Track(track.labels, track.times_s, track.values / limit.value)
                found.append(self._of(shares, Subject(component=BROKER), "the storage of the broker"))
        return [finding for finding in found if finding is not None]

    def _of(self, track: Track, subject: Subject, name: str) -> Finding | None:
        used, pace = float(track.values[-1]), _pace(track)
        left_s = None if pace is None else max(0.0, 1.0 - used) / pace.slope_per_s
        told = [_evidence("share in use", track, used, FULL, "1")]
        certainties = [strength(used, threshold=FULL, certain=1.0)] if used > FULL else []
        summary = f"{name} is {100 * used:.0f} % full"
        if pace is not None and left_s is not None and left_s < SOON_S and used >= LEAST_USED:
            told.append(_evidence("time to full", track, left_s, SOON_S, "s"))
            summary += f" and will be full in {left_s / 3600:.1f} h"
            soon = strength(left_s, threshold=SOON_S, certain=CERTAIN_S)
            steady = strength(pace.agreement, threshold=RISING, certain=CERTAINLY_RISING)
            certainties.append(mean(soon, steady) * support(pace.samples, half=HALF_SAMPLES))
        if not certainties:
            return None
        return Finding(
            cause=self.cause,
            subject=subject,
            summary=f"{summary}.",
            confidence=max(certainties),
            evidence=tuple(told),
        )


def _evidence(what: str, track: Track, value: float, threshold: float, unit: str) -> Evidence:
    return Evidence(
        what=what, source=str(track.labels), value=value, threshold=threshold, unit=unit, at=moment(track.at_ms)
    )


def _filesystems(signals: Signals) -> dict[tuple[str, str], Track]:
    """By host and mount point. Who tells of a host may change: then the samples of both are one track."""
    hosts = {
        (reading.labels.get("service", ""), reading.labels.get("instance", "")): reading.labels.get("host", "")
        for reading in signals.read(INFO)
    }
    found = defaultdict[tuple[str, str], list[Track]](list)
    for ended in (False, True):
        for track in signals.tracks(METRIC, span_s=WINDOW_S, where={"system_filesystem_state": "used"}, ended=ended):
            host = hosts.get((track.labels.get("service", ""), track.labels.get("instance", "")))
            key = host or "", track.labels.get("system_filesystem_mountpoint", "")
            if host is not None and (key in found or not ended):
                found[key].append(track)
    return {key: _joined(tracks) for key, tracks in found.items()}


def _joined(tracks: list[Track]) -> Track:
    times = np.concatenate([track.times_s for track in tracks])
    values = np.concatenate([track.values for track in tracks])
    _, kept = np.unique(times, return_index=True)
    return Track(tracks[0].labels, times[kept], values[kept])


def _pace(track: Track) -> Trend | None:
    """How it rises; None where it does not, or where that cannot be told yet."""
    found = trend(track.times_s, track.values)
    if found is None or found.samples < LEAST_SAMPLES or found.span_s < LEAST_SPAN_S:
        return None
    return found if found.slope_per_s > 0 and found.agreement >= RISING else None
