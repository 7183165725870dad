"""`/v1/tenants`: what is agreed with each tenant, and what it has."""

from __future__ import annotations

import bisect
from typing import Annotated

import structlog
from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import Response

from contracts.identifiers import Token
from contracts.tenants import TenantTerms
from gateway import problems
from gateway.audited import AuditedRoute
from gateway.backend import Backend, Connected
from gateway.identity import Administers
from gateway.openapi import json_body, refusals
from gateway.paging import USUAL, Cursor, Limit, cursor_at, name_of
from gateway.tenant_schemas import TenantList, TenantView, Terms, Usage
from messaging.tenants import TooManyTenantsError

router = APIRouter(prefix="/v1/tenants", tags=["tenants"], route_class=AuditedRoute)

Tenant = Annotated[Token, Path(description="The tenant's name.", examples=["acme"])]

log = structlog.get_logger(__name__)


@router.get("", response_model=TenantList, responses=refusals(422, 503))
async def list_tenants(
    _: Administers,
    backend: Connected,
    limit: Limit = USUAL,
    cursor: Cursor = None,
) -> Response:
    """List tenants that have documents, or with which something is agreed."""
    agreed = {terms.tenant: terms for terms in await backend.terms.all()}
    usage = await backend.readmodel.usage()
    names = sorted(agreed.keys() | usage.keys())
    start = 0 if cursor is None else bisect.bisect_right(names, name_of(cursor)[0])
    page = names[start : start + limit]
    listed = TenantList(
        items=[_view(name, agreed.get(name), usage.get(name)) for name in page],
        next=cursor_at((page[-1], "")) if start + limit < len(names) else None,
    )
    return Response(listed.model_dump_json(), media_type="application/json")


@router.get("/{tenant}", response_model=TenantView, responses=refusals(422, 503))
async def show_tenant(_: Administers, backend: Connected, tenant: Tenant) -> Response:
    """Show what is agreed with a tenant, and what it has; nobody has to make a tenant before it is used."""
    return await _shown(backend, tenant, await backend.terms.get(tenant))


@router.put(
    "/{tenant}",
    response_model=TenantView,
    responses=refusals(400, 409, 413, 415, 422, 503),
    openapi_extra=json_body(Terms),
)
async def agree(request: Request, identity: Administers, backend: Connected, tenant: Tenant) -> Response:
    """Agree on this with a tenant, in place of what was agreed before; every gateway goes by it within seconds.

    What it has beyond a new quota stays, and it gets no more.
    """
    body = await backend.json.read(request, Terms, at_most=backend.limits.query_bytes)
    terms = TenantTerms(
        tenant=tenant,
        rate_limit=body.rate_limit,
        max_documents=body.max_documents,
        max_bytes=body.max_bytes,
        weight=body.weight,
        created_at=backend.broker.clock.now(),
        principal=identity.principal,
    )
    try:
        await backend.terms.set(terms)
    except TooManyTenantsError as error:
        raise problems.conflict(problems.sentence(error)) from None
    log.info("terms agreed", tenant_terms=tenant, by=identity.principal)
    return await _shown(backend, tenant, terms)


@router.delete("/{tenant}", response_model=TenantView, responses=refusals(422, 503))
async def end_agreement(identity: Administers, backend: Connected, tenant: Tenant) -> Response:
    """Have nothing of its own agreed with a tenant any more. Its documents and keys stay."""
    await backend.terms.remove(tenant)
    log.info("terms ended", tenant_terms=tenant, by=identity.principal)
    return await _shown(backend, tenant, None)


async def _shown(backend: Backend, tenant: str, terms: TenantTerms | None) -> Response:
    usage = await backend.readmodel.usage(tenant)
    return Response(_view(tenant, terms, usage.get(tenant)).model_dump_json(), media_type="application/json")


def _view(tenant: str, terms: TenantTerms | None, usage: Usage | None) -> TenantView:
    return TenantView.of(
        terms or TenantTerms(tenant=tenant),
        usage or Usage(documents=0, bytes=0, waiting=0),
        is_agreed=terms is not None,
    )
