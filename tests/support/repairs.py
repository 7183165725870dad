"""A repair as the system would tell of it: one dead worker, found, restarted and well again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from contracts.alerts import AlertEvent
from contracts.diagnoses import Cause, Diagnosis, EpisodeView, Evidence, RecommendedAction, Subject
from contracts.incidents import incident_id
from contracts.recovery import (
    CommandOutcome,
    Mode,
    RecoveryApproval,
    RecoveryCommand,
    RecoveryDecision,
    RecoveryResult,
    RecoveryVerification,
    Safeguard,
    Target,
    TargetKind,
    Verdict,
    Verified,
)

BEGAN = datetime(2026, 1, 31, 12, tzinfo=UTC)
SUBJECT = Subject(component="embed", service="embed", instance="embed-1")
CAUSE = Cause.SERVICE_UNAVAILABLE
FINGERPRINT = SUBJECT.fingerprint(CAUSE)
INCIDENT = incident_id(FINGERPRINT, BEGAN + timedelta(seconds=5))
TARGET = Target(kind=TargetKind.INSTANCE, name="embed-1", service="embed")
LABELS = {"alertname": "InstanceDead", "severity": "critical", "service": "embed", "instance": "embed-1"}


def at(seconds: float) -> datetime:
    """So long after the worker died."""
    return BEGAN + timedelta(seconds=seconds)


def alert(*, ends: float | None = None, labels: dict[str, str] | None = None, starts: float = 0) -> AlertEvent:
    event = AlertEvent.of(
        labels or LABELS,
        starts_at=at(starts),
        ends_at=None if ends is None else at(ends),
        annotations={"summary": "embed-1 is silent"},
    )
    return event.model_copy(update={"created_at": at(starts + 1 if ends is None else ends)})


def diagnosis(subject: Subject = SUBJECT, cause: Cause = CAUSE, **more: Any) -> Diagnosis:
    return Diagnosis(
        fingerprint=subject.fingerprint(cause),
        cause=cause,
        subject=subject,
        summary="embed-1 has missed 3 heartbeats",
        confidence=0.9,
        evidence=(evidence(),),
        actions=(RecommendedAction.RESTART_SERVICE,),
        at=at(5),
        **more,
    )


def evidence() -> Evidence:
    return Evidence(what="age of the last heartbeat", value=10.0, threshold=9.0, unit="s", at=at(5))


def episode(*, began: float = 5, last: float = 30, ended: float | None = None, **more: Any) -> EpisodeView:
    return EpisodeView(
        began_at=at(began),
        last_seen_at=at(last),
        ended_at=None if ended is None else at(ended),
        diagnosis=diagnosis(**more),
    )


def decision(verdict: Verdict = Verdict.ACT, *, seconds: float = 10, **more: Any) -> RecoveryDecision:
    told: dict[str, Any] = {
        "id": f"d-{verdict.value}-{seconds:g}",
        "incident": INCIDENT,
        "fingerprint": FINGERPRINT,
        "cause": CAUSE,
        "summary": "embed-1 has missed 3 heartbeats",
        "confidence": 0.9,
        "action": RecommendedAction.RESTART_SERVICE,
        "rung": 0,
        "target": TARGET,
        "mode": Mode.AUTO,
        "verdict": verdict,
        "safeguard": Safeguard.COOLDOWN if verdict is Verdict.WITHHELD else None,
        "why": "it is silent, and work waits for it",
        "evidence": (evidence(),),
        "token": 7,
        "created_at": at(seconds),
        "principal": "observer-1",
    }
    return RecoveryDecision(**{**told, **more})


def command(*, seconds: float = 11, **more: Any) -> RecoveryCommand:
    told: dict[str, Any] = {
        "id": "c-1",
        "decision": "d-act-10",
        "incident": INCIDENT,
        "action": RecommendedAction.RESTART_SERVICE,
        "target": TARGET,
        "reason": "it is silent, and work waits for it",
        "token": 7,
        "expires_at": at(seconds + 30),
        "evidence_at": at(5),
        "created_at": at(seconds),
        "principal": "observer-1",
        "signature": "0" * 64,
    }
    return RecoveryCommand(**{**told, **more})


def result(outcome: CommandOutcome = CommandOutcome.DONE, *, seconds: float = 14, **more: Any) -> RecoveryResult:
    told: dict[str, Any] = {
        "id": "c-1",
        "decision": "d-act-10",
        "incident": INCIDENT,
        "action": RecommendedAction.RESTART_SERVICE,
        "target": TARGET,
        "outcome": outcome,
        "detail": "embed-1 was started again",
        "captured": "the last line of its log",
        "began_at": at(seconds - 2),
        "token": 7,
        "created_at": at(seconds),
        "principal": "operator-1",
    }
    return RecoveryResult(**{**told, **more})


def verification(verified: Verified = Verified.RECOVERED, *, seconds: float = 40, **more: Any) -> RecoveryVerification:
    told: dict[str, Any] = {
        "id": f"v-{verified.value}-{seconds:g}",
        "incident": INCIDENT,
        "command": "c-1",
        "cause": CAUSE,
        "fingerprint": FINGERPRINT,
        "verified": verified,
        "detail": "embed-1 has beaten for 20 s",
        "token": 7,
        "created_at": at(seconds),
        "principal": "observer-1",
    }
    return RecoveryVerification(**{**told, **more})


def approval(*, approved: bool = True, seconds: float = 20, **more: Any) -> RecoveryApproval:
    told: dict[str, Any] = {
        "decision": "d-await_approval-10",
        "incident": INCIDENT,
        "approved": approved,
        "reason": "looked at it",
        "created_at": at(seconds),
        "principal": "ann",
    }
    return RecoveryApproval(**{**told, **more})
