"""API keys as they travel over HTTP."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Self

from pydantic import AwareDatetime, Field, StringConstraints

from contracts.api_keys import ApiKey, Scope
from contracts.identifiers import DEFAULT_TENANT, Token
from contracts.rate_limits import RateLimit
from gateway.schemas import Wire
from messaging.api_keys import end_of, over

KeyName = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]+$")
]
MOST_OVERLAP_S = 90 * 86_400


class KeyState(StrEnum):
    ACTIVE = "active"
    REVOKED = "revoked"
    EXPIRED = "expired"


class NewKeyBody(Wire):
    """Who the key is for, and what it allows."""

    name: KeyName = Field(description="Who or what uses it.", examples=["nightly import"])
    scopes: list[Scope] = Field(
        min_length=1, max_length=len(Scope), description="What it allows.", examples=[["query"]]
    )
    tenant: Token = Field(default=DEFAULT_TENANT, description="Whose data it touches.", examples=["acme"])
    expires_at: AwareDatetime | None = Field(
        default=None,
        description="When it ends; without one it lasts until it is revoked.",
        examples=["2027-01-31T12:00:00Z"],
    )
    rate_limit: RateLimit | None = Field(
        default=None,
        description="How many requests it may make, in place of what the gateways' settings say for keys.",
        examples=["20/10s,300/m"],
    )


class Rotation(Wire):
    """How long the old key goes on beside the new one."""

    overlap_s: float = Field(default=0, ge=0, le=MOST_OVERLAP_S, description="Seconds.", examples=[86400])


class NewToken(Wire):
    """What a token is to allow, and for how long."""

    scopes: list[Scope] = Field(
        default=[], max_length=len(Scope), description="Those of the key by default.", examples=[["query"]]
    )
    lasts_s: float = Field(default=900, gt=0, le=3600, description="Seconds.", examples=[900])


class TokenView(Wire):
    """A token. It is shown as a key is: `Authorization: Bearer …`."""

    token: str
    scopes: list[Scope]
    expires_at: AwareDatetime


class KeyView(Wire):
    """A key without its secret, which nobody knows but who holds it."""

    id: str
    name: str
    tenant: str
    scopes: list[Scope]
    state: KeyState
    created_at: AwareDatetime
    created_by: str
    expires_at: AwareDatetime | None
    rate_limit: str | None
    revoked_at: AwareDatetime | None
    revoked_by: str | None
    replaces: str | None
    last_used_at: AwareDatetime | None = Field(description="To the minute; told a minute later at most.")

    @classmethod
    def of(cls, key: ApiKey, now: datetime, last_used_at: datetime | None = None) -> Self:
        why = over(key, now)
        return cls(
            id=key.id,
            name=key.name,
            tenant=key.tenant,
            scopes=list(key.scopes),
            state=KeyState.ACTIVE if why is None else KeyState(why.value),
            created_at=key.created_at,
            created_by=key.principal,
            expires_at=end_of(key),
            rate_limit=key.rate_limit,
            revoked_at=key.revoked_at,
            revoked_by=key.revoked_by,
            replaces=key.replaces,
            last_used_at=last_used_at,
        )


class MadeKey(Wire):
    """A key that was made. `secret` is the whole key, and is shown once: to a request that is repeated under its idempotency
    key it is null. Whoever did not get it revokes the key, and makes another one.
    """

    key: KeyView
    secret: str | None = Field(examples=["wk_…"])


class KeyList(Wire):
    """A page of keys, the newest first; `next` is the cursor of the following one. A key that is over is kept for 30 days."""

    items: list[KeyView]
    next: str | None
