"""High error rate where nobody waits for an answer: more than 5 % of a consumer's messages fail, and many come again."""

from __future__ import annotations

from typing import Final

from contracts.diagnoses import Cause, Subject
from observability.diagnosis.base import Finding
from observability.diagnosis.causes.error_rate import BACKENDS, CERTAIN, HIGH, WELL
from observability.diagnosis.causes.poison import FEW
from observability.diagnosis.components import GROUP, ON_QUESTIONS
from observability.diagnosis.confidence import mean, strength, support
from observability.diagnosis.signals import Measure, Reading, Signals

LEAST_FAILED: Final = 5
HALF_FAILED: Final = 5
MANY: Final = 4 * FEW
"""So many messages that come again are certainly not about a few of them."""

_PROCESSED: Final = "messaging_process_duration_seconds_count"
_WHO: Final = ("service", GROUP)
FAILED: Final = Measure(
    what="deliveries that failed within 2 minutes",
    expression=f'sum by (service, {GROUP}) (increase({_PROCESSED}{{error_type!=""}}[2m]))',
    rests_on=_PROCESSED,
    by=_WHO,
    unit="{message}",
)
HANDLED: Final = Measure(
    what="deliveries within 2 minutes",
    expression=f"sum by (service, {GROUP}) (increase({_PROCESSED}[2m]))",
    rests_on=_PROCESSED,
    by=_WHO,
    unit="{message}",
)
AGAIN: Final = Measure(
    what="messages in hand that were delivered before",
    expression="sum by (consumer) (waggle_consumer_redelivered)",
    rests_on="waggle_consumer_redelivered",
    by=("consumer",),
    unit="{message}",
)


class FailingWork:
    """Documents' side of `HighErrorRate`, which judges by the ends of questions. A few messages that fail are poison, or bad documents."""

    cause = Cause.HIGH_ERROR_RATE

    def find(self, signals: Signals) -> list[Finding]:
        handled = {(each.labels.get("service", ""), each.labels.get(GROUP, "")): each for each in signals.read(HANDLED)}
        again = {each.labels.get("consumer", ""): each for each in signals.read(AGAIN)}
        backends = signals.read(BACKENDS)
        found = []
        for failed in signals.read(FAILED):
            service, consumer = failed.labels.get("service", ""), failed.labels.get(GROUP, "")
            total, coming = handled.get((service, consumer)), again.get(consumer)
            if service in ON_QUESTIONS or total is None or coming is None or coming.value <= FEW:
                continue
            unwell = [each for each in backends if each.labels.get("service", "") == service]
            finding = self._of(service, consumer, failed, total, coming, unwell)
            if finding is not None:
                found.append(finding)
        return found

    def _of(
        self,
        service: str,
        consumer: str,
        failed: Reading,
        total: Reading,
        coming: Reading,
        unwell: list[Reading],
    ) -> Finding | None:
        share = failed.value / total.value if total.value else 0.0
        if failed.value < LEAST_FAILED or share <= HIGH:
            return None
        names = ", ".join(sorted({each.labels.get("backend", "") for each in unwell}))
        return Finding(
            cause=self.cause,
            subject=Subject(component=service, service=service, consumer=consumer),
            summary=(
                f"{100 * share:.0f} % of the deliveries of {consumer} fail at {service}, and {coming.value:.0f} messages "
                f"come again{f'; not well: {names}' if names else ''}."
            ),
            confidence=mean(
                strength(share, threshold=HIGH, certain=CERTAIN), strength(coming.value, threshold=FEW, certain=MANY)
            )
            * support(failed.value, half=HALF_FAILED),
            evidence=(
                failed.evidence(threshold=LEAST_FAILED),
                total.evidence(),
                coming.evidence(threshold=FEW),
                *(each.evidence(threshold=WELL) for each in unwell),
            ),
        )
