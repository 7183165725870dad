"""All that belongs to one incident."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, TypeAlias

from contracts.alerts import AlertEvent
from contracts.diagnoses import Cause, EpisodeView, Subject
from contracts.recovery import (
    RecoveryApproval,
    RecoveryCommand,
    RecoveryDecision,
    RecoveryResult,
    RecoveryVerification,
)
from observability.incidents.matching import subject_of

MOST_ALERTS: Final = 1_000
"""Of one incident: the first, which tell when it began."""
Span: TypeAlias = tuple[datetime, datetime]
ALWAYS: Final = datetime.max.replace(tzinfo=UTC)
"""When what goes on ends."""


@dataclass(slots=True)
class Case:
    """All that belongs to one incident."""

    id: str
    episodes: list[EpisodeView] = field(default_factory=list)
    consequences: list[EpisodeView] = field(default_factory=list)
    affected: list[Subject] = field(default_factory=list)
    """Of consequences that are told in an earlier case, and went on in this one."""
    alerts: list[AlertEvent] = field(default_factory=list)
    decisions: list[RecoveryDecision] = field(default_factory=list)
    approvals: list[RecoveryApproval] = field(default_factory=list)
    commands: list[RecoveryCommand] = field(default_factory=list)
    results: list[RecoveryResult] = field(default_factory=list)
    verifications: list[RecoveryVerification] = field(default_factory=list)

    untaken: int = 0
    """Alerts beyond the bound."""

    def take(self, alert: AlertEvent) -> None:
        if len(self.alerts) < MOST_ALERTS:
            self.alerts.append(alert)
        else:
            self.untaken += 1

    @property
    def named(self) -> tuple[str, Cause] | None:
        """Fingerprint and cause; None where nothing that was read tells them."""
        if self.episodes:
            return self.episodes[0].diagnosis.fingerprint, self.episodes[0].diagnosis.cause
        if self.decisions:
            return self.decisions[0].fingerprint, self.decisions[0].cause
        if self.verifications:
            return self.verifications[0].fingerprint, self.verifications[0].cause
        return None

    @property
    def subjects(self) -> list[Subject]:
        found = [each.diagnosis.subject for each in (*self.episodes, *self.consequences)]
        found += [subject_of(each.target) for each in self.decisions if each.target is not None]
        found += self.affected
        return list(dict.fromkeys(found))

    @property
    def events(self) -> list[datetime]:
        """When what was recorded of it happened."""
        groups = (self.decisions, self.approvals, self.commands, self.results, self.verifications)
        return [event.created_at for group in groups for event in group]

    @property
    def span(self) -> Span:
        """From its first diagnosis or event to its last; without end while it goes on."""
        begins = [*self.events, *(each.began_at for each in self.episodes)]
        ends = [*self.events, *(each.ended_at or ALWAYS for each in self.episodes)]
        return min(begins), max(ends)
