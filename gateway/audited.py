"""Has what changes the system told in the audit: before it is done, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from contracts.api_keys import Scope
from contracts.audit import ActOutcome, AdminAct, AuditKind
from contracts.identifiers import new_id
from gateway.backend import connected_backend
from gateway.idempotency import HEADER_REPLAYED
from gateway.identity import identity_of
from gateway.problems import Problem
from messaging.audit import AuditTrail
from observability.request_context import current_request_id

LONGEST: Final = 1024
Handler = Callable[[Request], Coroutine[Any, Any, Response]]
Told = Mapping[str, Any]
"""An answer."""


def _nothing(_: Told) -> str:
    return ""


@dataclass(frozen=True, kw_only=True)
class Act:
    """What an operation does. `target` and `detail` are told from its answer; of the path the target is known before."""

    kind: AuditKind
    scope: Scope = Scope.OPS
    target: Callable[[Told], str] = _nothing
    detail: Callable[[Told], str] = _nothing


ACTS: Final[Mapping[str, Act]] = {
    "create_key": Act(
        kind=AuditKind.KEYS,
        scope=Scope.ADMIN,
        target=lambda told: str(told["key"]["id"]),
        detail=lambda told: f"{told['key']['name']}: {', '.join(told['key']['scopes'])} for {told['key']['tenant']}",
    ),
    "rotate_key": Act(
        kind=AuditKind.KEYS, scope=Scope.ADMIN, detail=lambda told: f"{told['key']['id']} is in its place"
    ),
    "revoke_key": Act(kind=AuditKind.KEYS, scope=Scope.ADMIN, detail=lambda told: str(told["name"])),
    "agree": Act(
        kind=AuditKind.TENANTS,
        scope=Scope.ADMIN,
        detail=lambda told: ", ".join(f"{name}: {value}" for name, value in told["terms"].items() if value is not None),
    ),
    "end_agreement": Act(kind=AuditKind.TENANTS, scope=Scope.ADMIN),
    "add_silence": Act(
        kind=AuditKind.SILENCES,
        target=lambda told: str(told["id"]),
        detail=lambda told: f"{' '.join(told['matchers'])} until {told['ends_at']}: {told['comment']}",
    ),
    "end_silence": Act(kind=AuditKind.SILENCES, detail=lambda told: " ".join(told["matchers"])),
    "put_rules": Act(kind=AuditKind.RULES),
    "remove_rules": Act(kind=AuditKind.RULES),
    "replay_dead_letter": Act(kind=AuditKind.DEAD_LETTERS),
    "replay_dead_letters": Act(
        kind=AuditKind.DEAD_LETTERS,
        detail=lambda told: f"{len(told['items'])} replayed, {len(told['refused'])} refused",
    ),
    "drop_dead_letter": Act(kind=AuditKind.DEAD_LETTERS),
    "pause_recovery": Act(kind=AuditKind.RECOVERY, detail=lambda told: f"until {told['ends_at']}: {told['reason']}"),
    "resume_recovery": Act(kind=AuditKind.RECOVERY),
}
"""By the name of the route. Changes of the configuration and answers to decisions tell of themselves."""


class AuditedRoute(APIRoute):
    """A route that tells of what it does if it is one of `ACTS`. What cannot be told of is not done (503)."""

    def get_route_handler(self) -> Handler:
        handler: Handler = super().get_route_handler()
        known = ACTS.get(self.name)
        if known is None:
            return handler
        act = known

        async def told(request: Request) -> Response:
            if not identity_of(request.scope).may(act.scope):
                return await handler(request)  # which refuses it: nobody without the scope fills the audit
            begun = _begun(request, self.name, act)
            trail = connected_backend(request).audit
            await trail.begin(begun)
            return await _carried_out(handler, request, trail, act, begun)

        return told


async def _carried_out(handler: Handler, request: Request, trail: AuditTrail, act: Act, begun: AdminAct) -> Response:
    try:
        response = await handler(request)
    except Problem as problem:
        await trail.end(_ended(begun, problem.status, detail=problem.code))
        raise
    except Exception as error:
        await trail.end(_ended(begun, 500, detail=type(error).__name__))
        raise
    answer = _answer(response)
    outcome = _ended(begun, response.status_code, detail=act.detail(answer) if answer else "")
    changes: dict[str, object] = {"target": act.target(answer) if answer and not begun.target else begun.target}
    if HEADER_REPLAYED in response.headers:
        changes["outcome"] = ActOutcome.REPEATED
    await trail.end(outcome.model_copy(update=changes))
    return response


def _begun(request: Request, action: str, act: Act) -> AdminAct:
    identity = identity_of(request.scope)
    return AdminAct(
        id=new_id(),
        kind=act.kind,
        action=action,
        target=" ".join(request.path_params.values())[:LONGEST],
        principal=identity.principal,
        tenant=identity.tenant,
        address=None if request.client is None else request.client.host[:64],
        request_id=current_request_id(),
        created_at=connected_backend(request).broker.clock.now(),
    )


def _ended(begun: AdminAct, status: int, *, detail: str) -> AdminAct:
    outcome = ActOutcome.DONE if status < 400 else ActOutcome.REFUSED if status < 500 else ActOutcome.UNKNOWN
    return begun.model_copy(update={"outcome": outcome, "status": status, "detail": detail[:LONGEST]})


def _answer(response: Response) -> Told:
    if response.status_code >= 400 or not response.body:
        return {}
    answer: Told = json.loads(bytes(response.body))
    return answer
