"""Who asks, and what they may: decided here and nowhere else, never by a body or a free header."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Final, Protocol, cast

from fastapi import Depends
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as Connection

from contracts.api_keys import Scope
from contracts.identifiers import ANONYMOUS, DEFAULT_TENANT
from gateway import problems
from gateway.problems import Problem
from observability.request_context import name_tenant

OPEN: Final = frozenset({"/health/live", "/health/ready"})
"""What anybody may ask for."""
_BEARER: Final = "bearer "
_STATE: Final = "identity"


@dataclass(frozen=True, kw_only=True)
class Identity:
    """The tenant whose data a request may touch, the principal it is done for, and what that one may do."""

    tenant: str
    principal: str
    scopes: frozenset[Scope]
    key: str | None = None
    """The id of the API key that was shown itself, not as a token."""

    def may(self, scope: Scope) -> bool:
        return scope in self.scopes or Scope.ADMIN in self.scopes


ANYBODY: Final = Identity(tenant=DEFAULT_TENANT, principal=ANONYMOUS, scopes=frozenset(Scope))
"""In development, where whoever reaches this host may do everything."""


class Porter(Protocol):
    """Who knows keys and tokens."""

    async def admit(self, shown: str) -> Identity | None:
        """Who shows this, if it opens anything now. Raises a 503 problem when that is not known."""
        ...


class Door:
    """Lets in who shows a key, and nobody else: also not to paths that there are not. Without a `porter` everybody is let in."""

    def __init__(self, app: ASGIApp, *, porter: Porter | None) -> None:
        self._app = app
        self._porter = porter

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in OPEN:
            await self._app(scope, receive, send)
            return
        try:
            identity = ANYBODY if self._porter is None else await _identified(scope, self._porter)
        except Problem as refusal:
            await refusal.response(scope["path"])(scope, receive, send)
            return
        scope.setdefault("state", {})[_STATE] = identity
        name_tenant(identity.tenant)
        await self._app(scope, receive, send)


async def _identified(scope: Connection, porter: Porter) -> Identity:
    identity = await porter.admit(_shown(scope))
    if identity is None:
        raise problems.unauthorized()
    return identity


def _shown(scope: Connection) -> str:
    """What is shown as a key; nothing where several are, for who knows which of them others have looked at."""
    shown = [value for name, value in scope["headers"] if name in {b"authorization", b"x-api-key"}]
    if len(shown) != 1:
        return ""
    text = cast("str", shown[0].decode("latin-1"))
    return text[len(_BEARER) :].strip() if text[: len(_BEARER)].lower() == _BEARER else text


def identity_of(scope: Connection) -> Identity:
    """The identity of a request that came through the door."""
    return cast("Identity", scope["state"][_STATE])


def known_identity(scope: Connection) -> Identity | None:
    """The identity of a request, None for one that did not come through the door."""
    return cast("Identity | None", scope.get("state", {}).get(_STATE))


def permitted(request: Request, scope: Scope) -> Identity:
    """The identity of a request that came through the door. Raises a 403 problem when it may not do this."""
    identity = identity_of(request.scope)
    if not identity.may(scope):
        had = ", ".join(sorted(identity.scopes))
        raise problems.forbidden(f"This needs a key with the scope {scope.value}; this one has {had}.")
    return identity


def _who_may(scope: Scope) -> Callable[[Request], Awaitable[Identity]]:
    """Of coroutines, since the framework sends plain functions to a thread."""

    async def checked(request: Request) -> Identity:
        return permitted(request, scope)

    return checked


async def _anyone(request: Request) -> Identity:
    return identity_of(request.scope)


Anyone = Annotated[Identity, Depends(_anyone)]
"""Whoever came through the door."""
Ingests = Annotated[Identity, Depends(_who_may(Scope.INGEST))]
Asks = Annotated[Identity, Depends(_who_may(Scope.QUERY))]
Reads = Annotated[Identity, Depends(_who_may(Scope.READ))]
Operates = Annotated[Identity, Depends(_who_may(Scope.OPS))]
Administers = Annotated[Identity, Depends(_who_may(Scope.ADMIN))]
