"""Poison message: the same message comes again and again, and ends its workers or is given up, while others are done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from contracts.diagnoses import Cause, Subject
from observability.diagnosis.base import Finding
from observability.diagnosis.components import GROUP, ConsumerServices
from observability.diagnosis.confidence import any_of
from observability.diagnosis.signals import HEARTBEATS_MS, Measure, Reading, Signals

EXHAUSTED: Final = 0.6
"""How sure by deliveries that ran out; further signs, each of its own, add to that."""
COMES_AGAIN: Final = 0.5
"""A few messages, and never none within three minutes, were delivered before."""
GIVEN_UP: Final = 0.4
"""Dead letters of the consumer."""
CRASHES: Final = 0.4
"""Processes of its service ended meanwhile."""
LEAST: Final = 0.6
OTHERS_STAND_TOO: Final = 0.5
"""What is left of confidence when nothing else gets done either: then it is hardly the message."""
FEW: Final = 5
"""More messages that come again are a worker that is too slow, or dies by itself; unless workers die, and few come again all the
time or are given up: whoever dies of one message has others in hand.
"""

_PROCESSED: Final = "messaging_process_duration_seconds_count"
_OUT: Final = 'waggle_advisories_total{kind="max_deliveries"}'
_LETTERS: Final = f'{_PROCESSED}{{waggle_outcome="dead_lettered"}}'
AGAIN: Final = Measure(
    what="messages in hand that were delivered before",
    expression="max_over_time(waggle_consumer_redelivered[3m])",
    rests_on="waggle_consumer_redelivered",
    by=("stream", "consumer"),
    unit="{message}",
)
ALWAYS: Final = Measure(
    what="fewest of them within 3 minutes",
    expression="min_over_time(waggle_consumer_redelivered[3m])",
    rests_on="waggle_consumer_redelivered",
    by=("stream", "consumer"),
    unit="{message}",
)
# Both are new with the first of their kind: then the whole number is from the last minutes.
RAN_OUT: Final = Measure(
    what="messages whose deliveries ran out within 10 minutes",
    expression=f"sum by (consumer) (({_OUT} unless {_OUT} offset 10m) or increase({_OUT}[10m]))",
    rests_on=_OUT,
    by=("consumer",),
    unit="{message}",
)
LETTERS: Final = Measure(
    what="dead letters within 10 minutes",
    expression=f"sum by ({GROUP}) (({_LETTERS} unless {_LETTERS} offset 10m) or increase({_LETTERS}[10m]))",
    rests_on=_LETTERS,
    by=(GROUP,),
    unit="{message}",
)
DONE: Final = Measure(
    what="messages done within 10 minutes",
    expression=f'sum by ({GROUP}) (increase({_PROCESSED}{{waggle_outcome="acked"}}[10m]))',
    rests_on=_PROCESSED,
    by=(),
    unit="{message}",
)
RESTARTS: Final = Measure(
    what="restarts within 10 minutes",
    expression="sum by (service) (changes(waggle_process_start_time_seconds[10m]))",
    rests_on="waggle_process_start_time_seconds",
    every_ms=HEARTBEATS_MS,
    by=("service",),
)
DEAD: Final = Measure(
    what="dead processes",
    expression="count by (service) (waggle_up == 0)",
    rests_on="waggle_up",
    every_ms=HEARTBEATS_MS,
    by=("service",),
)


@dataclass(frozen=True, slots=True)
class _Signs:
    """What there is of a consumer, and of its service."""

    again: Reading | None
    always: Reading | None
    ran_out: Reading | None
    letters: Reading | None
    crashes: list[Reading]

    @property
    def lasts(self) -> bool:
        """Whether a few come again all the time, whatever comes again beside them."""
        return self.again is not None and self.always is not None and 1 <= self.always.value <= FEW

    @property
    def is_flood(self) -> bool:
        """Whether it is hardly a message."""
        if self.again is None or self.again.value <= FEW:
            return False
        few_given_up = self.letters is not None and 0 < self.letters.value <= FEW
        return not (self.crashes and (self.lasts or few_given_up))

    def weights(self) -> list[tuple[float, list[Reading]]]:
        """Each sign with what tells of it. A crash alone says nothing of messages."""
        found: list[tuple[float, list[Reading]]] = []
        if self.ran_out is not None and self.ran_out.value > 0:
            found.append((EXHAUSTED, [self.ran_out]))
        if self.lasts and self.again is not None and self.always is not None:
            found.append((COMES_AGAIN, [self.again, self.always]))
        if self.letters is not None and self.letters.value > 0:
            found.append((GIVEN_UP, [self.letters]))
        if found and self.crashes:
            found.append((CRASHES, self.crashes))
        return found


class PoisonMessage:
    """Several signs together tell it, each of its own weight; a consumer where many messages come again has another trouble."""

    cause = Cause.POISON_MESSAGE

    def find(self, signals: Signals) -> list[Finding]:
        again, always = (_by(signals, measure, "consumer") for measure in (AGAIN, ALWAYS))
        ran_out, letters = _by(signals, RAN_OUT, "consumer"), _by(signals, LETTERS, GROUP)
        done, services = _by(signals, DONE, GROUP), ConsumerServices(signals)
        restarts, dead = _by(signals, RESTARTS, "service"), _by(signals, DEAD, "service")
        found = []
        for consumer in sorted(again.keys() | ran_out.keys() | letters.keys()):
            service = services.of(consumer)
            crashes = [each[service] for each in (restarts, dead) if service in each and each[service].value > 0]
            signs = _Signs(
                again.get(consumer), always.get(consumer), ran_out.get(consumer), letters.get(consumer), crashes
            )
            finding = self._of(consumer, service, signs, done.get(consumer))
            if finding is not None:
                found.append(finding)
        return found

    def _of(self, consumer: str, service: str, signs: _Signs, done: Reading | None) -> Finding | None:
        weights = signs.weights()
        certainty = any_of(*(weight for weight, _ in weights))
        if signs.is_flood or certainty < LEAST:
            return None
        told = [reading.evidence(threshold=0) for _, readings in weights for reading in readings]
        others_done = done is not None and done.value > 0
        if done is not None:
            told.append(done.evidence())
        return Finding(
            cause=self.cause,
            subject=Subject(component=service, service=service, consumer=consumer),
            summary=f"A message of {consumer} comes again and again or is given up{', while others are done' if others_done else ''}.",
            confidence=certainty * (1.0 if others_done else OTHERS_STAND_TOO),
            evidence=tuple(told),
        )


def _by(signals: Signals, measure: Measure, label: str) -> dict[str, Reading]:
    return {reading.labels.get(label, ""): reading for reading in signals.read(measure)}
