"""The audit as it is shown."""

from __future__ import annotations

from typing import Self

from pydantic import AwareDatetime

from contracts.audit import ActOutcome, AdminAct, AuditKind
from contracts.recovery import RecoveryApproval
from contracts.runtime_config import ConfigChanged, said
from contracts.views import View

LONGEST_DETAIL = 1024
Audited = AdminAct | ConfigChanged | RecoveryApproval
"""What the audit is made of. Changes of the configuration and answers to decisions tell of themselves."""


class AuditEntry(View):
    """Somebody did something, or tried to. `claimed_by` is who says to have done it, beside the principal, and is not verified."""

    id: str
    at: AwareDatetime
    kind: AuditKind
    action: str
    target: str
    detail: str
    outcome: ActOutcome
    status: int | None = None
    by: str
    claimed_by: str | None = None
    tenant: str | None = None
    address: str | None = None
    request_id: str | None = None

    @classmethod
    def of(cls, event: Audited) -> Self:
        if isinstance(event, ConfigChanged):
            return cls._of_change(event)
        if isinstance(event, RecoveryApproval):
            return cls._of_answer(event)
        return cls(
            id=event.id,
            at=event.created_at,
            kind=event.kind,
            action=event.action,
            target=event.target,
            detail=event.detail,
            outcome=event.outcome or ActOutcome.UNKNOWN,
            status=event.status,
            by=event.principal,
            tenant=event.tenant,
            address=event.address,
            request_id=event.request_id,
        )

    @classmethod
    def _of_change(cls, event: ConfigChanged) -> Self:
        changed = ", ".join(f"{change.key}: {said(change.before)} → {said(change.after)}" for change in event.changes)
        return cls(
            id=event.id,
            at=event.created_at,
            kind=AuditKind.CONFIG,
            action="change_config" if event.restores is None else "roll_back_config",
            target=f"revision {event.number}",
            detail=f"{changed} ({event.because})"[:LONGEST_DETAIL],
            outcome=ActOutcome.DONE,
            by=event.principal,
            claimed_by=event.claimed_by,
        )

    @classmethod
    def _of_answer(cls, event: RecoveryApproval) -> Self:
        return cls(
            id=event.decision,
            at=event.created_at,
            kind=AuditKind.RECOVERY,
            action="answer_decision",
            target=event.decision,
            detail=f"{'yes' if event.approved else 'no'}: {event.reason}"[:LONGEST_DETAIL],
            outcome=ActOutcome.DONE,
            by=event.principal,
            claimed_by=event.claimed_by,
        )


class AuditView(View):
    """A page, oldest first. While `next`, the cursor of the following page, is not None there may be more, however few there
    are in this one.
    """

    items: tuple[AuditEntry, ...]
    next: str | None = None
