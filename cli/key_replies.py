"""What the gateway answers about API keys."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from cli.replies import Reply


class Key(Reply):
    id: str
    name: str = ""
    tenant: str = ""
    scopes: tuple[str, ...] = ()
    state: str = ""
    created_at: datetime | None = None
    created_by: str = ""
    expires_at: datetime | None = None
    rate_limit: str | None = None
    revoked_at: datetime | None = None
    revoked_by: str | None = None
    replaces: str | None = None
    last_used_at: datetime | None = None


class Keys(Reply):
    items: tuple[Key, ...]


class MadeKey(Reply):
    key: Key
    secret: str = Field(repr=False)
