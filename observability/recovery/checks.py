"""The checks that a policy names: what has to hold before an action, and after it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from contracts.diagnoses import RecommendedAction
from contracts.platforms import InstanceState
from observability.recovery.past import Action
from observability.recovery.policy import Limits, PostCheck, PreCheck
from observability.recovery.proposal import Proposal
from observability.recovery.situation import ServiceFacts, Situation

Failure = str | None
"""Why a check fails."""


def capacity_left(proposal: Proposal, situation: Situation, _: Limits) -> Failure:
    target = situation.instance(proposal.target.name)
    if target is None:
        return f"nothing is known of {proposal.target.name}"
    others = [each for each in situation.of(target.service) if each is not target]
    if not others or not target.is_ready or any(each.is_ready for each in others):
        return None
    return f"no other {target.service} is ready to take its work"


def within_bounds(proposal: Proposal, situation: Situation, limits: Limits) -> Failure:
    service = situation.services.get(proposal.target.service)
    if service is None:
        return f"how many {proposal.target.service} run is not known"
    wanted = service.running + (1 if proposal.action is RecommendedAction.SCALE_UP else -1)
    least, most = replica_bounds(service, limits)
    return None if least <= wanted <= most else f"{service.running} run, and {least} to {most} may"


def replica_bounds(service: ServiceFacts, limits: Limits) -> tuple[int, int]:
    """How many instances of a service may run: as the policy says, and the platform has room for."""
    most = limits.most_replicas if service.possible is None else min(limits.most_replicas, service.possible)
    return limits.least_replicas, most


def standby_available(proposal: Proposal, situation: Situation, _: Limits) -> Failure:
    backend = situation.backends.get(proposal.target.name)
    if backend is None or not backend.standby_available:
        return f"there is no standby for {proposal.target.name}"
    return f"the standby of {proposal.target.name} is used already" if backend.standby_active else None


def first_choice_available(proposal: Proposal, situation: Situation, _: Limits) -> Failure:
    backend = situation.backends.get(proposal.target.name)
    if backend is None or not backend.first_choice_available:
        return f"the first choice of {proposal.target.name} does not work yet"
    return None if backend.standby_active else f"the standby of {proposal.target.name} is not used any more"


def config_changed(proposal: Proposal, situation: Situation, limits: Limits) -> Failure:
    config = situation.config
    if config.previous is None or config.changed_at is None:
        return "there is no revision of the configuration to go back to"
    before = proposal.case.began_at - config.changed_at
    if -limits.evidence_age <= before <= limits.config_suspect:
        return None
    return f"revision {config.current} was not set shortly before it began"


def cache_in_use(proposal: Proposal, situation: Situation, _: Limits) -> Failure:
    service = situation.services.get(proposal.target.service)
    return None if service is not None and service.has_cache else f"{proposal.target.service} has no cache"


def instance_ready(action: Action, situation: Situation) -> Failure:
    """Under its own name, or as another one that was started in its place."""
    instances = situation.of(action.target.service)
    same = next((each for each in instances if each.instance == action.target.name), None)
    if same is not None and same.is_ready and same.run is not InstanceState.FAILED:
        return None
    began = action.decision.created_at
    if any(each.is_ready and each.started_at > began for each in instances):
        return None
    return f"{action.target.name} is not ready"


def fewer_run(action: Action, situation: Situation) -> Failure:
    """As many as the platform said it had left; where it does not say how many run, nothing speaks against it."""
    service = situation.services.get(action.target.service)
    left = None if action.result is None else action.result.replicas
    if service is None or service.possible is None or left is None or service.running <= left:
        return None
    return f"{service.running} {action.target.service} run, not {left}"


def standby_active(action: Action, situation: Situation) -> Failure:
    backend = situation.backends.get(action.target.name)
    return None if backend is not None and backend.standby_active else f"{action.target.name} uses no standby"


def first_choice_active(action: Action, situation: Situation) -> Failure:
    backend = situation.backends.get(action.target.name)
    return f"{action.target.name} still uses its standby" if backend is not None and backend.standby_active else None


BEFORE: Final[Mapping[PreCheck, Callable[[Proposal, Situation, Limits], Failure]]] = {
    PreCheck.CAPACITY_LEFT: capacity_left,
    PreCheck.WITHIN_BOUNDS: within_bounds,
    PreCheck.STANDBY_AVAILABLE: standby_available,
    PreCheck.FIRST_CHOICE_AVAILABLE: first_choice_available,
    PreCheck.CONFIG_CHANGED: config_changed,
    PreCheck.CACHE_IN_USE: cache_in_use,
}
AFTER: Final[Mapping[PostCheck, Callable[[Action, Situation], Failure]]] = {
    PostCheck.INSTANCE_READY: instance_ready,
    PostCheck.FEWER_RUN: fewer_run,
    PostCheck.STANDBY_ACTIVE: standby_active,
    PostCheck.FIRST_CHOICE_ACTIVE: first_choice_active,
}
