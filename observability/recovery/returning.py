"""Takes back what was only meant for a while: instances that were added, and a standby that stands in."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from contracts.diagnoses import Cause, DiagnosesView, Diagnosis, Evidence, RecommendedAction, Subject
from contracts.recovery import CommandOutcome, RecoveryDecision, Target, TargetKind
from observability.recovery.past import Action, Past
from observability.recovery.policy import Policy, PostCheck, PreCheck, Rung
from observability.recovery.proposal import Case, Proposal
from observability.recovery.situation import Situation

_LEADS_BACK: Final = {
    RecommendedAction.SCALE_DOWN: RecommendedAction.SCALE_UP,
    RecommendedAction.FAILOVER: RecommendedAction.FAILOVER,
}
"""What takes back which action."""
_BACK: Final = {done: back for back, done in _LEADS_BACK.items()}


def return_of(cause: Cause, back: RecommendedAction, policy: Policy) -> Rung | None:
    """The step that takes back what a ladder did, as far by itself as that; None: the ladder does no such thing (any more)."""
    done = policy.rung(cause, _LEADS_BACK[back])
    if done is None:
        return None
    if back is RecommendedAction.FAILOVER:
        checks = {"pre_checks": (PreCheck.FIRST_CHOICE_AVAILABLE,), "post_checks": (PostCheck.FIRST_CHOICE_ACTIVE,)}
        return done.model_copy(update=checks)
    return done.model_copy(update={"action": back, "pre_checks": None, "post_checks": None})


def returns(
    policy: Policy, diagnoses: DiagnosesView, situation: Situation, past: Past, now: datetime
) -> Iterator[Proposal]:
    """What is due to be taken back, the newest first, one for each target."""
    seen = set[str]()
    for act in reversed(past.actions(lambda each: each.decision.action in _BACK and not each.is_return)):
        if act.target.key in seen or act.outcome not in {CommandOutcome.DONE, CommandOutcome.UNKNOWN}:
            continue
        if _is_taken_back(act, past):
            continue
        seen.add(act.target.key)
        step = return_of(act.decision.cause, _BACK[act.decision.action], policy)
        quiet = _quiet_for(act, situation, past, now)
        if (
            step is not None
            and quiet is not None
            and quiet >= patience(policy.limits.return_after, act.target, past)
            and not _is_troubled(act, diagnoses)
            and _still_holds(act, situation, past)
        ):
            case = Case(
                diagnosis=_over(act.decision, diagnoses.at, quiet),
                began_at=now,
                now=now,
                returns=act.decision.id,
            )
            yield Proposal(case=case, rung=act.decision.rung, step=step, target=act.target)


def patience(least: timedelta, target: Target, past: Past) -> timedelta:
    """How long it has to be quiet: twice as long with each time that something of the target was taken back."""
    before = past.actions(lambda each: each.target.key == target.key and each.is_return and not each.was_refused)
    return least * float(2 ** min(len(before), 20))


def _is_taken_back(act: Action, past: Past) -> bool:
    """What was refused or failed is tried again."""
    tries = past.actions(lambda each: each.decision.returns == act.decision.id)
    return any(each.outcome not in {CommandOutcome.REFUSED, CommandOutcome.FAILED} for each in tries)


def _quiet_for(act: Action, situation: Situation, past: Past, now: datetime) -> timedelta | None:
    """How long its cause has been gone, in other incidents, too; None: it was not found to be over."""
    over = past.recovered_at(act.decision.incident)
    if over is None:
        return None
    again = situation.episodes.get(act.decision.fingerprint)
    return now - max(over, act.at, over if again is None else again.last_seen_at)


def _is_troubled(act: Action, diagnoses: DiagnosesView) -> bool:
    """Whether anything is wrong with it, or cannot be told."""
    about = {act.target.name, act.target.service}
    return act.decision.cause in diagnoses.unjudged or any(
        {each.subject.service, each.subject.component} & about for each in diagnoses.items
    )


def _still_holds(act: Action, situation: Situation, past: Past) -> bool:
    """Whether nobody else has changed it meanwhile."""
    if act.target.kind is TargetKind.BACKEND:
        backend = situation.backends.get(act.target.name)
        return backend is not None and backend.standby_active
    left = [
        each.result.replicas
        for each in past.actions(lambda each: each.target.key == act.target.key)
        if each.result is not None and each.result.replicas is not None
    ]
    service = situation.services.get(act.target.service)
    return bool(left) and service is not None and service.running == left[-1]


def _over(decision: RecoveryDecision, at: datetime, quiet: timedelta) -> Diagnosis:
    """That what it was done for is over, as evidence to act on."""
    assert decision.target is not None
    name = decision.target.name if decision.target.kind is TargetKind.BACKEND else decision.target.service
    minutes = f"{quiet.total_seconds() / 60:.0f} min"
    what = f"{decision.cause.value.replace('_', ' ')} has been gone for {minutes}"
    return Diagnosis(
        fingerprint=decision.fingerprint,
        cause=decision.cause,
        subject=Subject(component=name, service=decision.target.service),
        summary=f"{what}: {decision.action.value} of {decision.created_at:%H:%M} UTC is taken back",
        confidence=1.0,
        evidence=(Evidence(what=what, source="the history of diagnoses", at=at),),
        at=at,
    )
