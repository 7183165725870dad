"""An observer that hears nothing does nothing: it cannot tell a dead fleet from its own deafness."""

from __future__ import annotations

from contracts.recovery import Safeguard
from observability.recovery.past import Past
from observability.recovery.proposal import Objection, Proposal
from observability.recovery.situation import Situation


class Disconnected:
    def check(self, proposal: Proposal, situation: Situation, past: Past) -> Objection | None:
        if situation.connected and situation.hears:
            return None
        why = "the observer does not hear heartbeats" if situation.connected else "the observer has lost the broker"
        return Objection(safeguard=Safeguard.DISCONNECTED, why=f"{why}; it is looked at again when that is over")
