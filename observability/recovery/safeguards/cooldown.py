"""What was just done is given its time."""

from __future__ import annotations

from contracts.recovery import CommandOutcome, Safeguard
from observability.recovery.past import Past
from observability.recovery.proposal import Objection, Proposal
from observability.recovery.situation import Situation


class CoolingDown:
    """The same action on the same target rests, longer after a success. What became of it is not known: it may have been one.

    Going to a standby and back are two actions.
    """

    def check(self, proposal: Proposal, situation: Situation, past: Past) -> Objection | None:
        last = past.last(proposal.target, proposal.action)
        if last is None or last.is_return is not proposal.is_return:
            return None
        cooldown = proposal.step.cooldown
        failed = last.outcome in {CommandOutcome.REFUSED, CommandOutcome.FAILED}
        until = last.at + (cooldown.after_failure if failed else cooldown.after_success)
        if proposal.now >= until:
            return None
        why = f"{proposal.action.value} was done to {proposal.target.name} a short while ago"
        return Objection(safeguard=Safeguard.COOLDOWN, why=why, until=until)
