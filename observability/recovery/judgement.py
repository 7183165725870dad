"""What was judged of one rung, before it is told as a decision."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from contracts.diagnoses import Diagnosis, Evidence, RecommendedAction
from contracts.identifiers import derived_id
from contracts.recovery import LONGEST_EVIDENCE, Mode, RecoveryDecision, Safeguard, Target, Verdict
from observability.recovery.past import Past
from observability.recovery.proposal import Case, Objection, Proposal, Then

MOST_TOLD: Final = 100
"""Decisions about one target of a rung in one incident: what changes back and forth for longer is not told any more."""
OBSERVER: Final = "observer"
MOST_TEXT: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """Of a rung, on a target, or of the ladder as a whole."""

    rung: int
    action: RecommendedAction
    mode: Mode
    verdict: Verdict
    why: str
    target: Target | None = None
    safeguard: Safeguard | None = None
    next_at: datetime | None = None

    @classmethod
    def of(cls, proposal: Proposal, verdict: Verdict, why: str, *, next_at: datetime | None = None) -> Judgement:
        step = proposal.step
        return cls(
            rung=proposal.rung,
            action=step.action,
            mode=step.mode,
            verdict=verdict,
            why=why,
            target=proposal.target,
            next_at=next_at,
        )

    @classmethod
    def withheld(cls, proposal: Proposal, objection: Objection) -> Judgement:
        held = cls.of(proposal, Verdict.WITHHELD, _sentence(proposal.action, objection), next_at=objection.until)
        return replace(held, safeguard=objection.safeguard)

    @classmethod
    def call(cls, rung: int, why: str, *, mode: Mode = Mode.AUTO) -> Judgement:
        """A person has to see to it."""
        action = RecommendedAction.CALL_PERSON
        return cls(rung=rung, action=action, mode=mode, verdict=Verdict.CALL_PERSON, why=why)

    def decision(self, case: Case, past: Past, *, token: int) -> RecoveryDecision | None:
        """As it is told; None: it was told already, and nothing has changed since.

        Its id counts how often the same was told before, so that whoever has the same past tells it under the same one.
        """
        told = self.told(case.incident, past)
        if self.verdict is not Verdict.ACT and told and (self._is_as(told[-1]) or len(told) >= MOST_TOLD):
            return None
        diagnosis = case.diagnosis
        return RecoveryDecision(
            id=self._id(case.incident, sum(self._is_as(each) for each in told)),
            incident=case.incident,
            fingerprint=diagnosis.fingerprint,
            cause=diagnosis.cause,
            summary=diagnosis.summary[:MOST_TEXT],
            confidence=diagnosis.confidence,
            action=self.action,
            rung=self.rung,
            target=self.target,
            mode=self.mode,
            verdict=self.verdict,
            safeguard=self.safeguard,
            why=self.why[:MOST_TEXT],
            evidence=_newest_first(diagnosis)[:LONGEST_EVIDENCE],
            token=token,
            next_at=self.next_at,
            returns=case.returns,
            created_at=case.now,
            principal=OBSERVER,
        )

    def told(self, incident: str, past: Past) -> list[RecoveryDecision]:
        """What was told about the same rung and target, oldest first."""
        return [
            each
            for each in past.decisions(incident)
            if each.rung == self.rung and (each.target and each.target.key) == (self.target and self.target.key)
        ]

    def _is_as(self, told: RecoveryDecision) -> bool:
        return (told.verdict, told.safeguard) == (self.verdict, self.safeguard)

    def _id(self, incident: str, turn: int) -> str:
        target = "" if self.target is None else self.target.key
        safeguard = "" if self.safeguard is None else self.safeguard.value
        parts = (self.action.value, target, self.verdict.value, safeguard)
        return derived_id("decision", incident, str(self.rung), *parts, str(turn))


def _newest_first(diagnosis: Diagnosis) -> tuple[Evidence, ...]:
    return tuple(sorted(diagnosis.evidence, key=lambda each: (-each.at.timestamp(), each.what, each.source)))


def _sentence(action: RecommendedAction, objection: Objection) -> str:
    again = f"at {objection.until.astimezone(UTC):%H:%M:%S} UTC" if objection.until else "at the next look"
    then = {
        Then.WAIT: f"it is looked at again {again}",
        Then.NEXT_RUNG: "the next rung is looked at",
        Then.CALL_PERSON: "a person is called",
    }[objection.then]
    return f"{action.value} is withheld: {objection.why[: MOST_TEXT - 200]}; {then}."
