"""A remedy that cannot help, or would make it worse, is left out."""

from __future__ import annotations

from contracts.recovery import Safeguard
from observability.recovery.checks import BEFORE
from observability.recovery.past import Past
from observability.recovery.policy import Limits
from observability.recovery.proposal import Objection, Proposal, Then
from observability.recovery.situation import Situation


class PreChecks:
    """Those that the rung names, in their order."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def check(self, proposal: Proposal, situation: Situation, past: Past) -> Objection | None:
        for name in proposal.step.checked_before:
            why = BEFORE[name](proposal, situation, self._limits)
            if why is not None:
                return Objection(safeguard=Safeguard.PRECHECK, why=f"{name.value}: {why}", then=Then.NEXT_RUNG)
        return None
