"""Which events belong to the same incident."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Final, TypeAlias

from contracts.alerts import AlertEvent
from contracts.diagnoses import Cause, EpisodeView, Subject
from contracts.incidents import incident_id
from contracts.recovery import (
    RecoveryApproval,
    RecoveryCommand,
    RecoveryDecision,
    RecoveryResult,
    RecoveryVerification,
)
from observability.incidents.matching import is_of, subject_of
from observability.incidents.material import Facts

SLACK: Final = timedelta(minutes=1)
"""An episode is told as over after a minute without its cause, and what is decided about it may come by then."""
LEAD: Final = timedelta(minutes=10)
"""An alert may begin so long before its cause is found, and still be of it."""
MOST_ALERTS: Final = 1_000
"""Of one incident: the first, which tell when it began."""
Span: TypeAlias = tuple[datetime, datetime]
_ALWAYS: Final = datetime.max.replace(tzinfo=UTC)


@dataclass(slots=True)
class Case:
    """All that belongs to one incident."""

    id: str
    episodes: list[EpisodeView] = field(default_factory=list)
    consequences: list[EpisodeView] = field(default_factory=list)
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
        ends = [*self.events, *(each.ended_at or _ALWAYS for each in self.episodes)]
        return min(begins), max(ends)


def cases(facts: Facts, *, most: int) -> list[Case]:
    """The newest cases that have a cause, by when they began; `take_alerts` adds their alerts."""
    found = _recorded(facts)
    _take_episodes(found, [each for each in facts.episodes if each.diagnosis.is_root])
    _take_consequences(found, [each for each in facts.episodes if not each.diagnosis.is_root])
    return sorted((case for case in found.values() if case.named), key=lambda case: (case.span[0], case.id))[-most:]


def take_alerts(known: Iterable[Case], alerts: Sequence[AlertEvent]) -> None:
    """An alert is of every case that it fits, and that it was not over long before."""
    by_start = sorted(alerts, key=lambda alert: alert.starts_at)
    ends = {(each.fingerprint, each.starts_at): each.created_at for each in alerts if not each.is_firing}
    for case in known:
        subjects, (began, ended) = case.subjects, case.span
        first = bisect_left(by_start, began - LEAD, key=lambda alert: alert.starts_at)
        last = ended if ended == _ALWAYS else ended + SLACK
        for alert in islice(by_start, first, bisect_right(by_start, last, key=lambda alert: alert.starts_at)):
            was_over = ends.get((alert.fingerprint, alert.starts_at), _ALWAYS) < began - SLACK
            if not was_over and is_of(alert, subjects):
                case.take(alert)


def _recorded(facts: Facts) -> dict[str, Case]:
    found: dict[str, Case] = {}

    def case(incident: str) -> Case:
        return found.setdefault(incident, Case(incident))

    for decision in facts.decisions:
        case(decision.incident).decisions.append(decision)
    for command in facts.commands:
        case(command.incident).commands.append(command)
    for result in facts.results:
        case(result.incident).results.append(result)
    for verification in facts.verifications:
        case(verification.incident).verifications.append(verification)
    for approval in facts.approvals:
        asked = facts.by_decision.get(approval.decision)
        incident = approval.incident or (asked.incident if asked else None)
        if incident is not None:
            case(incident).approvals.append(approval)
    return found


def _take_episodes(found: dict[str, Case], episodes: Iterable[EpisodeView]) -> None:
    """An episode is of the case that has its id, else of the first of its cause that goes on at the same time, else a case."""
    recorded = _by_fingerprint(found.values())
    for episode in episodes:
        id = incident_id(episode.diagnosis.fingerprint, episode.began_at)
        same = [case for case, span in recorded[episode.diagnosis.fingerprint] if _overlaps(episode, *span)]
        case = found.get(id) or next(iter(same), None)
        if case is None:
            case = found[id] = Case(id)
        case.episodes.append(episode)


def _take_consequences(found: dict[str, Case], episodes: Iterable[EpisodeView]) -> None:
    """A consequence is of every case that it comes from; one whose root was not read is a case."""
    roots = _by_fingerprint(found.values())
    for episode in episodes:
        of = [
            case
            for fingerprint in episode.diagnosis.impacted_by
            for case, span in roots[fingerprint]
            if _overlaps(episode, *span)
        ]
        for case in of:
            case.consequences.append(episode)
        if not of:
            id = incident_id(episode.diagnosis.fingerprint, episode.began_at)
            found.setdefault(id, Case(id)).episodes.append(episode)


def _by_fingerprint(found: Iterable[Case]) -> dict[str, list[tuple[Case, Span]]]:
    """The cases of each cause with their spans, by when they began."""
    grouped = defaultdict[str, list[tuple[Case, Span]]](list)
    for case in found:
        if case.named is not None:
            grouped[case.named[0]].append((case, case.span))
    for cases_of in grouped.values():
        cases_of.sort(key=lambda each: (each[1], each[0].id))
    return grouped


def _overlaps(episode: EpisodeView, began: datetime, ended: datetime) -> bool:
    over = episode.ended_at
    starts_in_time = ended == _ALWAYS or episode.began_at <= ended + SLACK
    return starts_in_time and (over is None or over >= began - SLACK)
