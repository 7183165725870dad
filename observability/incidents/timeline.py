"""All that belongs to an incident, as lines in the order of time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from contracts.alerts import AlertEvent
from contracts.diagnoses import EpisodeView
from contracts.incidents import EntryKind, TimelineEntry
from observability.incidents import sentences
from observability.incidents.case import Case

_RANKS: Final = {kind: rank for rank, kind in enumerate(EntryKind)}


def timeline(case: Case) -> list[TimelineEntry]:
    """Every entry; those of one moment as one brings about the other."""
    entries = [*_seen(case), *_done(case)]
    return sorted(entries, key=lambda entry: (entry.at, _RANKS[entry.kind]))  # else as they were told


def _seen(case: Case) -> Iterator[TimelineEntry]:
    for alert in case.alerts:
        yield _alert(alert)
    for episode in case.episodes:
        yield from _diagnosis(episode, consequence=not episode.diagnosis.is_root)
    for episode in case.consequences:
        yield from _diagnosis(episode, consequence=True)


def _done(case: Case) -> Iterator[TimelineEntry]:
    for decision in case.decisions:
        yield TimelineEntry(
            at=decision.created_at,
            kind=EntryKind.DECISION,
            said=sentences.of_decision(decision),
            id=decision.id,
            by=decision.principal,
            evidence=decision.evidence,
        )
    for approval in case.approvals:
        said = sentences.of_approval(approval)
        yield TimelineEntry(
            at=approval.created_at, kind=EntryKind.APPROVAL, said=said, id=approval.decision, by=approval.by
        )
    for command in case.commands:
        said = sentences.of_command(command)
        yield TimelineEntry(
            at=command.created_at, kind=EntryKind.ACTION, said=said, id=command.id, by=command.principal
        )
    for result in case.results:
        yield TimelineEntry(
            at=result.created_at,
            kind=EntryKind.RESULT,
            said=sentences.of_result(result),
            id=result.id,
            by=result.principal,
            captured=result.captured,
        )
    for verification in case.verifications:
        yield TimelineEntry(
            at=verification.created_at,
            kind=EntryKind.VERIFICATION,
            said=sentences.of_verification(verification),
            id=verification.id,
            by=verification.principal,
        )


def _alert(alert: AlertEvent) -> TimelineEntry:
    at = alert.starts_at if alert.ends_at is None else alert.ends_at
    return TimelineEntry(at=at, kind=EntryKind.ALERT, said=sentences.of_alert(alert), id=alert.fingerprint)


def _diagnosis(episode: EpisodeView, *, consequence: bool) -> Iterator[TimelineEntry]:
    item = episode.diagnosis
    yield TimelineEntry(
        at=episode.began_at,
        kind=EntryKind.DIAGNOSIS,
        said=sentences.of_diagnosis(episode, consequence=consequence),
        id=item.fingerprint,
        evidence=item.evidence,
    )
    if episode.ended_at is not None:
        yield TimelineEntry(
            at=episode.ended_at, kind=EntryKind.DIAGNOSIS, said=sentences.of_end(episode), id=item.fingerprint
        )
