"""Acts of those who run the system: who did what, from where, and what came of it. Each is told in the stream OPS."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from contracts.identifiers import Token
from contracts.message import Message


class AuditKind(StrEnum):
    """What an act is about."""

    KEYS = "keys"
    TENANTS = "tenants"
    SILENCES = "silences"
    RULES = "rules"
    DEAD_LETTERS = "dead_letters"
    RECOVERY = "recovery"
    CONFIG = "config"
    CONTROL = "control"
    """Orders to one process; starting and stopping processes."""
    ENDPOINTS = "endpoints"
    INDEX = "index"
    CACHE = "cache"


class ActOutcome(StrEnum):
    DONE = "done"
    REFUSED = "refused"
    """Nothing was changed."""
    REPEATED = "repeated"
    """It was done before, under the same idempotency key; nothing was done this time."""
    UNKNOWN = "unknown"
    """It failed on the way, or whoever was at it died: it may have been done."""


Shortened = Annotated[str, StringConstraints(max_length=1024)]


class AdminAct(Message):
    """What `principal` is about to do, before it is done, and once more, under the same id, what came of it.

    Without an `outcome` it is the former. Nothing secret is in it, and nothing of documents or questions.
    """

    id: Token
    kind: AuditKind
    action: Token
    """The operation of the HTTP API, or the command."""
    target: Shortened = ""
    """What it was done to, as far as it is known by then."""
    detail: Shortened = ""
    """What was asked for or came of it, in a few words."""
    outcome: ActOutcome | None = None
    status: int | None = Field(default=None, ge=100, le=599)
    """Of the answer over HTTP."""
    tenant: Token | None = None
    """Whose principal it is."""
    address: str | None = Field(default=None, max_length=64)
    """From where it was asked for."""
    request_id: Token | None = None
