"""What is agreed with a tenant: how much it may ask, store, and have of what is scarce."""

from __future__ import annotations

from pydantic import Field

from contracts.identifiers import Token
from contracts.message import Message
from contracts.rate_limits import RateLimit


class TenantTerms(Message):
    """In the bucket `tenants`, by the tenant. What is not said here is as the settings of the gateways say; `principal` set it."""

    tenant: Token
    rate_limit: RateLimit | None = None
    max_documents: int | None = Field(default=None, ge=0)
    max_bytes: int | None = Field(default=None, ge=0)
    weight: float = Field(default=1.0, ge=0.01, le=100)
    """Its share where there is not enough for all: one of weight 2 gets twice as much as one of weight 1."""
