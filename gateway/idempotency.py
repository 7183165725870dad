"""`Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header): a request that comes again is answered, and not done again."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from contracts.idempotency import IdempotentRequest
from contracts.identifiers import TOKEN, derived_id, digest
from gateway import problems
from gateway.identity import Identity
from gateway.problems import Problem
from messaging.idempotency import Attempt, IdempotentRequests, RequestDiffersError, RequestUnderWayError

if TYPE_CHECKING:
    from gateway.backend import Backend

HEADER: Final = "Idempotency-Key"
HEADER_REPLAYED: Final = "Idempotent-Replayed"

Act = Callable[["Turn"], Awaitable[Response]]


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One time that a request is carried out. `id` is that of the request, the same each time; None: it named no key."""

    id: str | None = None

    def derived(self, noun: str) -> str | None:
        """An id of what the request makes, the same each time; None: it named no key."""
        return None if self.id is None else derived_id(noun, self.id)


def key_of(request: Request) -> str | None:
    """The key that a request names, bare or as a quoted string. Raises a 422 problem for what is none."""
    given = request.headers.getlist(HEADER)
    if not given:
        return None
    key = given[0].strip()
    if len(key) > 1 and key[0] == key[-1] == '"':
        key = key[1:-1]
    if len(given) > 1 or TOKEN.fullmatch(key) is None:
        raise problems.invalid(f"{HEADER}: give one key of 1 to 128 letters, digits, - and _, such as a UUID.")
    return key


def fingerprint_of(request: Request, said: BaseModel | str | None) -> str:
    """What tells one request from another under the same key: the route, its condition, and what the body says, however it is
    written.
    """
    text = said.model_dump_json() if isinstance(said, BaseModel) else said or ""
    return digest(request.method, request.url.path, request.headers.get("if-match", ""), text)


def request_id(identity: Identity, key: str) -> str:
    """Keys of two tenants or principals have nothing to do with each other."""
    return derived_id("request", identity.tenant, identity.principal, key)


async def once(
    request: Request,
    backend: Backend,
    identity: Identity,
    said: BaseModel | None,
    act: Act,
    *,
    repeatable: bool = True,
    kept: Callable[[Response], str] | None = None,
) -> Response:
    """What `act` answers, or answered before under the same key; only success is remembered.

    Not `repeatable`: when the gateway that was at it died, whether it was done is not known, and it is not done again.
    `kept` is what is remembered of an answer that holds a secret. Raises 422 and 409 problems.
    """
    key = key_of(request)
    if key is None:
        return await act(Turn())
    fingerprint = fingerprint_of(request, said)
    begun = await begin(backend.requests, identity, key, fingerprint)
    if isinstance(begun, IdempotentRequest):
        return replayed(begun)
    if not (begun.is_first or repeatable):
        raise _unknown()
    async with backend.requests.held(begun) as holding:
        try:
            response = await act(Turn(id=begun.record.id))
        except Problem:
            await holding.release()
            raise
        except Exception:
            if repeatable:
                await holding.release()
            raise
        body = kept(response) if kept else bytes(response.body).decode()
        await holding.finish(status=response.status_code, body=body)
    return response


async def begin(
    requests: IdempotentRequests, identity: Identity, key: str, fingerprint: str | None
) -> Attempt | IdempotentRequest:
    """The right to carry a request out, or what came of it. Raises 422 and 409 problems."""
    try:
        return await requests.begin(request_id(identity, key), fingerprint, principal=identity.principal)
    except RequestDiffersError:
        raise differs() from None
    except RequestUnderWayError:
        raise _under_way() from None


async def claimed(request: Request, backend: Backend, identity: Identity, said: BaseModel) -> Turn:
    """The turn of a request whose effect and answer are found by an id that follows from its key. Raises a 422 problem when
    the key was used for another one.
    """
    key = key_of(request)
    if key is None:
        return Turn()
    id = request_id(identity, key)
    try:
        await backend.requests.claim(id, fingerprint_of(request, said), principal=identity.principal)
    except RequestDiffersError:
        raise differs() from None
    return Turn(id=id)


def replayed(record: IdempotentRequest) -> Response:
    """The answer as it was."""
    headers = {HEADER_REPLAYED: "true", "Cache-Control": "no-store"}
    if not record.body:
        return Response(status_code=record.status or 204, headers=headers)
    return Response(record.body, record.status or 200, headers, media_type="application/json")


def differs() -> Problem:
    """Another request under the same key."""
    detail = (
        f"This {HEADER} was used for another request: what this one asks for was not done. Give it a key of its own."
    )
    return Problem(422, problems.ProblemCode.KEY_REUSED, detail)


def without(name: str) -> Callable[[Response], str]:
    """What is remembered of a JSON object: all but the value of this member, which is null."""

    def kept(response: Response) -> str:
        return json.dumps({**json.loads(bytes(response.body)), name: None})

    return kept


def _under_way() -> Problem:
    detail = "The same request is being carried out right now: ask again in a moment, and this key has its answer."
    return Problem(409, problems.ProblemCode.UNDER_WAY, detail, headers={"Retry-After": "1"})


def _unknown() -> Problem:
    detail = (
        "The gateway that carried this request out died before it told what came of it, and it is not done twice: look "
        "whether it was done, and if not, ask with another key."
    )
    return Problem(409, problems.ProblemCode.OUTCOME_UNKNOWN, detail)
