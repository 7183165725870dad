"""What happened, in sentences for people."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from contracts.alerts import AlertEvent
from contracts.diagnoses import EpisodeView, RecommendedAction
from contracts.recovery import (
    CommandOutcome,
    RecoveryApproval,
    RecoveryCommand,
    RecoveryDecision,
    RecoveryResult,
    RecoveryVerification,
    Safeguard,
    Target,
    TargetKind,
    Verdict,
    Verified,
)
from observability.incidents.matching import described

_VERDICTS: Final = {
    Verdict.ACT: "Decided to {doing}",
    Verdict.DRY_RUN: "Would {doing}, if the policy were not to try only",
    Verdict.OBSERVE: "Only watches",
    Verdict.AWAIT_APPROVAL: "Asks whether to {doing}",
    Verdict.WITHHELD: "Does not {doing}, held back by {safeguard}",
    Verdict.CALL_PERSON: "Calls a person",
}
_OUTCOMES: Final = {
    CommandOutcome.DONE: "Done",
    CommandOutcome.REFUSED: "Refused by the operator, nothing was done",
    CommandOutcome.FAILED: "Tried, and failed",
    CommandOutcome.UNKNOWN: "It may have been done: the operator ended meanwhile",
}
_VERIFIED: Final = {
    Verified.RECOVERED: "Recovered",
    Verified.NOT_RECOVERED: "Not recovered",
    Verified.UNKNOWN: "Whether it helped is not known",
}
_DOINGS: Final = {
    RecommendedAction.RESTART_SERVICE: "restart {name}",
    RecommendedAction.CLEAR_CACHE: "clear the cache of {name}",
    RecommendedAction.SCALE_UP: "scale up {name}",
    RecommendedAction.SCALE_DOWN: "scale down {name}",
    RecommendedAction.FAILOVER: "fail over {name}",
    RecommendedAction.ROLLBACK: "roll back the {name}",
    RecommendedAction.CALL_PERSON: "call a person",
}


def of_alert(alert: AlertEvent) -> str:
    if not alert.is_firing:
        return f"Alert {alert.name} is over."
    summary = alert.annotations.get("summary", "")
    return sentence(f"Alert {alert.name} ({alert.severity}) fires", summary)


def of_diagnosis(episode: EpisodeView, *, consequence: bool) -> str:
    item = episode.diagnosis
    what = f"{words(item.cause)} of {described(item.subject)}, {round(100 * item.confidence)} % sure"
    return sentence(f"Found {'as a consequence' if consequence else 'the cause'}: {what}", item.summary)


def of_end(episode: EpisodeView) -> str:
    item = episode.diagnosis
    return f"Found for the last time: {words(item.cause)} of {described(item.subject)}."


def of_decision(decision: RecoveryDecision) -> str:
    held = "" if decision.safeguard is None else words(decision.safeguard)
    what = doing(decision.action, decision.target)
    if decision.returns is not None:
        what = f"take back what was done for a while: {what}"
    said = _VERDICTS[decision.verdict].format(doing=what, safeguard=held)
    return sentence(said, decision.why)


def of_approval(approval: RecoveryApproval) -> str:
    return sentence(f"{approval.by} said {'yes' if approval.approved else 'no'}", approval.reason)


def of_command(command: RecoveryCommand) -> str:
    further = ""
    if command.replicas is not None:
        further = f" to {command.replicas}"
    elif command.revision is not None:
        further = f" to revision {command.revision}"
    elif command.standby is not None:
        further = " to the standby" if command.standby else " to the first choice"
    return f"Ordered to {doing(command.action, command.target)}{further}, by {clock(command.expires_at)} at the latest."


def of_result(result: RecoveryResult) -> str:
    return sentence(_OUTCOMES[result.outcome], result.detail)


def of_verification(verification: RecoveryVerification) -> str:
    by_itself = verification.command is None and verification.verified is Verified.RECOVERED
    return sentence(_VERIFIED[verification.verified] + (" without an action" if by_itself else ""), verification.detail)


def doing(action: RecommendedAction, target: Target | None) -> str:
    """`restart embed-1`."""
    if target is None:
        name = "what is not named"
    elif target.kind is TargetKind.CONFIG:
        name = "configuration"
    else:
        name = target.name
    return _DOINGS[action].format(name=name)


def words(name: Safeguard | str) -> str:
    return str(name).replace("_", " ")


def clock(at: datetime) -> str:
    """In UTC, to the second; with the date, since an incident may be looked at on another day."""
    return at.strftime("%Y-%m-%d %H:%M:%S UTC")


def sentence(said: str, why: str) -> str:
    why = why.strip().rstrip(".")
    return f"{said}: {why}." if why else f"{said}."
