"""What the gateway answers about the runtime configuration."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from cli.replies import Reply
from contracts.runtime_config import Setting


class Revision(Reply):
    """Of number 0: nothing was ever set."""

    number: int
    values: dict[str, Setting] = Field(default_factory=dict)
    created_at: datetime | None = None
    principal: str | None = None
    claimed_by: str | None = None
    because: str | None = None
    restores: int | None = None


class Written(Revision):
    is_new: bool = True


class Revisions(Reply):
    items: tuple[Revision, ...]


class Applied(Reply):
    """By which revision a process works; None: it does not say."""

    service: str
    instance: str
    revision: int | None = None


class Key(Reply):
    """A key that can be set, and the services that work by it."""

    key: str
    services: tuple[str, ...] = ()
    meaning: str = ""


class Config(Revision):
    applied: tuple[Applied, ...] = ()
    keys: tuple[Key, ...] = ()
