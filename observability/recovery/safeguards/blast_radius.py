"""One mistake must not take a service away: few targets at a time."""

from __future__ import annotations

from contracts.recovery import Safeguard, TargetKind
from observability.recovery.past import Action, Past
from observability.recovery.policy import Limits
from observability.recovery.proposal import Objection, Proposal
from observability.recovery.situation import Situation


class BlastRadius:
    """Within `blast_window` one instance of a service, or `blast_share` of them; of other targets one of each kind."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def check(self, proposal: Proposal, situation: Situation, past: Past) -> Objection | None:
        window, target = self._limits.blast_window, proposal.target
        recent = [each for each in past.since(proposal.now - window) if _counts(each, proposal)]
        touched = {each.target.key for each in recent}
        if not touched or len(touched | {target.key}) <= self._most(proposal, situation):
            return None
        others = [each for each in recent if each.target.key != target.key]
        names = ", ".join(sorted({each.target.name for each in others})[:5])
        why = f"{names} was acted upon a short while ago, and that is as many at a time as may be"
        return Objection(safeguard=Safeguard.BLAST_RADIUS, why=why, until=min(each.at for each in others) + window)

    def _most(self, proposal: Proposal, situation: Situation) -> int:
        if proposal.target.kind is not TargetKind.INSTANCE:
            return 1
        return max(1, int(self._limits.blast_share * len(situation.of(proposal.target.service))))


def _counts(action: Action, proposal: Proposal) -> bool:
    if action.is_return and not proposal.is_return:
        return False  # what is put back in order stands in nobody's way
    same_kind = action.target.kind is proposal.target.kind
    of_instance = proposal.target.kind is TargetKind.INSTANCE
    return same_kind and (not of_instance or action.target.service == proposal.target.service)
