"""Whether what was done helped, and what went away by itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from contracts.diagnoses import DiagnosesView
from contracts.identifiers import derived_id
from contracts.incidents import incident_id
from contracts.recovery import CommandOutcome, RecoveryDecision, RecoveryVerification, Verified
from observability.recovery.checks import AFTER
from observability.recovery.judgement import OBSERVER
from observability.recovery.past import Action, Past, command_id
from observability.recovery.policy import Policy, Rung
from observability.recovery.returning import return_of
from observability.recovery.situation import Situation


@dataclass(frozen=True, slots=True)
class _Look:
    """What is seen of the cause of an incident at one moment."""

    sees: bool
    """Whether it could have been found."""
    there: bool
    last_seen_at: datetime
    at: datetime

    def gone_for(self, duration: timedelta, *, since: datetime) -> bool:
        """Whether evidence says so that is newer than what was done."""
        return self.sees and not self.there and self.at - max(since, self.last_seen_at) >= duration


class Verifier:
    """Looks at every incident that is not over. Like deciding it is pure."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    def verify(
        self, diagnoses: DiagnosesView, situation: Situation, past: Past, *, now: datetime, token: int
    ) -> list[RecoveryVerification]:
        """What has been found out since it was last told."""
        news = []
        for incident in past.incidents():
            decision = past.decisions(incident)[-1]
            look = self._look(decision, diagnoses, situation, now)
            waiting = next((act for act in past.of_incident(incident) if act.is_open), None)
            if decision.returns is not None and waiting is None:
                continue  # its cause is over; what was not done is still to be done
            if waiting is not None:
                known = not waiting.is_return or waiting.outcome is CommandOutcome.DONE
                found = self._helped(waiting, look, situation, now) if known else self._given_up(waiting, now)
            elif past.recovered_at(incident) is None and look.gone_for(
                self._policy.limits.healthy_for, since=decision.created_at
            ):
                acted = bool(past.of_incident(incident))
                found = Verified.RECOVERED, "The cause is gone." if acted else "The cause went away by itself."
            else:
                found = None
            if found is not None:
                news += self._told(decision, waiting, *found, past=past, now=now, token=token)
        return news

    def _look(self, decision: RecoveryDecision, diagnoses: DiagnosesView, situation: Situation, now: datetime) -> _Look:
        fresh = now - diagnoses.at <= self._policy.limits.evidence_age
        judged = decision.cause not in diagnoses.unjudged
        episode = situation.episodes.get(decision.fingerprint)
        mine = episode is not None and incident_id(decision.fingerprint, episode.began_at) == decision.incident
        return _Look(
            sees=situation.connected and situation.hears and fresh and judged,
            there=any(each.fingerprint == decision.fingerprint for each in diagnoses.items),
            last_seen_at=episode.last_seen_at if episode is not None and mine else decision.created_at,
            at=diagnoses.at,
        )

    def _helped(self, act: Action, look: _Look, situation: Situation, now: datetime) -> tuple[Verified, str] | None:
        """None: it is too early to tell."""
        step, done_at = self._step(act), self._done_at(act)
        failure = next((why for name in step.checked_after if (why := AFTER[name](act, situation)) is not None), None)
        if look.gone_for(step.healthy_for, since=done_at) and failure is None:
            return Verified.RECOVERED, f"The cause has been gone for {step.healthy_for.total_seconds():g} s."
        if now - done_at < step.verify_within:
            return None
        if not look.sees:
            return Verified.UNKNOWN, "Nothing newer is known of the cause."
        if look.there:
            return Verified.NOT_RECOVERED, "The cause is still there."
        if failure is not None:
            return Verified.NOT_RECOVERED, f"The cause is gone, but {failure}."
        return None  # it went lately, and has to stay away

    def _given_up(self, act: Action, now: datetime) -> tuple[Verified, str] | None:
        """Of a return that has no result, or one that does not tell: its cause says nothing about it."""
        if now - self._done_at(act) < self._step(act).verify_within:
            return None
        return Verified.NOT_RECOVERED, "Nobody knows whether it was done: it is tried again if it was not."

    def _step(self, act: Action) -> Rung:
        decision = act.decision
        step = (
            return_of(decision.cause, decision.action, self._policy)
            if act.is_return
            else self._policy.rung(decision.cause, decision.action)
        )
        return step or Rung(action=decision.action, mode=decision.mode)

    def _done_at(self, act: Action) -> datetime:
        """Without a result it may have been done until the order expired."""
        return act.at if act.outcome is not None else act.at + self._policy.limits.command_expires

    @staticmethod
    def _told(
        decision: RecoveryDecision,
        act: Action | None,
        verified: Verified,
        detail: str,
        *,
        past: Past,
        now: datetime,
        token: int,
    ) -> list[RecoveryVerification]:
        if act is not None and act.verified is verified:
            return []
        command = None if act is None else command_id(act.decision.id)
        turn = str(len(past.verifications(decision.incident)))
        return [
            RecoveryVerification(
                id=derived_id("verification", decision.incident, command or "", verified.value, turn),
                incident=decision.incident,
                command=command,
                cause=decision.cause,
                fingerprint=decision.fingerprint,
                verified=verified,
                detail=detail,
                token=token,
                created_at=now,
                principal=OBSERVER,
            )
        ]
