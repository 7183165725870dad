"""What the gateway answers about tenants."""

from __future__ import annotations

from datetime import datetime

from cli.replies import Reply


class Terms(Reply):
    rate_limit: str | None = None
    max_documents: int | None = None
    max_bytes: int | None = None
    weight: float = 1.0


class Usage(Reply):
    documents: int = 0
    bytes: int = 0
    waiting: int = 0


class Tenant(Reply):
    tenant: str
    terms: Terms
    agreed_at: datetime | None = None
    agreed_by: str | None = None
    usage: Usage


class Tenants(Reply):
    items: tuple[Tenant, ...]
    next: str | None = None
