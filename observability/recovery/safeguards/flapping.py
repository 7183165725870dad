"""An action that undoes what was just done starts a dance: both are frozen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from contracts.diagnoses import RecommendedAction
from contracts.recovery import Safeguard
from observability.recovery.past import Past
from observability.recovery.policy import Limits
from observability.recovery.proposal import Objection, Proposal
from observability.recovery.situation import Situation

OPPOSITE: Final[Mapping[RecommendedAction, RecommendedAction]] = {
    RecommendedAction.SCALE_UP: RecommendedAction.SCALE_DOWN,
    RecommendedAction.SCALE_DOWN: RecommendedAction.SCALE_UP,
    RecommendedAction.FAILOVER: RecommendedAction.FAILOVER,
    RecommendedAction.ROLLBACK: RecommendedAction.ROLLBACK,
}
"""After a failover the next one goes back, and after a rollback the next one forth."""


class Flapping:
    """Within `flapping_window` of an action its opposite is withheld; once it was, the action itself is, too.

    What was taken back after a long quiet time may be done again at once: taking back waits longer each time.
    """

    def __init__(self, limits: Limits) -> None:
        self._window = limits.flapping_window

    def check(self, proposal: Proposal, situation: Situation, past: Past) -> Objection | None:
        opposite = OPPOSITE.get(proposal.action)
        if opposite is None:
            return None
        since, key = proposal.now - self._window, proposal.target.key
        done = [
            each
            for each in past.since(since)
            if each.target.key == key and each.decision.action in {proposal.action, opposite} and not each.is_return
        ]
        undone = any(each.decision.action is opposite for each in done)
        if not done or not (undone or past.withheld(key, Safeguard.FLAPPING, since=since)):
            return None
        until = max(each.at for each in done) + self._window
        why = f"{proposal.target.name} was just changed the other way, or somebody asked for that: both are frozen"
        return Objection(safeguard=Safeguard.FLAPPING, why=why, until=until)
