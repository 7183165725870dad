"""While somebody rolls out a release, what looks broken is on its way: it is only watched."""

from __future__ import annotations

from datetime import timedelta

from contracts.recovery import Safeguard
from observability.recovery.past import Past
from observability.recovery.policy import Limits
from observability.recovery.proposal import Objection, Proposal
from observability.recovery.situation import InstanceFacts, Situation


class Rollout:
    """A rollout goes on while a track of the service has two versions, and for `settling` after an instance was started that
    neither the platform nor an action of ours has started.
    """

    def __init__(self, limits: Limits) -> None:
        self._settling = limits.settling
        self._patience = limits.starting_patience

    def check(self, proposal: Proposal, situation: Situation, past: Past) -> Objection | None:
        service = proposal.target.service
        living = [each for each in situation.of(service) if not each.silent]
        versions = {(each.track, each.version) for each in living}
        if len(versions) > len({track for track, _ in versions}):
            told = ", ".join(sorted(version for _, version in versions))
            return Objection(safeguard=Safeguard.ROLLOUT, why=f"{service} is being rolled out: {told} run side by side")
        ends = [
            each.started_at + self._settling
            for each in living
            if proposal.now < each.started_at + self._settling and not each.restarts and not self._by_us(each, past)
        ]
        if not ends:
            return None
        why = f"somebody has just started an instance of {service}"
        return Objection(safeguard=Safeguard.ROLLOUT, why=why, until=max(ends))

    def _by_us(self, instance: InstanceFacts, past: Past) -> bool:
        return any(
            action.target.service == instance.service
            and timedelta() <= instance.started_at - action.decision.created_at <= self._patience
            for action in past.actions()
        )
