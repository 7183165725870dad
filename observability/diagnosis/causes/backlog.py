"""Backlog growing: more work comes in than gets done."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from contracts import topology
from contracts.diagnoses import Cause, Evidence, Subject
from observability.diagnosis.base import Finding
from observability.diagnosis.components import GROUP, ConsumerServices
from observability.diagnosis.confidence import MISSING, mean, strength, support
from observability.diagnosis.signals import Measure, Reading, Signals, Track, moment
from observability.diagnosis.trends import Trend, trend

WINDOW_S: Final = 600.0
LEAST_SPAN_S: Final = 300.0
LEAST_SAMPLES: Final = 6
HALF_SAMPLES: Final = 3
LEAST_WAITING: Final = 20
LEAST_UNMEASURED: Final = 100
"""Where nothing tells how fast work is done."""
RISING: Final = 0.75
CERTAINLY_RISING: Final = 1.0
QUESTIONS_DRAIN_S: Final = 30.0
"""Questions that wait longer end at their deadline."""
DOCUMENTS_DRAIN_S: Final = 900.0
CERTAIN_FACTOR: Final = 10.0
OF_QUESTIONS: Final = frozenset({topology.QUERY.name, topology.GENERATE.name})

DONE: Final = Measure(
    what="messages done each second",
    expression=f"sum by ({GROUP}) (rate(messaging_process_duration_seconds_count[5m]))",
    rests_on="messaging_process_duration_seconds_count",
    by=(GROUP,),
    unit="{message}/s",
)


class BacklogGrowing:
    """What waits has risen for minutes, and would take longer to work off than it may wait, even if nothing more came."""

    cause = Cause.BACKLOG_GROWING

    def find(self, signals: Signals) -> list[Finding]:
        done = {reading.labels.get(GROUP, ""): reading for reading in signals.read(DONE)}
        services = ConsumerServices(signals)
        tracks = signals.tracks("waggle_consumer_pending", span_s=WINDOW_S)
        found = (self._of(track, done, services) for track in tracks)
        return [finding for finding in found if finding is not None]

    def _of(self, track: Track, done: Mapping[str, Reading], services: ConsumerServices) -> Finding | None:
        consumer, stream = track.labels.get("consumer", ""), track.labels.get("stream", "")
        waiting, rate, rise = float(track.values[-1]), done.get(consumer), _rise(track)
        if rise is None or waiting < (LEAST_WAITING if rate is not None else LEAST_UNMEASURED):
            return None
        bound_s = QUESTIONS_DRAIN_S if stream in OF_QUESTIONS else DOCUMENTS_DRAIN_S
        drain_s = None if rate is None else waiting / rate.value if rate.value > 0 else math.inf
        if drain_s is not None and drain_s <= bound_s:
            return None
        strengths = [strength(rise.agreement, threshold=RISING, certain=CERTAINLY_RISING)]
        if drain_s is not None:
            strengths.append(strength(drain_s, threshold=bound_s, certain=CERTAIN_FACTOR * bound_s))
        service = services.of(consumer)
        return Finding(
            cause=self.cause,
            subject=Subject(component=service, service=service, consumer=consumer),
            summary=_summary(consumer, waiting, rise, rate, drain_s),
            confidence=mean(*strengths)
            * support(rise.samples, half=HALF_SAMPLES)
            * (1.0 if rate is not None else MISSING),
            evidence=tuple(_evidence(track, waiting, rise, rate, drain_s, bound_s)),
        )


def _rise(track: Track) -> Trend | None:
    found = trend(track.times_s, track.values)
    if found is None or found.samples < LEAST_SAMPLES or found.span_s < LEAST_SPAN_S:
        return None
    return found if found.slope_per_s > 0 and found.agreement >= RISING else None


def _evidence(
    track: Track, waiting: float, rise: Trend, rate: Reading | None, drain_s: float | None, bound_s: float
) -> list[Evidence]:
    source, at = str(track.labels), moment(track.at_ms)
    told = [
        Evidence(what="messages that wait", source=source, value=waiting, unit="{message}", at=at),
        Evidence(
            what=f"more each second, by {rise.samples} samples of {rise.span_s / 60:.0f} min",
            source=source,
            value=rise.slope_per_s,
            threshold=0,
            unit="{message}/s",
            at=at,
        ),
    ]
    if rate is not None:
        told.append(rate.evidence())
    if drain_s is not None and math.isfinite(drain_s):
        told.append(Evidence(what="time to work off", value=drain_s, threshold=bound_s, unit="s", at=at))
    return told


def _summary(consumer: str, waiting: float, rise: Trend, rate: Reading | None, drain_s: float | None) -> str:
    head = f"{waiting:.0f} messages wait for {consumer}, {rise.slope_per_s:.2g} more each second"
    if rate is None or drain_s is None:
        return f"{head}; how fast it works is not known."
    if math.isinf(drain_s):
        return f"{head}; nothing gets done."
    arriving = rate.value + rise.slope_per_s
    return f"{head}: {arriving:.2g} come, {rate.value:.2g} get done; these alone take {drain_s:.0f} s."
