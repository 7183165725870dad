"""For what a person is needed, and what is held back, as figures that rules judge."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from contracts.recovery import RecoveryDecision, Verdict

ASKED: Final = {Verdict.CALL_PERSON: "call", Verdict.AWAIT_APPROVAL: "approval"}


class Calls:
    """Tells of the incidents that go on by what holds about each of them."""

    def __init__(self, meter: Meter) -> None:
        self._standing: tuple[RecoveryDecision, ...] = ()
        self._decisions = meter.create_counter(
            "waggle.recovery.decisions", unit="{decision}", description="Decisions about actions against causes."
        )
        meter.create_observable_gauge(
            "waggle.recovery.person_needed",
            [self._needed],
            unit="{incident}",
            description="Incidents that wait for a person, who is called or asked for approval.",
        )
        meter.create_observable_gauge(
            "waggle.recovery.withheld",
            [self._withheld],
            unit="{incident}",
            description="Incidents whose next action a safeguard holds back.",
        )

    def count(self, decision: RecoveryDecision) -> None:
        attributes = {"waggle.action": decision.action.value, "waggle.verdict": decision.verdict.value}
        self._decisions.add(1, attributes)

    def show(self, standing: Sequence[RecoveryDecision]) -> None:
        """One decision for each incident whose cause is there."""
        self._standing = tuple(standing)

    def clear(self) -> None:
        """Another observer tells."""
        self._standing = ()

    def _needed(self, _: CallbackOptions) -> Iterable[Observation]:
        waiting = Counter((each.cause.value, ASKED[each.verdict]) for each in self._standing if each.verdict in ASKED)
        return [Observation(n, {"waggle.cause": cause, "waggle.asked": asked}) for (cause, asked), n in waiting.items()]

    def _withheld(self, _: CallbackOptions) -> Iterable[Observation]:
        held = Counter(each.safeguard.value for each in self._standing if each.safeguard is not None)
        return [Observation(n, {"waggle.safeguard": safeguard}) for safeguard, n in held.items()]
