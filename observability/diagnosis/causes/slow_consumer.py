"""Slow consumer: work takes several times as long as it did, or on one instance as on the others, and other work waits."""

from __future__ import annotations

from collections import defaultdict
from statistics import median
from typing import Final

from contracts.diagnoses import Cause, Subject
from observability.diagnosis.base import Finding
from observability.diagnosis.components import GROUP
from observability.diagnosis.confidence import mean, strength, support
from observability.diagnosis.signals import Measure, Reading, Signals

FACTOR: Final = 3.0
CERTAIN_FACTOR: Final = 10.0
LEAST_SLOWER_S: Final = 0.05
LEAST_MESSAGES: Final = 10
HALF_MESSAGES: Final = 5
LEAST_WAITING: Final = 1

_TIME: Final = "messaging_process_duration_seconds"
_BY: Final = f"sum by (service, {GROUP})"
_EACH: Final = f"sum by (service, instance, {GROUP})"


def _measure(what: str, expression: str, *, each: bool, unit: str = "s") -> Measure:
    by = ("service", "instance", GROUP) if each else ("service", GROUP)
    return Measure(what=what, expression=expression, rests_on=f"{_TIME}_count", by=by, unit=unit)


NOW: Final = _measure(
    "time of a message, on average", f"{_BY} (rate({_TIME}_sum[5m])) / {_BY} (rate({_TIME}_count[5m]))", each=False
)
BEFORE: Final = _measure(
    "time of a message before, on average",
    f"{_BY} (rate({_TIME}_sum[30m] offset 10m)) / {_BY} (rate({_TIME}_count[30m] offset 10m))",
    each=False,
)
MESSAGES: Final = _measure(
    "messages within 5 minutes", f"{_BY} (increase({_TIME}_count[5m]))", each=False, unit="{message}"
)
MESSAGES_BEFORE: Final = _measure(
    "messages before", f"{_BY} (increase({_TIME}_count[30m] offset 10m))", each=False, unit="{message}"
)
EACH_NOW: Final = _measure(
    "time of a message on the instance, on average",
    f"{_EACH} (rate({_TIME}_sum[5m])) / {_EACH} (rate({_TIME}_count[5m]))",
    each=True,
)
EACH_MESSAGES: Final = _measure(
    "messages of the instance within 5 minutes", f"{_EACH} (increase({_TIME}_count[5m]))", each=True, unit="{message}"
)
WAITING: Final = Measure(
    what="messages that wait",
    expression="min_over_time(waggle_consumer_pending[1m])",
    rests_on="waggle_consumer_pending",
    by=("stream", "consumer"),
    unit="{message}",
)

Key = tuple[str, ...]


class SlowConsumer:
    """Compares a consumer with what it was, and its instances with each other. Where nothing waits nobody minds."""

    cause = Cause.SLOW_CONSUMER

    def find(self, signals: Signals) -> list[Finding]:
        waiting = {reading.labels.get("consumer", ""): reading for reading in signals.read(WAITING)}
        waiting = {consumer: reading for consumer, reading in waiting.items() if reading.value >= LEAST_WAITING}
        if not waiting:
            return []
        found = self._slower(signals, waiting)
        named = {finding.subject.consumer for finding in found}
        return found + [each for each in self._slowest(signals, waiting) if each.subject.consumer not in named]

    def _slower(self, signals: Signals, waiting: dict[str, Reading]) -> list[Finding]:
        """Consumers that have become slower as a whole."""
        now, before = _by(signals, NOW), _by(signals, BEFORE)
        messages, earlier = _by(signals, MESSAGES), _by(signals, MESSAGES_BEFORE)
        found = []
        for key in now.keys() & before.keys() & messages.keys() & earlier.keys():
            service, consumer = key
            count = min(messages[key].value, earlier[key].value)
            if consumer in waiting and count >= LEAST_MESSAGES and _is_slow(now[key].value, before[key].value):
                subject = Subject(component=service, service=service, consumer=consumer)
                told = [now[key], before[key], messages[key], waiting[consumer]]
                summary = f"A message of {consumer} takes {now[key].value:.2g} s, and took {before[key].value:.2g} s."
                found.append(self._finding(subject, summary, told, now[key].value / before[key].value, count))
        return found

    def _slowest(self, signals: Signals, waiting: dict[str, Reading]) -> list[Finding]:
        """Instances that are slower than the others of their consumer."""
        now, messages = _by(signals, EACH_NOW), _by(signals, EACH_MESSAGES)
        groups = defaultdict[Key, dict[str, Reading]](dict)
        for (service, instance, consumer), reading in now.items():
            counted = messages.get((service, instance, consumer))
            if consumer in waiting and counted is not None and counted.value >= LEAST_MESSAGES:
                groups[service, consumer][instance] = reading
        found = []
        for (service, consumer), instances in sorted(groups.items()):
            for instance, reading in sorted(instances.items()):
                others = [other.value for name, other in instances.items() if name != instance]
                if others and _is_slow(reading.value, median(others)):
                    subject = Subject(component=service, service=service, instance=instance, consumer=consumer)
                    count = messages[service, instance, consumer]
                    summary = f"A message of {consumer} takes {reading.value:.2g} s on {instance}, on others {median(others):.2g} s."
                    told = [reading, count, waiting[consumer]]
                    told += [other for name, other in sorted(instances.items()) if name != instance][:3]
                    found.append(self._finding(subject, summary, told, reading.value / median(others), count.value))
        return found

    def _finding(self, subject: Subject, summary: str, told: list[Reading], factor: float, count: float) -> Finding:
        slow = strength(factor, threshold=FACTOR, certain=CERTAIN_FACTOR)
        return Finding(
            cause=self.cause,
            subject=subject,
            summary=summary,
            confidence=mean(slow) * support(count, half=HALF_MESSAGES),
            evidence=tuple(reading.evidence() for reading in told),
        )


def _is_slow(value_s: float, usual_s: float) -> bool:
    return usual_s > 0 and value_s >= FACTOR * usual_s and value_s - usual_s >= LEAST_SLOWER_S


def _by(signals: Signals, measure: Measure) -> dict[Key, Reading]:
    return {tuple(reading.labels.get(name, "") for name in measure.by): reading for reading in signals.read(measure)}
