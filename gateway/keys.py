"""`/v1/keys`: API keys, made, listed, rotated and revoked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import structlog
from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from contracts.api_keys import KeyId
from contracts.identifiers import Token
from gateway import problems
from gateway.audited import AuditedRoute
from gateway.backend import Backend, Connected
from gateway.idempotency import Turn, once, without
from gateway.identity import Administers, Anyone, Identity
from gateway.key_schemas import KeyList, KeyState, KeyView, MadeKey, NewKeyBody, NewToken, Rotation, TokenView
from gateway.openapi import idempotent, json_body, refusals
from gateway.paging import USUAL, Cursor, Limit, newest_first
from messaging.api_keys import KeyRefusedError, NewKey, NoSuchKeyError

router = APIRouter(prefix="/v1/keys", tags=["keys"], route_class=AuditedRoute)

Id = Annotated[KeyId, Path(description="The key's id: the part after `wk_`.", examples=["k3v5q2w7y4z6abcd"])]
_SECRET = {"Cache-Control": "no-store"}
_SHOWN_ONCE = "The secret is not shown again: in the answer to a repetition it is null."

log = structlog.get_logger(__name__)


@router.get("", response_model=KeyList, responses=refusals(422, 503))
async def list_keys(
    _: Administers,
    backend: Connected,
    state: Annotated[list[KeyState] | None, Query(description="Any of these; default: all.")] = None,
    tenant: Annotated[Token | None, Query(description="Only of this tenant.")] = None,
    limit: Limit = USUAL,
    cursor: Cursor = None,
) -> Response:
    """List keys, the newest first, without their secrets, and when each was last used."""
    now, used = backend.broker.clock.now(), await backend.admitted.keys.used()
    views = [KeyView.of(key, now, used.get(key.id)) for key in await backend.admitted.keys.all()]
    wanted = [view for view in views if (not state or view.state in state) and tenant in {None, view.tenant}]
    page = newest_first(wanted, at=lambda view: (view.created_at, view.id), limit=limit, cursor=cursor)
    return Response(KeyList(items=page.items, next=page.next).model_dump_json(), media_type="application/json")


@router.post(
    "",
    status_code=201,
    response_model=MadeKey,
    responses=refusals(400, 409, 413, 415, 422, 503),
    openapi_extra=idempotent(json_body(NewKeyBody), says=_SHOWN_ONCE),
)
async def create_key(request: Request, identity: Administers, backend: Connected) -> Response:
    """Make a key. Its secret is in this response, and nowhere else."""
    body = await backend.json.read(request, NewKeyBody, at_most=backend.limits.query_bytes)
    return await once(
        request, backend, identity, body, lambda turn: _create(backend, identity, body, turn), kept=without("secret")
    )


async def _create(backend: Backend, identity: Identity, body: NewKeyBody, turn: Turn) -> Response:
    try:
        made = await backend.admitted.keys.create(
            request=turn.id,
            name=body.name,
            tenant=body.tenant,
            scopes=body.scopes,
            expires_at=body.expires_at,
            rate_limit=body.rate_limit,
            principal=identity.principal,
        )
    except KeyRefusedError as error:
        raise problems.invalid(problems.sentence(error)) from None
    log.info("API key made", key=made.key.id, tenant=made.key.tenant, by=identity.principal)
    return _made(backend, made)


@router.post(
    "/{key_id}/rotate",
    status_code=201,
    response_model=MadeKey,
    responses=refusals(400, 404, 409, 413, 415, 422, 503),
    openapi_extra=idempotent(json_body(Rotation), says=_SHOWN_ONCE),
)
async def rotate_key(request: Request, identity: Administers, backend: Connected, key_id: Id) -> Response:
    """Make a key like this one, in whose place it is: this one ends after `overlap_s`."""
    body = await backend.json.read(request, Rotation, at_most=backend.limits.query_bytes)
    return await once(
        request,
        backend,
        identity,
        body,
        lambda turn: _rotate(backend, identity, key_id, body, turn),
        kept=without("secret"),
    )


async def _rotate(backend: Backend, identity: Identity, key_id: str, body: Rotation, turn: Turn) -> Response:
    try:
        made = await backend.admitted.keys.rotate(
            key_id, overlap=timedelta(seconds=body.overlap_s), principal=identity.principal, request=turn.id
        )
    except NoSuchKeyError as error:
        raise _unknown(error) from None
    except KeyRefusedError as error:
        raise problems.conflict(problems.sentence(error)) from None
    log.info("API key rotated", key=key_id, by=identity.principal, now=made.key.id)
    return _made(backend, made)


@router.post(
    "/token",
    status_code=201,
    response_model=TokenView,
    responses=refusals(400, 409, 413, 415, 422, 503),
    openapi_extra=json_body(NewToken),
)
async def exchange_key(request: Request, identity: Anyone, backend: Connected) -> Response:
    """Exchange the API key that is shown for a token that ends within an hour, so that the key itself need not travel.

    The token allows no more than the key, and ends with it.
    """
    body = await backend.json.read(request, NewToken, at_most=backend.limits.query_bytes)
    mint = backend.admitted.mint
    key = None if identity.key is None else backend.admitted.ring.in_force(identity.key)
    if mint is None or key is None:
        raise problems.conflict(
            "Only an API key itself is exchanged." if mint else "Tokens need WAGGLE_JWT_SECRET at the gateway."
        )
    minted = mint.exchange(
        key, scopes=body.scopes or key.allows, lasting=timedelta(seconds=body.lasts_s), now=datetime.now(UTC)
    )
    if not minted.scopes:
        raise problems.invalid(f"scopes: this key allows {', '.join(sorted(key.allows))}.")
    view = TokenView(token=minted.token, scopes=list(minted.scopes), expires_at=minted.expires_at)
    return Response(view.model_dump_json(), 201, _SECRET, media_type="application/json")


@router.delete("/{key_id}", response_model=KeyView, responses=refusals(404, 422, 503))
async def revoke_key(identity: Administers, backend: Connected, key_id: Id) -> Response:
    """Have a key open nothing from now on, at every gateway within two seconds. Doing so again changes nothing."""
    try:
        revoked = await backend.admitted.keys.revoke(key_id, principal=identity.principal)
    except NoSuchKeyError as error:
        raise _unknown(error) from None
    log.info("API key revoked", key=key_id, by=identity.principal)
    view = KeyView.of(revoked, backend.broker.clock.now())
    return Response(view.model_dump_json(), media_type="application/json")


def _made(backend: Backend, made: NewKey) -> Response:
    view = MadeKey(key=KeyView.of(made.key, backend.broker.clock.now()), secret=made.text or None)
    return Response(view.model_dump_json(), 201, _SECRET, media_type="application/json")


def _unknown(error: NoSuchKeyError) -> problems.Problem:
    return problems.not_found(f"{problems.sentence(error)} `/v1/keys` lists them.")
