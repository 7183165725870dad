"""Where many are silent at once, it is more likely that the observer does not hear than that all have died."""

from __future__ import annotations

from typing import Final

from contracts.diagnoses import RecommendedAction
from contracts.platforms import InstanceState
from contracts.recovery import Safeguard
from observability.recovery.past import Past
from observability.recovery.policy import Limits
from observability.recovery.proposal import Objection, Proposal
from observability.recovery.situation import Situation

ON_INSTANCES: Final = frozenset(
    {RecommendedAction.RESTART_SERVICE, RecommendedAction.SCALE_UP, RecommendedAction.SCALE_DOWN}
)


class Quorum:
    """Closes for actions on instances only: those that report, but fail, may need another backend or older settings.

    Who is late counts as silent: heartbeats come in turns, so of many that fall silent at one moment the first is known to be
    seconds before the last.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def check(self, proposal: Proposal, situation: Situation, past: Past) -> Objection | None:
        expected = [
            each for each in situation.instances if each.run not in {InstanceState.STOPPED, InstanceState.STOPPING}
        ]
        silent = sum(each.silent or each.late for each in expected)
        if proposal.action not in ON_INSTANCES or not self._is_suspect(silent, len(expected)):
            return None
        why = f"{silent} of {len(expected)} instances are silent at once: the observer suspects itself"
        return Objection(safeguard=Safeguard.QUORUM, why=why)

    def _is_suspect(self, silent: int, known: int) -> bool:
        if known <= self._limits.small_fleet:
            return silent >= self._limits.silent_of_few
        return silent > self._limits.silent_share * known
