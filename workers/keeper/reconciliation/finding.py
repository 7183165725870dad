"""Something that is amiss, with what can be done about it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from contracts.declarations import HOUR, MINUTE
from contracts.identifiers import DEFAULT_TENANT
from contracts.reconciliation import Remedy


async def left_alone() -> None:
    """The remedy of what only a person can mend."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is amiss. `subject` names it, `reason` says why it is, `apply` is its remedy.

    A remedy bears repetition, checks what it destroys against the ledger, and may come too late: then it does nothing.
    """

    remedy: Remedy
    subject: str
    reason: str
    tenant: str = DEFAULT_TENANT
    document_id: str | None = None
    generation: str | None = None
    count: int = 1
    apply: Callable[[], Awaitable[object]] = field(default=left_alone, compare=False, repr=False)

    @property
    def key(self) -> tuple[Remedy, str, str]:
        """The same for what is found again."""
        return self.remedy, self.tenant, self.subject


class Look(Protocol):
    """One kind of thing that can be amiss."""

    @property
    def name(self) -> str: ...

    @property
    def interval_s(self) -> float: ...

    async def find(self) -> Sequence[Finding]:
        """What is amiss now, at most `MOST_FINDINGS`. Raises `TransientError` when it cannot be told."""
        ...


MOST_FINDINGS = 200
"""Of one look: the rest is found next time, when these are done with."""


@dataclass(frozen=True, kw_only=True)
class Rhythm:
    """How often is looked, and how long things may be as they are, in seconds."""

    pause_s: float = MINUTE
    """Between looks at documents, messages and letters."""
    index_pause_s: float = 10 * MINUTE
    uploads_pause_s: float = HOUR
    settled_s: float = MINUTE
    """What changed within this time is taken to be under way: every write that belongs together is done by then."""
    orphaned_s: float = HOUR
    """An upload that belongs to nothing is left alone for so long: a slow sender may still be about to finish it."""
    confirm_s: float = 2.0
    """What is amiss must still be so after this time before anything is done."""

    @property
    def settled(self) -> timedelta:
        return timedelta(seconds=self.settled_s)

    @property
    def orphaned(self) -> timedelta:
        return timedelta(seconds=self.orphaned_s)
