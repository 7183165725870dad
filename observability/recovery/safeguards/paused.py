"""A person who has paused recovery is not fought."""

from __future__ import annotations

from contracts.recovery import Safeguard
from observability.recovery.past import Past
from observability.recovery.proposal import Objection, Proposal
from observability.recovery.situation import Situation


class Paused:
    def check(self, proposal: Proposal, situation: Situation, past: Past) -> Objection | None:
        pause = situation.pause
        if pause is None or proposal.now >= pause.ends_at:
            return None
        why = f"recovery is paused: {pause.reason}"
        return Objection(safeguard=Safeguard.PAUSED, why=why[:1000], until=pause.ends_at)
