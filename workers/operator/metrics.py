"""What the operator counts."""

from __future__ import annotations

from opentelemetry.metrics import Meter

from contracts.diagnoses import RecommendedAction
from contracts.recovery import CommandOutcome
from workers.operator.errors import Refusal


class CommandMetrics:
    def __init__(self, meter: Meter) -> None:
        self._commands = meter.create_counter(
            "waggle.operator.commands", unit="{command}", description="Commands that came to an end."
        )
        self._refusals = meter.create_counter(
            "waggle.operator.refusals", unit="{command}", description="Commands that a rule forbids."
        )

    def ended(self, action: RecommendedAction, outcome: CommandOutcome) -> None:
        self._commands.add(1, {"waggle.action": action.value, "waggle.outcome": outcome.value})

    def refused(self, refusal: Refusal) -> None:
        self._refusals.add(1, {"waggle.reason": refusal.value})
