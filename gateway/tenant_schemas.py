"""Tenants as they travel over HTTP: what is agreed with each, and what it has."""

from __future__ import annotations

from typing import Self

from pydantic import AwareDatetime, Field

from contracts.rate_limits import RateLimit
from contracts.tenants import TenantTerms
from gateway.schemas import Wire


class Terms(Wire):
    """What is agreed with a tenant. What is not said is as the gateways' settings say."""

    rate_limit: RateLimit | None = Field(
        default=None, description="How many requests it may make.", examples=["100/10s,2000/m"]
    )
    max_documents: int | None = Field(
        default=None, strict=True, ge=0, description="How many documents it may have.", examples=[100_000]
    )
    max_bytes: int | None = Field(
        default=None,
        strict=True,
        ge=0,
        description="How many bytes their originals may have together.",
        examples=[10 * 1024**3],
    )
    weight: float = Field(
        default=1.0,
        ge=0.01,
        le=100,
        description="Its share where there is not enough for all: one of weight 2 gets twice as much as one of weight 1.",
        examples=[2],
    )


class Usage(Wire):
    """What a tenant has: its documents, the bytes of their latest originals, and how many of them wait to be read."""

    documents: int
    bytes: int
    waiting: int


class TenantView(Wire):
    """A tenant. `agreed` says when and by whom something of its own was agreed; null: nothing was."""

    tenant: str
    terms: Terms
    agreed_at: AwareDatetime | None
    agreed_by: str | None
    usage: Usage

    @classmethod
    def of(cls, terms: TenantTerms, usage: Usage, *, is_agreed: bool) -> Self:
        return cls(
            tenant=terms.tenant,
            terms=Terms(
                rate_limit=terms.rate_limit,
                max_documents=terms.max_documents,
                max_bytes=terms.max_bytes,
                weight=terms.weight,
            ),
            agreed_at=terms.created_at if is_agreed else None,
            agreed_by=terms.principal if is_agreed else None,
            usage=usage,
        )


class TenantList(Wire):
    """Tenants that have documents, or with which something is agreed, by name; `next` is the cursor of the following page."""

    items: list[TenantView]
    next: str | None
