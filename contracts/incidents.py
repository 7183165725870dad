"""Incidents as they are shown: all that was seen of one trouble and done about it, in one story."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from pydantic import AwareDatetime, Field

from contracts.diagnoses import Cause, Evidence, RecommendedAction
from contracts.identifiers import derived_id
from contracts.recovery import Safeguard
from contracts.views import View

MOST_INCIDENTS: Final = 500
"""That are told of for one span: the newest."""
MOST_ENTRIES: Final = 500
"""Of one timeline: the newest."""


def incident_id(fingerprint: str, began_at: datetime) -> str:
    """The id of the incident that an episode of a cause is, the same whoever makes it."""
    return derived_id("incident", fingerprint, began_at.astimezone(UTC).isoformat(timespec="microseconds"))


class IncidentState(StrEnum):
    """Where an incident stands."""

    FOUND = "found"
    """Nothing was decided about it yet."""
    ACTING = "acting"
    """Something is being done, or was, and whether it helped is not known yet."""
    AWAITING_APPROVAL = "awaiting_approval"
    WITHHELD = "withheld"
    """A safeguard forbids what would be done."""
    WATCHED = "watched"
    """The policy lets the system only look, or only say what it would do."""
    PERSON_CALLED = "person_called"
    """The system does no more about it."""
    RECOVERED = "recovered"
    PASSED = "passed"
    """The cause is not found any more, and nothing verified why."""

    @property
    def is_over(self) -> bool:
        return self in {IncidentState.RECOVERED, IncidentState.PASSED}


class EntryKind(StrEnum):
    """What a line of a timeline tells of, in the order in which things of the same moment are told."""

    ALERT = "alert"
    DIAGNOSIS = "diagnosis"
    VERIFICATION = "verification"
    DECISION = "decision"
    APPROVAL = "approval"
    ACTION = "action"
    RESULT = "result"


class TimelineEntry(View):
    """Something that happened. `said` is a whole sentence; `id` is that of the event, alert or diagnosis."""

    at: AwareDatetime
    kind: EntryKind
    said: str
    id: str
    by: str = ""
    """Who caused it, where that is told."""
    evidence: tuple[Evidence, ...] = ()
    captured: str = ""
    """What was kept of the target before it was acted upon."""


class IncidentSummary(View):
    """An incident in a few lines; times that are None have not come, or are not known."""

    id: str
    fingerprint: str
    cause: Cause
    subject: str
    """What it is of, in words."""
    summary: str
    state: IncidentState
    began_at: AwareDatetime
    """When the first alert or diagnosis of it began."""
    detected_at: AwareDatetime
    """When the system first knew of it."""
    acted_at: AwareDatetime | None = None
    repaired_at: AwareDatetime | None = None
    """When it was verified that it is well again."""
    ended_at: AwareDatetime | None = None
    """When it was repaired, or its cause was last found."""
    actions: tuple[RecommendedAction, ...] = ()
    """That were ordered, in this order."""
    next: str
    """What comes next, or why nothing does, in a sentence."""
    next_at: AwareDatetime | None = None
    waits_for: str | None = None
    """The decision that waits for a person's answer."""
    held_by: Safeguard | None = None
    held_until: AwareDatetime | None = None


class IncidentView(IncidentSummary):
    """An incident whole; of a longer timeline the oldest entries are left out."""

    timeline: tuple[TimelineEntry, ...]
    left_out: int = Field(default=0, ge=0)


class IncidentsView(View):
    """A page, newest first; `next` is the cursor of the following one. Not `complete`: within the span there were more than
    `MOST_INCIDENTS`, or more to read than is read for one list; ask for a shorter one.
    """

    items: tuple[IncidentSummary, ...]
    next: str | None = None
    complete: bool = True
