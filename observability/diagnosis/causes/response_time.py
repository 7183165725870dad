"""High response time: one question in twenty takes more than 5 s, and which stage the time goes to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from contracts.diagnoses import Cause, Subject
from observability.diagnosis.base import Finding
from observability.diagnosis.components import GATEWAY, ON_QUESTIONS, ConsumerServices
from observability.diagnosis.confidence import MISSING, mean, strength, support
from observability.diagnosis.signals import Measure, Reading, Signals

SLOW_S: Final = 5.0
CERTAIN_S: Final = 10.0
LEAST_QUESTIONS: Final = 10
HALF_QUESTIONS: Final = 5
LEAST_WAITING: Final = 5
"""Fewer questions that wait for a service are no queue."""
MOST_SHARE: Final = 0.5
CLEAR_SHARE: Final = 0.9
"""A stage that takes so much of the time surely owns it."""

_COUNT: Final = "waggle_query_duration_seconds_count"
_STAGES: Final = "waggle_query_stage_duration_seconds"
P95: Final = Measure(
    what="response time, 95th percentile",
    expression="histogram_quantile(0.95, sum by (le) (rate(waggle_query_duration_seconds_bucket[5m])))",
    rests_on=_COUNT,
    unit="s",
)
P95_NOW: Final = Measure(
    what="the same of the last minute",
    expression="histogram_quantile(0.95, sum by (le) (rate(waggle_query_duration_seconds_bucket[1m])))",
    rests_on=_COUNT,
    unit="s",
)
P95_BEFORE: Final = Measure(
    what="the same of the minute until 20 s ago",
    expression="histogram_quantile(0.95, sum by (le) (rate(waggle_query_duration_seconds_bucket[1m] offset 20s)))",
    rests_on=_COUNT,
    unit="s",
)
WAITING: Final = Measure(
    what="questions that wait for it",
    expression='sum by (consumer) (waggle_consumer_pending{stream=~"QUERY|GENERATE"})',
    rests_on="waggle_consumer_pending",
    by=("consumer",),
    unit="{message}",
)
QUESTIONS: Final = Measure(
    what="questions within 5 minutes", expression=f"sum(increase({_COUNT}[5m]))", rests_on=_COUNT, unit="{query}"
)
MEAN: Final = Measure(
    what="time of a question, on average",
    expression=f"sum(rate(waggle_query_duration_seconds_sum[5m])) / sum(rate({_COUNT}[5m]))",
    rests_on=_COUNT,
    unit="s",
)


def _each_question(window: str) -> str:
    """Seconds of each stage for each question."""
    return (
        f"sum by (service, waggle_stage) (rate({_STAGES}_sum[{window})) "
        f"/ on () group_left () sum(rate({_COUNT}[{window}))"
    )


STAGES: Final = Measure(
    what="time of the stage for each question",
    expression=_each_question("5m]"),
    rests_on=f"{_STAGES}_count",
    by=("service", "waggle_stage"),
    unit="s",
)
USUAL: Final = Measure(
    what="its usual time",
    expression=_each_question("30m] offset 10m"),
    rests_on=f"{_STAGES}_count",
    by=("service", "waggle_stage"),
    unit="s",
)


@dataclass(frozen=True, slots=True)
class _Owner:
    """The stage that most of the time goes to; `share` is its part of what there is too much."""

    reading: Reading
    share: float

    @property
    def stage(self) -> str:
        return self.reading.labels.get("waggle_stage", "")

    @property
    def service(self) -> str:
        """Whose stage it is; empty where it takes less than half: then questions wait for their turn somewhere."""
        return self.reading.labels.get("service", "") if self.share >= MOST_SHARE else ""


class HighResponseTime:
    """The stage that has become slower owns the time, or, where none has, the one that takes most of it, or the one that is
    waited for.
    """

    cause = Cause.HIGH_RESPONSE_TIME

    def find(self, signals: Signals) -> list[Finding]:
        p95, questions = signals.one(P95), signals.one(QUESTIONS)
        now = signals.one(P95_NOW)
        if p95 is None or questions is None or p95.value <= SLOW_S or questions.value < LEAST_QUESTIONS:
            return []
        if now is None or not now.value > SLOW_S:  # it is over: five minutes remember it for as long
            return []
        owner = _owner(signals)
        slow = strength(p95.value, threshold=SLOW_S, certain=CERTAIN_S)
        if owner is None:
            confidence, completeness = slow, MISSING
        else:
            confidence = mean(
                slow, strength(max(owner.share, 1 - owner.share), threshold=MOST_SHARE, certain=CLEAR_SHARE)
            )
            completeness = 1.0
        service = owner.service if owner is not None else ""
        told = [p95.evidence(threshold=SLOW_S), now.evidence(threshold=SLOW_S), questions.evidence()]
        queue = None if service else _longest_queue(signals)
        if queue is not None:
            service = ConsumerServices(signals).of(queue.labels.get("consumer", ""))
            told.append(queue.evidence())
        elif not service and not _lasts(signals):
            return []
        if owner is not None:
            told.append(owner.reading.evidence(what=f"time of {owner.stage} for each question"))
        return [
            Finding(
                cause=self.cause,
                subject=Subject(component=service or GATEWAY, service=service),
                summary=f"One question in twenty takes {p95.value:.1f} s or more; {_where(owner, queue, service)}.",
                confidence=confidence * support(questions.value, half=HALF_QUESTIONS) * completeness,
                evidence=tuple(told),
                through=frozenset() if service else ON_QUESTIONS,
            )
        ]


def _longest_queue(signals: Signals) -> Reading | None:
    """The consumer of questions that most of them wait for, if they do."""
    queues = [each for each in signals.read(WAITING) if each.value >= LEAST_WAITING]
    return max(queues, key=lambda each: (each.value, each.labels.get("consumer", "")), default=None)


def _lasts(signals: Signals) -> bool:
    """Whether it was slow two samples ago: when it begins, some have told of the questions, and not yet of what they did for them."""
    before = signals.one(P95_BEFORE)
    return before is not None and before.value > SLOW_S


def _where(owner: _Owner | None, queue: Reading | None, service: str) -> str:
    if queue is not None:
        return f"most of it is spent waiting for {service}, as {queue.value:.0f} do now"
    if owner is None:
        return "no stage tells its time"
    if not owner.service:
        return f"most of it is spent between the stages, and {100 * owner.share:.0f} % in {owner.stage}"
    return f"{100 * owner.share:.0f} % of what is too much goes to {owner.stage} ({owner.service})"


def _owner(signals: Signals) -> _Owner | None:
    """By what each stage takes more than usual, if that is half of a question's time at least; else by what it takes."""
    stages, average = signals.read(STAGES), signals.one(MEAN)
    if not stages or average is None or average.value <= 0:
        return None
    usual = {_stage(reading): reading.value for reading in signals.read(USUAL)}
    slower = {
        _stage(reading): max(0.0, reading.value - usual.get(_stage(reading), reading.value)) for reading in stages
    }
    excess = sum(slower.values())
    if excess >= average.value / 2:
        worst = max(stages, key=lambda reading: slower[_stage(reading)])
        return _Owner(worst, slower[_stage(worst)] / excess)
    worst = max(stages, key=lambda reading: reading.value)
    return _Owner(worst, min(1.0, worst.value / average.value))


def _stage(reading: Reading) -> tuple[str, str]:
    return reading.labels.get("service", ""), reading.labels.get("waggle_stage", "")
