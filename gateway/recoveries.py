"""`/v1/recoveries` and `/v1/recovery`: what was repaired and why, the pause, people's answers, and what the observer would do."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Final

import structlog
from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from contracts.identifiers import Token
from contracts.observing import RequestKind
from contracts.recovery import Verdict
from contracts.recovery_views import PauseView, RecoveriesView, RecoveryEntry, RecoveryKind, RecoveryPlanView
from gateway import problems
from gateway.audited import AuditedRoute
from gateway.backend import Backend, Connected
from gateway.idempotency import once
from gateway.identity import Identity, Operates
from gateway.observed import asked, forwarded
from gateway.openapi import idempotent, json_body, refusals
from gateway.paging import USUAL, Cursor, Limit, cursor_of, position_of
from gateway.recovery_schemas import ApprovalView, NewApproval, NewPause
from gateway.times import FORMS, Moment
from messaging.recovery.approvals import ApprovalRefusedError, NoSuchDecisionError
from messaging.recovery.pausing import PauseConflictError, PauseRefusedError

USUAL_SPAN: Final = timedelta(days=1)

router = APIRouter(prefix="/v1", tags=["recovery"], route_class=AuditedRoute)

Since = Annotated[Moment | None, Query(description=f"{FORMS} Default: a day before `until`.")]
Until = Annotated[Moment | None, Query(description=f"{FORMS} Not included; default: now.")]

log = structlog.get_logger(__name__)


@router.get("/recoveries", response_model=RecoveriesView, responses=refusals(422, 503))
async def list_recoveries(
    _: Operates,
    backend: Connected,
    since: Since = None,
    until: Until = None,
    kind: Annotated[list[RecoveryKind] | None, Query(description="Any of these.")] = None,
    incident: Annotated[Token | None, Query(description="Only of this incident.")] = None,
    verdict: Annotated[list[Verdict] | None, Query(description="Only decisions, with any of these verdicts.")] = None,
    limit: Limit = USUAL,
    cursor: Cursor = None,
) -> Response:
    """List what was decided, also when it was: nothing, what was ordered, done, verified, and answered by people; oldest first.
    It is kept for four weeks.
    """
    page = await backend.recoveries.events(
        since=since or (until or backend.broker.clock.now()) - USUAL_SPAN,
        until=until,
        after=position_of(cursor),
        kinds=kind or (),
        incident=incident,
        verdicts=verdict or (),
        limit=limit,
    )
    listed = RecoveriesView(items=tuple(RecoveryEntry.of(event) for event in page.events), next=cursor_of(page.after))
    return Response(listed.model_dump_json(), media_type="application/json")


@router.get("/recovery/pause", response_model=PauseView, responses=refusals(503))
async def show_pause(_: Operates, backend: Connected) -> Response:
    """Show whether repairs are paused, by whom, why, and until when."""
    return _shown(PauseView.of(await backend.pause.current()))


@router.put(
    "/recovery/pause",
    response_model=PauseView,
    responses=refusals(400, 409, 413, 415, 422, 503),
    openapi_extra=json_body(NewPause),
)
async def pause_recovery(request: Request, identity: Operates, backend: Connected) -> Response:
    """Have nothing acted upon until `ends_at`; a pause that there is already ends then. Everything is still looked at and told."""
    body = await backend.json.read(request, NewPause, at_most=backend.limits.query_bytes)
    try:
        made = await backend.pause.pause_until(
            body.reason, body.ends_at, principal=identity.principal, claimed_by=body.claimed_by
        )
    except PauseRefusedError as error:
        raise problems.invalid(problems.sentence(error)) from None
    except PauseConflictError as error:
        raise problems.conflict(problems.sentence(error)) from None
    log.info("repairs paused", by=identity.principal, claimed_by=body.claimed_by, until=made.ends_at.isoformat())
    return _shown(PauseView.of(made))


@router.delete("/recovery/pause", response_model=PauseView, responses=refusals(409, 503))
async def resume_recovery(
    identity: Operates,
    backend: Connected,
) -> Response:
    """End the pause now; where there is none nothing changes."""
    try:
        ended = await backend.pause.resume(principal=identity.principal)
    except PauseConflictError as error:
        raise problems.conflict(problems.sentence(error)) from None
    if ended is not None:
        log.info("repairs resumed", by=identity.principal)
    return _shown(PauseView.of(None))


@router.post(
    "/recovery/approvals",
    response_model=ApprovalView,
    responses=refusals(400, 404, 409, 413, 415, 422, 503),
    openapi_extra=idempotent(json_body(NewApproval), says="Without one, the same answer again is the same."),
)
async def answer_decision(request: Request, identity: Operates, backend: Connected) -> Response:
    """Say yes or no to a decision that waits for a person. The first answer counts; the same one again changes nothing."""
    body = await backend.json.read(request, NewApproval, at_most=backend.limits.query_bytes)
    return await once(request, backend, identity, body, lambda _: _answer(backend, identity, body))


async def _answer(backend: Backend, identity: Identity, body: NewApproval) -> Response:
    try:
        answer = await backend.approvals.answer(
            body.decision,
            approved=body.approved,
            reason=body.reason,
            principal=identity.principal,
            claimed_by=body.claimed_by,
        )
    except NoSuchDecisionError as error:
        raise problems.not_found(problems.sentence(error)) from None
    except ApprovalRefusedError as error:
        raise problems.conflict(problems.sentence(error)) from None
    log.info("a decision was answered", decision=body.decision, approved=body.approved, by=answer.by)
    view = ApprovalView(
        decision=answer.decision,
        incident=answer.incident,
        approved=answer.approved,
        reason=answer.reason,
        by=answer.principal,
        claimed_by=answer.claimed_by,
        at=answer.created_at,
    )
    return Response(view.model_dump_json(), media_type="application/json")


@router.get("/recovery/policy", response_model=dict[str, Any], responses=refusals(503))
async def show_policy(_: Operates, backend: Connected) -> Response:
    """Show the policy that is in force, as the observer that leads has read it."""
    return forwarded(await asked(backend, RequestKind.RECOVERY_POLICY))


@router.get("/recovery/plan", response_model=RecoveryPlanView, responses=refusals(503))
async def show_plan(_: Operates, backend: Connected) -> Response:
    """Show what would be decided now. Nothing is recorded, and nothing is ordered."""
    return forwarded(await asked(backend, RequestKind.RECOVERY_PLAN))


def _shown(view: PauseView) -> Response:
    return Response(view.model_dump_json(), media_type="application/json")
