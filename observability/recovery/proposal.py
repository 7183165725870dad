"""One action against one cause, before it is decided; and what stands against it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from contracts.diagnoses import Cause, Diagnosis, RecommendedAction
from contracts.identifiers import derived_id
from contracts.incidents import incident_id
from contracts.recovery import Safeguard, Target
from observability.recovery.policy import Rung


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A root, the diagnoses beside it that tell of the same trouble, and the incident that it belongs to."""

    diagnosis: Diagnosis
    related: tuple[Diagnosis, ...] = ()
    began_at: datetime
    now: datetime
    returns: str | None = None
    """The decision that is taken back, where the cause is over; then that is an incident of its own."""

    @property
    def cause(self) -> Cause:
        return self.diagnosis.cause

    @property
    def incident(self) -> str:
        if self.returns is not None:
            return derived_id("return", self.returns)
        return incident_id(self.diagnosis.fingerprint, self.began_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """The rung of a ladder, on one target."""

    case: Case
    rung: int
    step: Rung
    target: Target

    @property
    def action(self) -> RecommendedAction:
        return self.step.action

    @property
    def now(self) -> datetime:
        return self.case.now

    @property
    def is_return(self) -> bool:
        return self.case.returns is not None


class Then(StrEnum):
    """What follows from an objection."""

    WAIT = "wait"
    """It is looked at again."""
    NEXT_RUNG = "next_rung"
    """It would not help: the next rung may."""
    CALL_PERSON = "call_person"


@dataclass(frozen=True, slots=True, kw_only=True)
class Objection:
    """Why an action must not be. `until`: when it may be looked at again, where that is known."""

    safeguard: Safeguard
    why: str
    until: datetime | None = None
    then: Then = Then.WAIT
