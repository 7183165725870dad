"""Why a command is not carried out."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from contracts.errors import WaggleError


class Refusal(StrEnum):
    """By which rule; the only attribute of a refusal that is counted."""

    UNSIGNED = "unsigned"
    WRONG_SIGNATURE = "wrong_signature"
    MISADDRESSED = "misaddressed"
    EXPIRED = "expired"
    OLDER_TOKEN = "older_token"  # noqa: S105  (a fencing token is no secret)
    PAUSED = "paused"
    FORBIDDEN_TARGET = "forbidden_target"
    UNKNOWN_TARGET = "unknown_target"
    BLAST_RADIUS = "blast_radius"
    OUT_OF_BOUNDS = "out_of_bounds"
    CHANGED = "changed"
    """What the command rests on is so no more."""
    BUSY = "busy"
    """Other changes of the platform took too long."""
    NO_PLATFORM = "no_platform"
    NO_RECORD = "no_record"
    """What the operator remembers cannot be read."""


class RefusedError(WaggleError):
    """A rule forbids a command; nothing was done."""

    def __init__(self, refusal: Refusal, message: str) -> None:
        super().__init__(message)
        self.refusal = refusal


class BegunError(WaggleError):
    """The command was begun before, and how it ended is not known."""

    def __init__(self, message: str, *, began_at: datetime) -> None:
        super().__init__(message)
        self.began_at = began_at
