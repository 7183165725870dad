"""What is not sure, or is told by one signal only where a mistake is costly, is no reason to act."""

from __future__ import annotations

from contracts.diagnoses import RecommendedAction
from contracts.recovery import Safeguard
from observability.recovery.checks import config_changed
from observability.recovery.past import Past
from observability.recovery.policy import Limits
from observability.recovery.proposal import Objection, Proposal, Then
from observability.recovery.situation import Situation


class Unsure:
    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def check(self, proposal: Proposal, situation: Situation, past: Past) -> Objection | None:
        confidence = proposal.case.diagnosis.confidence
        if confidence < self._limits.least_confidence:
            why = f"it is {confidence:.2f} sure, and {self._limits.least_confidence:.2f} is needed"
            return Objection(safeguard=Safeguard.UNSURE, why=why)
        if proposal.is_return:
            return None  # that the trouble is over has been seen for long
        if proposal.action in self._limits.two_signals and signals(proposal, situation, self._limits) < 2:
            why = f"{proposal.action.value} needs two independent signals, and there is one"
            return Objection(safeguard=Safeguard.UNSURE, why=why, then=Then.NEXT_RUNG)
        return None


def signals(proposal: Proposal, situation: Situation, limits: Limits) -> int:
    """How many tell of the trouble, independently: each process that has seen it itself, each diagnosis of another cause
    that comes from it or is of the same component, and for a rollback a revision that was set shortly before.
    """
    case = proposal.case
    witnesses = {
        (each.labels.get("service", ""), each.labels["instance"])
        for each in case.diagnosis.evidence
        if each.labels.get("instance") and each.threshold is not None
    }
    others = {each.cause for each in case.related} - {case.cause}
    changed = proposal.action is RecommendedAction.ROLLBACK and config_changed(proposal, situation, limits) is None
    return max(1, len(witnesses)) + len(others) + changed
