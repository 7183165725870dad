"""Takes back what was only meant for a while: instances that were added, and a standby that stands in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from contracts.diagnoses import Cause, DiagnosesView, Diagnosis, Evidence, RecommendedAction, Subject
from contracts.recovery import CommandOutcome, Mode, RecoveryDecision, Target, TargetKind, Verdict
from observability.recovery.past import REMEMBERED, Action, Past
from observability.recovery.policy import Policy, PostCheck, PreCheck, Rung
from observability.recovery.proposal import Case, Proposal
from observability.recovery.situation import Situation

_LEADS_BACK: Final = {
    RecommendedAction.SCALE_DOWN: RecommendedAction.SCALE_UP,
    RecommendedAction.FAILOVER: RecommendedAction.FAILOVER,
}
"""What takes back which action."""
_BACK: Final = {done: back for back, done in _LEADS_BACK.items()}
_MAY_HAVE_BEEN_DONE: Final = frozenset({CommandOutcome.DONE, CommandOutcome.UNKNOWN})


@dataclass(frozen=True, slots=True, kw_only=True)
class Return:
    """What would take an action back. `left`: somebody has changed since what was done, so it is theirs."""

    proposal: Proposal
    left: bool


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
) -> Iterator[Return]:
    """What is due to be taken back, or is left to somebody from now on: the newest first, one for each target."""
    seen = set[str]()
    for act in reversed(_acts(past, now)):
        if act.target.key in seen or _is_done_with(act, past):
            continue
        seen.add(act.target.key)
        step = return_of(act.decision.cause, _BACK[act.decision.action], policy)
        if step is None or _is_under_way(act.target, past, now - policy.limits.evidence_age):
            continue
        holds, quiet = _still_holds(act, situation, past), _quiet_for(act, situation, past, now)
        if holds is False:
            yield Return(proposal=_proposal(act, step, diagnoses, now, quiet), left=True)
        elif (
            holds
            and quiet is not None
            and quiet >= patience(policy.limits.quiet_before_return, act.target, past, now)
            and not _is_troubled(act, diagnoses)
        ):
            yield Return(proposal=_proposal(act, step, diagnoses, now, quiet), left=False)


def patience(least: timedelta, target: Target, past: Past, now: datetime) -> timedelta:
    """How long it has to be quiet: twice as long with each time within a day that something of the target was to be taken back."""
    return least * float(2 ** min(len(_tries(target, past, now)), 20))


def _acts(past: Past, now: datetime) -> list[Action]:
    """Those of a day that may be taken back, oldest first; what is older is not remembered by everybody."""
    return past.actions(
        lambda each: (
            each.decision.action in _BACK
            and not each.is_return
            and each.outcome in _MAY_HAVE_BEEN_DONE
            and each.at > now - REMEMBERED
        )
    )


def _tries(target: Target, past: Past, now: datetime) -> list[Action]:
    return past.actions(lambda each: each.target.key == target.key and each.is_return and each.at > now - REMEMBERED)


def _is_done_with(act: Action, past: Past) -> bool:
    """Whether it was taken back, is about to be, or was left to somebody."""
    tries = past.actions(lambda each: each.decision.returns == act.decision.id)
    if any(each.is_open or each.outcome is CommandOutcome.DONE for each in tries):
        return True
    told = past.told_of_return(act.decision.id)
    return any(
        (each.verdict is Verdict.OBSERVE and each.mode is not Mode.OBSERVE)
        or (each.verdict is Verdict.AWAIT_APPROVAL and _was_refused(each, past))
        for each in told
    )


def _was_refused(asked: RecoveryDecision, past: Past) -> bool:
    answer = past.approval(asked.id)
    return answer is not None and not answer.approved


def _is_under_way(target: Target, past: Past, lately: datetime) -> bool:
    """Whether something is, or was just, done to it: what is seen now may be older."""
    ours = past.actions(lambda each: each.target.key == target.key)
    return any(each.at > lately or (each.result is None and each.is_open) for each in ours)


def _quiet_for(act: Action, situation: Situation, past: Past, now: datetime) -> timedelta | None:
    """How long its cause has been looked for and not found, since the last try; None: it was not found to be over."""
    over = past.recovered_at(act.decision.incident)
    seen_since = situation.seen_since.get(act.decision.cause)
    if over is None or seen_since is None:
        return None
    again = situation.episodes.get(act.decision.fingerprint)
    tries = [each.at for each in _tries(act.target, past, now)]
    return now - max(over, act.at, seen_since, over if again is None else again.last_seen_at, *tries)


def _is_troubled(act: Action, diagnoses: DiagnosesView) -> bool:
    """Whether anything is wrong with it, or cannot be told."""
    about = {act.target.name, act.target.service}
    return act.decision.cause in diagnoses.unjudged or any(
        {each.subject.service, each.subject.component} & about for each in diagnoses.items
    )


def _still_holds(act: Action, situation: Situation, past: Past) -> bool | None:
    """Whether it is as it was left; False: somebody has changed it since; None: not known."""
    if act.target.kind is TargetKind.BACKEND:
        backend = situation.backends.get(act.target.name)
        return None if backend is None else backend.standby_active
    service = situation.services.get(act.target.service)
    if service is None or service.possible is None:  # the platform does not tell
        return None
    left = [
        each.result.replicas
        for each in past.actions(lambda each: each.target.key == act.target.key)
        if each.result is not None and each.result.replicas is not None
    ]
    return bool(left) and service.running == left[-1]


def _proposal(act: Action, step: Rung, diagnoses: DiagnosesView, now: datetime, quiet: timedelta | None) -> Proposal:
    over = _over(act.decision, diagnoses.at, quiet)
    case = Case(diagnosis=over, began_at=now, now=now, returns=act.decision.id)
    return Proposal(case=case, rung=act.decision.rung, step=step, target=act.target)


def _over(decision: RecoveryDecision, at: datetime, quiet: timedelta | None) -> Diagnosis:
    """That what it was done for is over, as evidence to act on."""
    assert decision.target is not None
    name = decision.target.name if decision.target.kind is TargetKind.BACKEND else decision.target.service
    minutes = "" if quiet is None else f" for {quiet.total_seconds() / 60:.0f} min"
    what = f"{decision.cause.value.replace('_', ' ')} has been gone{minutes}"
    return Diagnosis(
        fingerprint=decision.fingerprint,
        cause=decision.cause,
        subject=Subject(component=name, service=decision.target.service),
        summary=f"{what}: {decision.action.value} of {decision.created_at:%H:%M} UTC is taken back",
        confidence=1.0,
        evidence=(Evidence(what=what, source="the history of diagnoses", at=at),),
        at=at,
    )
