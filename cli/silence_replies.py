"""What the gateway answers about silences."""

from __future__ import annotations

from datetime import datetime

from cli.replies import Reply


class Silence(Reply):
    id: str
    state: str = ""
    matchers: tuple[str, ...] = ()
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    comment: str = ""
    created_by: str = ""
    ended_by: str | None = None


class Silences(Reply):
    items: tuple[Silence, ...]
