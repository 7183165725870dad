"""What incidents are made of: events as they are read, each of which counts once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Self, TypeVar

from contracts.alerts import AlertEvent
from contracts.diagnoses import EpisodeView
from contracts.message import Message
from contracts.recovery import (
    RecoveryApproval,
    RecoveryCommand,
    RecoveryDecision,
    RecoveryResult,
    RecoveryVerification,
    Verdict,
)
from contracts.recovery_views import RecoveryEvent

_PLACES: Final = {
    verdict: place
    for place, verdict in enumerate(
        (
            Verdict.OBSERVE,
            Verdict.WITHHELD,
            Verdict.DRY_RUN,
            Verdict.AWAIT_APPROVAL,
            Verdict.ACT,
            Verdict.CALL_PERSON,
        )
    )
}

M = TypeVar("M", bound=Message)


@dataclass(frozen=True, kw_only=True)
class Material:
    """Alerts, episodes of diagnoses, and the audit of repairs; repeats and any order are right."""

    alerts: Sequence[AlertEvent] = ()
    episodes: Sequence[EpisodeView] = ()
    repairs: Sequence[RecoveryEvent] = ()


@dataclass(frozen=True, kw_only=True)
class Facts:
    """The same, each thing once, in the order of time."""

    alerts: tuple[AlertEvent, ...]
    episodes: tuple[EpisodeView, ...]
    decisions: tuple[RecoveryDecision, ...]
    commands: tuple[RecoveryCommand, ...]
    results: tuple[RecoveryResult, ...]
    verifications: tuple[RecoveryVerification, ...]
    approvals: tuple[RecoveryApproval, ...]
    by_decision: dict[str, RecoveryDecision] = field(default_factory=dict)

    @classmethod
    def of(cls, material: Material) -> Self:
        decisions = tuple(
            sorted(_first(_only(RecoveryDecision, material.repairs), lambda each: each.id), key=_order_of_decisions)
        )
        return cls(
            alerts=_first(material.alerts, lambda each: each.id),
            episodes=_latest(material.episodes),
            decisions=decisions,
            commands=_first(_only(RecoveryCommand, material.repairs), lambda each: each.id),
            results=_first(_only(RecoveryResult, material.repairs), lambda each: each.id),
            verifications=_first(_only(RecoveryVerification, material.repairs), lambda each: each.id),
            approvals=_first(_only(RecoveryApproval, material.repairs), lambda each: each.decision),
            by_decision={each.id: each for each in decisions},
        )


def _only(kind: type[M], events: Iterable[RecoveryEvent]) -> list[M]:
    return [event for event in events if isinstance(event, kind)]


def _first(events: Iterable[M], id_of: Callable[[M], str]) -> tuple[M, ...]:
    """The first of each id: the first result and the first answer count."""
    found: dict[str, M] = {}
    for event in sorted(events, key=lambda event: (event.created_at, event.to_bytes())):
        found.setdefault(id_of(event), event)
    return tuple(found.values())


def _order_of_decisions(decision: RecoveryDecision) -> tuple[datetime, int, int]:
    """Of one moment there may be several: what stands in the way of a rung comes before what is done instead."""
    return decision.created_at, decision.rung, _PLACES[decision.verdict]


def _latest(episodes: Iterable[EpisodeView]) -> tuple[EpisodeView, ...]:
    """Each episode as it was told last, by when it began."""
    ordered = sorted(episodes, key=lambda each: (each.last_seen_at, each.ended_at is not None, each.model_dump_json()))
    newest = {(each.began_at, each.diagnosis.fingerprint): each for each in ordered}
    return tuple(newest[key] for key in sorted(newest))
