"""`/v1/config`: settings that are changed while everything runs, in numbered revisions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated

import structlog
from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import Response

from contracts.runtime_config import ConfigRefusedError
from gateway import problems
from gateway.backend import Backend, Connected
from gateway.config_schemas import (
    ConfigPatch,
    ConfigRollback,
    ConfigView,
    RevisionList,
    RevisionView,
    WrittenView,
)
from gateway.etags import UNCHANGED, IfMatch, IfNoneMatch, changed, conditional, expected_revision, revision_tag
from gateway.idempotency import Turn, once
from gateway.identity import Identity, Operates
from gateway.openapi import idempotent, json_body, refusals
from messaging.configuration import (
    ConfigConflictError,
    ConfigUnreadableError,
    NoSuchRevisionError,
    Written,
)

router = APIRouter(prefix="/v1/config", tags=["config"])

Number = Annotated[int, Path(ge=1, description="The revision's number.", examples=[3])]
_UNKNOWN = "Where it is not known whether it was done, since a gateway died at it, the answer is 409, and it is not done again."

log = structlog.get_logger(__name__)


@router.get("", response_model=ConfigView, responses={**UNCHANGED, **refusals(409)})
async def show_config(_: Operates, backend: Connected, if_none_match: IfNoneMatch = None) -> Response:
    """Show what is set for the running fleet, which processes work by it, and what can be set. `ETag` is that of what is set."""
    try:
        revision = await backend.config.current()
    except ConfigUnreadableError as error:
        raise problems.conflict(problems.sentence(error)) from None
    view = ConfigView.with_fleet(revision, backend.fleet.members())
    return conditional(_json(view), revision_tag(view.number, weak=True), if_none_match)


@router.patch(
    "",
    response_model=WrittenView,
    responses=refusals(409, 412),
    openapi_extra=idempotent(json_body(ConfigPatch), says=_UNKNOWN),
)
async def change_config(request: Request, identity: Operates, backend: Connected, if_match: IfMatch = None) -> Response:
    """Set some keys and leave the others. Refused whole when a key or value will not do; workers take it over at once."""
    body = await backend.json.read(request, ConfigPatch, at_most=backend.limits.query_bytes)
    return await _revise(request, identity, backend, body, if_match, partial(backend.config.change, body.values))


@router.post(
    "/rollback",
    response_model=WrittenView,
    responses=refusals(404, 409, 412),
    openapi_extra=idempotent(json_body(ConfigRollback), says=_UNKNOWN),
)
async def roll_back_config(
    request: Request, identity: Operates, backend: Connected, if_match: IfMatch = None
) -> Response:
    """Make a new revision with the values of an older one. Name `expected_revision`, or an idempotency key, lest a repeated
    request go back twice.
    """
    body = await backend.json.read(request, ConfigRollback, at_most=backend.limits.query_bytes)
    return await _revise(request, identity, backend, body, if_match, partial(backend.config.roll_back, body.to))


@router.get("/revisions", response_model=RevisionList, responses=refusals(409, 503))
async def list_revisions(_: Operates, backend: Connected) -> Response:
    """List the revisions that are kept, the newest first."""
    try:
        history = await backend.config.history()
    except ConfigUnreadableError as error:
        raise problems.conflict(problems.sentence(error)) from None
    return _json(RevisionList(items=[RevisionView.of(revision) for revision in history]))


@router.get("/revisions/{number}", response_model=RevisionView, responses={**UNCHANGED, **refusals(404, 409)})
async def show_revision(_: Operates, backend: Connected, number: Number, if_none_match: IfNoneMatch = None) -> Response:
    """Show one revision."""
    try:
        revision = await backend.config.find(number)
    except ConfigUnreadableError as error:
        raise problems.conflict(problems.sentence(error)) from None
    if revision is None:
        raise problems.not_found(f"There is no revision {number}, or it is not kept any more.")
    return conditional(_json(RevisionView.of(revision)), revision_tag(number), if_none_match)


async def _revise(
    request: Request,
    identity: Identity,
    backend: Backend,
    body: ConfigPatch | ConfigRollback,
    if_match: str | None,
    write: Callable[..., Awaitable[Written]],
) -> Response:
    """A new revision, written once however often it is asked for under one idempotency key."""

    async def revise(_: Turn) -> Response:
        writing = write(
            principal=identity.principal,
            because=body.because,
            claimed_by=body.claimed_by,
            expected=expected_revision(if_match, body.expected_revision),
        )
        return await _written(writing, identity, if_match)

    return await once(request, backend, identity, body, revise, repeatable=False)


async def _written(writing: Awaitable[Written], identity: Identity, if_match: str | None) -> Response:
    try:
        written = await writing
    except ConfigRefusedError as error:
        faults = [{"field": f"values.{key}", "message": reason} for key, reason in error.faults]
        raise problems.invalid(f"Nothing was changed: {error}.", faults) from None
    except NoSuchRevisionError as error:
        raise problems.not_found(problems.sentence(error)) from None
    except ConfigConflictError as error:
        raise (problems.conflict if if_match is None else changed)(problems.sentence(error)) from None
    except ConfigUnreadableError as error:
        raise problems.conflict(problems.sentence(error)) from None
    view = RevisionView.of(written.revision)
    if written.is_new:
        log.info("configuration changed", revision=view.number, by=identity.principal, claimed_by=view.claimed_by)
    response = _json(WrittenView(**dict(view), is_new=written.is_new))
    response.headers["ETag"] = revision_tag(view.number)
    return response


def _json(view: ConfigView | RevisionView | RevisionList) -> Response:
    return Response(view.model_dump_json(), media_type="application/json")
