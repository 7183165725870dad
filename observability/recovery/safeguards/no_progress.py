"""Slow work is work: only what gets on with nothing is restarted."""

from __future__ import annotations

from datetime import datetime

from contracts.diagnoses import Cause, RecommendedAction
from contracts.recovery import Safeguard
from observability.recovery.past import Past
from observability.recovery.platform_watch import is_starting, left_to_platform
from observability.recovery.policy import Limits
from observability.recovery.proposal import Objection, Proposal, Then
from observability.recovery.situation import InstanceFacts, Situation
from observability.recovery.targets import AS_TOLD, needs_restart


class NoProgress:
    """An instance is restarted when it is silent, hung with work waiting, leaking, or in a crash loop, and its start is over."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def check(self, proposal: Proposal, situation: Situation, past: Past) -> Objection | None:
        if proposal.action is not RecommendedAction.RESTART_SERVICE:
            return None
        instance = situation.instance(proposal.target.name)
        if instance is None:
            return _objection(f"nothing is known of {proposal.target.name}", then=Then.NEXT_RUNG)
        if (objection := self._not_ours(instance, proposal.now)) is not None:
            return objection
        if needs_restart(instance, self._limits, proposal.now) or _leaks(instance, proposal):
            return None
        why = f"{instance.instance} gets on with its work, or has none: slowness is no reason"
        return _objection(why, then=Then.NEXT_RUNG)

    def _not_ours(self, instance: InstanceFacts, now: datetime) -> Objection | None:
        """It is in the hands of somebody else, or has not come up yet."""
        if is_starting(instance, self._limits, now):
            until = instance.started_at + self._limits.starting_patience
            return _objection(f"{instance.instance} is starting", until=until)
        if instance.state in AS_TOLD:
            return _objection(f"{instance.instance} is {instance.state.value}, as somebody told it")
        left = left_to_platform(instance, self._limits, now)
        return None if left is None else _objection(left[0], until=left[1])


def _leaks(instance: InstanceFacts, proposal: Proposal) -> bool:
    diagnosis = proposal.case.diagnosis
    return diagnosis.cause is Cause.MEMORY_LEAK and diagnosis.subject.instance == instance.instance


def _objection(why: str, *, until: datetime | None = None, then: Then = Then.WAIT) -> Objection:
    return Objection(safeguard=Safeguard.NO_PROGRESS, why=why, until=until, then=then)
