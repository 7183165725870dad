"""Repairs as they are shown: what was decided, ordered and done, the pause, and what would be decided now."""

from __future__ import annotations

from enum import StrEnum
from typing import Self, TypeAlias

from pydantic import AwareDatetime, Field

from contracts.diagnoses import Cause, Evidence, RecommendedAction
from contracts.recovery import (
    CommandOutcome,
    Mode,
    RecoveryApproval,
    RecoveryCommand,
    RecoveryDecision,
    RecoveryPause,
    RecoveryResult,
    RecoveryVerification,
    Safeguard,
    Target,
    Verdict,
    Verified,
)
from contracts.views import View

RecoveryEvent: TypeAlias = RecoveryDecision | RecoveryCommand | RecoveryResult | RecoveryVerification | RecoveryApproval
"""All that the audit of repairs holds."""


class RecoveryKind(StrEnum):
    """What an event of the audit is; the third token of its subject, but for its `s`."""

    DECISION = "decision"
    COMMAND = "command"
    RESULT = "result"
    VERIFICATION = "verification"
    APPROVAL = "approval"


KIND_OF: dict[type[RecoveryEvent], RecoveryKind] = {
    RecoveryDecision: RecoveryKind.DECISION,
    RecoveryCommand: RecoveryKind.COMMAND,
    RecoveryResult: RecoveryKind.RESULT,
    RecoveryVerification: RecoveryKind.VERIFICATION,
    RecoveryApproval: RecoveryKind.APPROVAL,
}


class RecoveryEntry(View):
    """One event of the audit; what a kind does not have is None. `said` is its reason in one sentence, `by` who caused it."""

    kind: RecoveryKind
    at: AwareDatetime
    id: str
    """Of an approval the decision's, of a result the command's."""
    incident: str | None = None
    decision: str | None = None
    command: str | None = None
    by: str
    claimed_by: str | None = None
    said: str
    cause: Cause | None = None
    fingerprint: str | None = None
    confidence: float | None = None
    action: RecommendedAction | None = None
    target: Target | None = None
    rung: int | None = None
    mode: Mode | None = None
    verdict: Verdict | None = None
    safeguard: Safeguard | None = None
    outcome: CommandOutcome | None = None
    verified: Verified | None = None
    approved: bool | None = None
    token: int | None = None
    evidence: tuple[Evidence, ...] = ()
    returns: str | None = None
    """The decision whose action is taken back."""
    replicas: int | None = None
    next_at: AwareDatetime | None = None
    expires_at: AwareDatetime | None = None
    captured_bytes: int | None = Field(default=None, ge=0)
    """How much was kept of the target before it was acted upon; the incident shows it."""

    @classmethod
    def of(cls, event: RecoveryEvent) -> Self:
        """The event without its signature, and without what was captured."""
        told = event.model_dump(exclude={"schema_version", "created_at", "principal", "signature", "captured"})
        if isinstance(event, RecoveryResult):
            told["captured_bytes"] = len(event.captured.encode())
        if isinstance(event, RecoveryApproval):
            told["id"] = event.decision
        return cls.model_validate(
            {**told, "kind": KIND_OF[type(event)], "at": event.created_at, "by": event.principal, "said": said(event)}
        )


class RecoveriesView(View):
    """A page, oldest first. While `next`, the cursor of the following page, is not None there may be more, however few there
    are in this one.
    """

    items: tuple[RecoveryEntry, ...]
    next: str | None = None


class PauseView(View):
    """Whether the system repairs by itself; of a pause by whom, since and until when, and why."""

    paused: bool
    reason: str | None = None
    by: str | None = None
    claimed_by: str | None = None
    since: AwareDatetime | None = None
    ends_at: AwareDatetime | None = None

    @classmethod
    def of(cls, pause: RecoveryPause | None) -> Self:
        if pause is None:
            return cls(paused=False)
        return cls(
            paused=True,
            reason=pause.reason,
            by=pause.principal,
            claimed_by=pause.claimed_by,
            since=pause.created_at,
            ends_at=pause.ends_at,
        )


class RecoveryPlanView(View):
    """What would be decided at a time."""

    at: AwareDatetime
    items: tuple[RecoveryDecision, ...] = ()


def said(event: RecoveryEvent) -> str:
    """The event's own sentence."""
    if isinstance(event, RecoveryDecision):
        return event.why
    return event.reason if isinstance(event, (RecoveryCommand, RecoveryApproval)) else event.detail
