"""What every safeguard is."""

from __future__ import annotations

from typing import Protocol

from observability.recovery.past import Past
from observability.recovery.proposal import Objection, Proposal
from observability.recovery.situation import Situation


class SafeguardCheck(Protocol):
    """Looks at one danger."""

    def check(self, proposal: Proposal, situation: Situation, past: Past) -> Objection | None:
        """Why the action must not be now; None: as far as this danger goes it may."""
        ...
