"""`/v1/config`: settings that are changed while everything runs, in numbered revisions."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Annotated

import structlog
from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import Response

from contracts.runtime_config import ConfigRefusedError
from gateway import problems
from gateway.backend import Connected
from gateway.config_schemas import (
    ConfigPatch,
    ConfigRollback,
    ConfigView,
    RevisionList,
    RevisionView,
    WrittenView,
)
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


@router.get("", response_model=ConfigView, responses=refusals(409, 503))
async def show_config(_: Operates, backend: Connected) -> Response:
    """Show what is set for the running fleet, which processes work by it, and what can be set."""
    try:
        revision = await backend.config.current()
    except ConfigUnreadableError as error:
        raise problems.conflict(_sentence(error)) from None
    return _json(ConfigView.with_fleet(revision, backend.fleet.members()))


@router.patch(
    "",
    response_model=WrittenView,
    responses=refusals(400, 409, 413, 415, 422, 503),
    openapi_extra=idempotent(json_body(ConfigPatch), says=_UNKNOWN),
)
async def change_config(request: Request, identity: Operates, backend: Connected) -> Response:
    """Set some keys and leave the others. Refused whole when a key or value will not do; workers take it over at once."""
    body = await backend.json.read(request, ConfigPatch, at_most=backend.limits.query_bytes)

    async def change(_: Turn) -> Response:
        changing = backend.config.change(
            body.values,
            principal=identity.principal,
            because=body.because,
            claimed_by=body.claimed_by,
            expected=body.expected_revision,
        )
        return await _written(changing, identity)

    return await once(request, backend, identity, body, change, repeatable=False)


@router.post(
    "/rollback",
    response_model=WrittenView,
    responses=refusals(400, 404, 409, 413, 415, 422, 503),
    openapi_extra=idempotent(json_body(ConfigRollback), says=_UNKNOWN),
)
async def roll_back_config(request: Request, identity: Operates, backend: Connected) -> Response:
    """Make a new revision with the values of an older one. Name `expected_revision`, or an idempotency key, lest a repeated
    request go back twice.
    """
    body = await backend.json.read(request, ConfigRollback, at_most=backend.limits.query_bytes)

    async def go_back(_: Turn) -> Response:
        going_back = backend.config.roll_back(
            body.to,
            principal=identity.principal,
            because=body.because,
            claimed_by=body.claimed_by,
            expected=body.expected_revision,
        )
        return await _written(going_back, identity)

    return await once(request, backend, identity, body, go_back, repeatable=False)


@router.get("/revisions", response_model=RevisionList, responses=refusals(409, 503))
async def list_revisions(_: Operates, backend: Connected) -> Response:
    """List the revisions that are kept, the newest first."""
    try:
        history = await backend.config.history()
    except ConfigUnreadableError as error:
        raise problems.conflict(_sentence(error)) from None
    return _json(RevisionList(items=[RevisionView.of(revision) for revision in history]))


@router.get("/revisions/{number}", response_model=RevisionView, responses=refusals(404, 409, 422, 503))
async def show_revision(_: Operates, backend: Connected, number: Number) -> Response:
    """Show one revision."""
    try:
        revision = await backend.config.find(number)
    except ConfigUnreadableError as error:
        raise problems.conflict(_sentence(error)) from None
    if revision is None:
        raise problems.not_found(f"There is no revision {number}, or it is not kept any more.")
    return _json(RevisionView.of(revision))


async def _written(writing: Awaitable[Written], identity: Identity) -> Response:
    try:
        written = await writing
    except ConfigRefusedError as error:
        faults = [{"field": f"values.{key}", "message": reason} for key, reason in error.faults]
        raise problems.invalid(f"Nothing was changed: {error}.", faults) from None
    except NoSuchRevisionError as error:
        raise problems.not_found(_sentence(error)) from None
    except (ConfigConflictError, ConfigUnreadableError) as error:
        raise problems.conflict(_sentence(error)) from None
    view = RevisionView.of(written.revision)
    if written.is_new:
        log.info("configuration changed", revision=view.number, by=identity.principal, claimed_by=view.claimed_by)
    return _json(WrittenView(**dict(view), is_new=written.is_new))


def _json(view: ConfigView | RevisionView | RevisionList) -> Response:
    return Response(view.model_dump_json(), media_type="application/json")


def _sentence(error: Exception) -> str:
    return f"{str(error)[:1].upper()}{str(error)[1:]}."
