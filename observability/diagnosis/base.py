"""What looks for a cause, and what it finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from contracts.diagnoses import Cause, Evidence, Subject
from observability.diagnosis.signals import Signals


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A cause that seems to be there, of which it is not told yet whether something else is behind it.

    `through` are components by which it may come about besides its own: what is wrong with a question may be so in any
    service that works on it.
    """

    cause: Cause
    subject: Subject
    summary: str
    confidence: float
    evidence: tuple[Evidence, ...]
    through: frozenset[str] = frozenset()

    @property
    def fingerprint(self) -> str:
        return self.subject.fingerprint(self.cause)


class Detector(Protocol):
    """Looks for one cause."""

    @property
    def cause(self) -> Cause: ...

    def find(self, signals: Signals) -> list[Finding]:
        """What there is of it; nothing without recent data that says so. Raises `EvaluationError` when that cannot be told."""
        ...
