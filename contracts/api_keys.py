"""API keys: who may do what for which tenant, until when."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import AwareDatetime, Field, StringConstraints, model_validator

from contracts.identifiers import Token
from contracts.message import Message
from contracts.rate_limits import RateLimit


class Scope(StrEnum):
    """What a key allows. None but `admin` includes another one."""

    INGEST = "ingest"
    """Submitting and deleting documents."""
    QUERY = "query"
    """Asking questions, and following and cancelling them."""
    READ = "read"
    """Reading documents and what is known of them."""
    OPS = "ops"
    """Seeing how the system works, changing and mending it; of dead letters those of its tenant."""
    ADMIN = "admin"
    """Everything, keys among it."""


KeyId = Annotated[str, StringConstraints(pattern=r"^[a-z2-7]{16}$")]
"""The part of a key that is no secret, by which it is looked up."""


class ApiKey(Message):
    """A key without its secret, in the bucket `apikeys`; `principal` made it.

    `digest` is SHA-256 of the secret: 256 random bits need no slow hash. What was made in place of another one names it.
    """

    id: KeyId
    name: str = Field(min_length=1, max_length=128)
    tenant: Token
    scopes: tuple[Scope, ...] = Field(min_length=1, max_length=len(Scope))
    digest: str = Field(pattern=r"^[0-9a-f]{64}$", repr=False)
    expires_at: AwareDatetime | None = None
    rate_limit: RateLimit | None = None
    """Its own, in place of the gateways' for keys."""
    revoked_at: AwareDatetime | None = None
    revoked_by: str | None = Field(default=None, min_length=1, max_length=256)
    replaces: KeyId | None = None
    replaced_at: AwareDatetime | None = None
    """From when on only the one in its place opens anything."""
    replaced_by: KeyId | None = None

    @property
    def allows(self) -> frozenset[Scope]:
        """Its scopes, with those that they include."""
        return frozenset(Scope) if Scope.ADMIN in self.scopes else frozenset(self.scopes)

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        if len(set(self.scopes)) != len(self.scopes):
            raise ValueError("each scope is named once")
        if (self.revoked_at is None) != (self.revoked_by is None):
            raise ValueError("whoever revoked it did so at a time")
        return self


class KeyUse(Message):
    """When a key was last used, to the minute."""

    id: KeyId
    used_at: AwareDatetime
