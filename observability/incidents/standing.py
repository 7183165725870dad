"""Where an incident stands, and what comes next: told by the newest of what was decided, done and verified."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from contracts.diagnoses import EpisodeView
from contracts.incidents import IncidentState
from contracts.recovery import (
    CommandOutcome,
    RecoveryDecision,
    RecoveryVerification,
    Safeguard,
    Verdict,
    Verified,
)
from observability.incidents.case import Case
from observability.incidents.sentences import clock, doing, sentence, words
from observability.incidents.waiting import successor


@dataclass(frozen=True, kw_only=True)
class Standing:
    """`next` is a sentence; the other fields are None unless they apply."""

    state: IncidentState
    next: str
    next_at: datetime | None = None
    waits_for: str | None = None
    held_by: Safeguard | None = None
    held_until: datetime | None = None


def standing(case: Case) -> Standing:
    decision = case.decisions[-1] if case.decisions else None
    verification = case.verifications[-1] if case.verifications else None
    if verification is not None and (decision is None or _is_newer(verification, decision)):
        return _verified(verification, over=_is_over(case))
    if _is_over(case):
        return _PASSED
    if decision is None:
        return Standing(state=IncidentState.FOUND, next="Nothing was decided about it yet.")
    return _decided(case, _waiting(case) or decision)


def repaired_at(case: Case) -> datetime | None:
    """When it was verified as well, if that still holds."""
    state = standing(case).state
    return case.verifications[-1].created_at if state is IncidentState.RECOVERED else None


def ended_at(case: Case) -> datetime | None:
    if not standing(case).state.is_over:
        return None
    return repaired_at(case) or max((_last(each) for each in case.episodes), default=max(case.events, default=None))


_PASSED = Standing(
    state=IncidentState.PASSED, next="Nothing: its cause is not found any more, though nothing verified why."
)


def _is_newer(verification: RecoveryVerification, decision: RecoveryDecision) -> bool:
    """What did not help is followed by a decision of the same moment."""
    if verification.verified is Verified.RECOVERED:
        return verification.created_at >= decision.created_at
    return verification.created_at > decision.created_at


def _waiting(case: Case) -> RecoveryDecision | None:
    """The newest decision that waits for an answer and has none, whatever else was told since."""
    answered = {each.decision for each in case.approvals}
    return next(
        (
            each
            for each in reversed(case.decisions)
            if each.verdict is Verdict.AWAIT_APPROVAL
            and each.id not in answered
            and successor(each, case.decisions) is None
        ),
        None,
    )


def _is_over(case: Case) -> bool:
    return bool(case.episodes) and all(each.ended_at is not None for each in case.episodes)


def _last(episode: EpisodeView) -> datetime:
    return episode.ended_at or episode.last_seen_at


def _verified(verification: RecoveryVerification, *, over: bool) -> Standing:
    if verification.verified is Verified.RECOVERED:
        return Standing(state=IncidentState.RECOVERED, next="Nothing: it is repaired.")
    if over:
        return _PASSED
    if verification.verified is Verified.UNKNOWN:
        said = sentence("Whether it helped is not known, and it is looked at again", verification.detail)
    else:
        said = sentence("It did not help, and the next step is decided", verification.detail)
    return Standing(state=IncidentState.ACTING, next=said)


def _decided(case: Case, decision: RecoveryDecision) -> Standing:
    doing_it = doing(decision.action, decision.target)
    match decision.verdict:
        case Verdict.ACT:
            return _acting(case, decision)
        case Verdict.AWAIT_APPROVAL:
            return _awaiting(case, decision)
        case Verdict.WITHHELD:
            held = words(decision.safeguard or "")
            return Standing(
                state=IncidentState.WITHHELD,
                next=f"Held back by {held}: it is decided anew{_from(decision.next_at)}.",
                next_at=decision.next_at,
                held_by=decision.safeguard,
                held_until=decision.next_at,
            )
        case Verdict.CALL_PERSON:
            return Standing(
                state=IncidentState.PERSON_CALLED,
                next=sentence("A person has to look", decision.why),
                next_at=decision.next_at,
            )
        case Verdict.DRY_RUN:
            return Standing(
                state=IncidentState.WATCHED,
                next=f"Nothing: the policy lets the system only say that it would {doing_it}.",
            )
        case Verdict.OBSERVE:
            return Standing(
                state=IncidentState.WATCHED,
                next=sentence("It is only watched", decision.why),
                next_at=decision.next_at,
            )


def _acting(case: Case, decision: RecoveryDecision) -> Standing:
    doing_it = doing(decision.action, decision.target)
    result = next((each for each in reversed(case.results) if each.decision == decision.id), None)
    command = next((each for each in reversed(case.commands) if each.decision == decision.id), None)
    if result is not None and result.outcome is CommandOutcome.DONE:
        further = f"; if it did not, the next step follows{_from(decision.next_at)}" if decision.next_at else ""
        said = f"It is looked at whether it helped{further}."
    elif result is not None:
        said = f"It could not be done, or not for sure: the next step is decided{_from(decision.next_at)}."
    elif command is not None:
        said = f"The operator is to {doing_it}, by {clock(command.expires_at)} at the latest."
    else:
        said = f"The order to {doing_it} follows."
    return Standing(state=IncidentState.ACTING, next=said, next_at=decision.next_at)


def _awaiting(case: Case, decision: RecoveryDecision) -> Standing:
    answer = next((each for each in case.approvals if each.decision == decision.id), None)
    if answer is None:
        ways = f"`waggle recovery approve {decision.id}` or `waggle recovery refuse {decision.id}`"
        return Standing(
            state=IncidentState.AWAITING_APPROVAL,
            next=f"A person is to say whether to {doing(decision.action, decision.target)}: {ways}.",
            next_at=decision.next_at,
            waits_for=decision.id,
        )
    if answer.approved:
        return _acting(case, decision)
    return Standing(
        state=IncidentState.PERSON_CALLED,
        next=f"{answer.by} said no: what else is done is a person's business, unless the system decides anew.",
    )


def _from(at: datetime | None) -> str:
    return "" if at is None else f" from {clock(at)} on"
