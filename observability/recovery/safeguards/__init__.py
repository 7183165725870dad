"""What keeps an action from doing harm: a file for each danger, asked in the order of `standard_safeguards`."""

from observability.recovery.policy import Limits
from observability.recovery.safeguards.base import SafeguardCheck
from observability.recovery.safeguards.blast_radius import BlastRadius
from observability.recovery.safeguards.cooldown import CoolingDown
from observability.recovery.safeguards.disconnected import Disconnected
from observability.recovery.safeguards.flapping import Flapping
from observability.recovery.safeguards.maintenance import Maintenance
from observability.recovery.safeguards.no_progress import NoProgress
from observability.recovery.safeguards.paused import Paused
from observability.recovery.safeguards.precheck import PreChecks
from observability.recovery.safeguards.quorum import Quorum
from observability.recovery.safeguards.restart_storm import RestartStorm
from observability.recovery.safeguards.rollout import Rollout
from observability.recovery.safeguards.stale_evidence import StaleEvidence
from observability.recovery.safeguards.unsure import Unsure

__all__ = [
    "BlastRadius",
    "CoolingDown",
    "Disconnected",
    "Flapping",
    "Maintenance",
    "NoProgress",
    "Paused",
    "PreChecks",
    "Quorum",
    "RestartStorm",
    "Rollout",
    "SafeguardCheck",
    "StaleEvidence",
    "Unsure",
    "standard_safeguards",
]


def standard_safeguards(limits: Limits) -> tuple[SafeguardCheck, ...]:
    """All of them: first whether anything may be done at all, then whether this helps, then whether it is too much."""
    return (
        Disconnected(),
        Paused(),
        Maintenance(),
        Rollout(limits),
        StaleEvidence(limits),
        Quorum(limits),
        Unsure(limits),
        NoProgress(limits),
        PreChecks(limits),
        Flapping(limits),
        RestartStorm(),
        CoolingDown(),
        BlastRadius(limits),
    )
