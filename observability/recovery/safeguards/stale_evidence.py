"""What was so some time ago is no reason to act now."""

from __future__ import annotations

from contracts.recovery import Safeguard
from observability.recovery.past import Past
from observability.recovery.policy import Limits
from observability.recovery.proposal import Objection, Proposal
from observability.recovery.situation import Situation


class StaleEvidence:
    """Some evidence has to be at most two evaluations old. What comes from the future is of a clock that is wrong."""

    def __init__(self, limits: Limits) -> None:
        self._age = limits.evidence_age

    def check(self, proposal: Proposal, situation: Situation, past: Past) -> Objection | None:
        times = [each.at for each in proposal.case.diagnosis.evidence]
        if any(-self._age <= proposal.now - at <= self._age for at in times):
            return None
        why = f"its newest evidence is of {max(times).isoformat(timespec='seconds')}; newer one is waited for"
        return Objection(safeguard=Safeguard.STALE_EVIDENCE, why=why)
