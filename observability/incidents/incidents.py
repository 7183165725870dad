"""Incidents out of what is known."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from contracts.diagnoses import Cause
from contracts.incidents import MOST_ENTRIES, MOST_INCIDENTS, IncidentSummary, IncidentView
from contracts.recovery import CommandOutcome
from observability.incidents.case import Case
from observability.incidents.cases import cases, neighbours, take_alerts
from observability.incidents.matching import described, is_of_all
from observability.incidents.material import Facts, Material
from observability.incidents.standing import ended_at, repaired_at, standing
from observability.incidents.timeline import timeline


def incidents(material: Material) -> list[IncidentSummary]:
    """All of them, newest first, at most `MOST_INCIDENTS`. Alerts that no cause explains are in none."""
    facts = Facts.of(material)
    found = cases(facts)[-MOST_INCIDENTS:]
    take_alerts(found, facts.alerts)
    return [IncidentSummary(**_summary(case, *case.named)) for case in reversed(found) if case.named is not None]


def incident(material: Material, id: str) -> IncidentView | None:
    """One of them with its timeline; None: it is not among what is known."""
    facts = Facts.of(material)
    found = cases(facts)
    for case in found:
        if case.id == id and case.named is not None:
            take_alerts(neighbours(case, found), facts.alerts)
            lines = timeline(case)
            return IncidentView(
                **_summary(case, *case.named),
                timeline=tuple(lines[-MOST_ENTRIES:]),
                left_out=max(0, len(lines) - MOST_ENTRIES) + case.untaken,
            )
    return None


def _summary(case: Case, fingerprint: str, cause: Cause) -> dict[str, Any]:
    now = standing(case)
    summaries = [*(each.diagnosis.summary for each in case.episodes), *(each.summary for each in case.decisions)]
    return {
        "id": case.id,
        "fingerprint": fingerprint,
        "cause": cause,
        "subject": described(case.subjects[0]) if case.subjects else "",
        "summary": summaries[0] if summaries else case.verifications[0].detail,
        "began_at": min(_began(case)),
        "detected_at": min(_detected(case)),
        "acted_at": _acted(case),
        "repaired_at": repaired_at(case),
        "ended_at": ended_at(case),
        "actions": tuple(each.action for each in case.commands),
        **vars(now),
    }


def _began(case: Case) -> list[datetime]:
    own = [each.starts_at for each in case.alerts if not is_of_all(each)]
    return [*own, *(each.began_at for each in case.episodes), *case.events]


def _detected(case: Case) -> list[datetime]:
    firing = [each.created_at for each in case.alerts if each.is_firing and not is_of_all(each)]
    return [*firing, *(each.began_at for each in case.episodes), *case.events]


def _acted(case: Case) -> datetime | None:
    """When the first action began that was done, or may have been; before its result, when it was ordered."""
    refused = {each.id for each in case.results if each.outcome is CommandOutcome.REFUSED}
    began = [each.began_at for each in case.results if each.id not in refused]
    ordered = [each.created_at for each in case.commands if each.id not in refused]
    return min(began, default=None) or min(ordered, default=None)
