"""What people are shown of incidents."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from textwrap import shorten
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cli.figure_tables import number
from cli.moments import shown
from cli.output import ago, counted, duration, table
from contracts.diagnoses import Evidence
from contracts.incidents import EntryKind, IncidentState, IncidentSummary, IncidentView, TimelineEntry

_STATES: Final = {
    IncidentState.FOUND: "red",
    IncidentState.ACTING: "yellow",
    IncidentState.AWAITING_APPROVAL: "bold yellow",
    IncidentState.WITHHELD: "yellow",
    IncidentState.WATCHED: "cyan",
    IncidentState.PERSON_CALLED: "bold red",
    IncidentState.RECOVERED: "green",
    IncidentState.PASSED: "green",
}
_KINDS: Final = {
    EntryKind.ALERT: "red",
    EntryKind.DIAGNOSIS: "magenta",
    EntryKind.DECISION: "cyan",
    EntryKind.APPROVAL: "bold cyan",
    EntryKind.ACTION: "yellow",
    EntryKind.RESULT: "yellow",
    EntryKind.VERIFICATION: "green",
}
_LONGEST_NEXT: Final = 200
"""In a list: characters."""
_AFTER: Final = frozenset({"found", "acted", "repaired", "after"})


def incidents_table(incidents: Iterable[IncidentSummary]) -> Table:
    """In the order given; how long after its beginning each was found, acted upon and repaired."""
    rows = table(
        "began", "state", "what", "found", "acted", "repaired", "id", right=_AFTER, whole=frozenset({"began", "id"})
    )
    for each in incidents:
        rows.add_row(
            shown(each.began_at),
            _state(each),
            f"{_words(each.cause)} of {each.subject}"
            + ("" if each.state.is_over else f"\n{shorten(each.next, _LONGEST_NEXT, placeholder=' …')}"),
            elapsed(each.began_at, each.detected_at),
            elapsed(each.began_at, each.acted_at),
            elapsed(each.began_at, each.repaired_at),
            each.id,
        )
    return rows


def story(incident: IncidentView, *, now: datetime) -> RenderableType:
    """One incident whole: what it is, when what happened, and what comes next."""
    head = Text.assemble((_words(incident.cause), "bold"), f" of {incident.subject}: ", _state(incident))
    further = [Text(f"  … {counted(incident.left_out, 'earlier line')} left out", "dim")] if incident.left_out else []
    return Group(
        head, Text(incident.summary), "", _times(incident, now), _next(incident, now), "", *further, _timeline(incident)
    )


def captured(incident: IncidentView) -> RenderableType:
    """What was kept of targets before something was done to them."""
    kept = [entry for entry in incident.timeline if entry.captured]
    if not kept:
        return Text("Nothing was captured.", "dim")
    parts: list[RenderableType] = []
    for entry in kept:
        parts += ["", Text(f"Captured before {entry.id} ({shown(entry.at)}):", "bold"), Text(entry.captured)]
    return Group(*parts)


def elapsed(began: datetime, at: datetime | None) -> str:
    """`+1:05` after a minute and five seconds."""
    if at is None:
        return ""
    seconds = max(0, round((at - began).total_seconds()))
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"+{hours}:{minutes:02}:{seconds:02}" if hours else f"+{minutes}:{seconds:02}"


def _times(incident: IncidentView, now: datetime) -> Table:
    rows = table("", "", "")
    rows.show_header = False
    for name, at in (
        ("began", incident.began_at),
        ("detected", incident.detected_at),
        ("acted", incident.acted_at),
        ("repaired", incident.repaired_at),
    ):
        after = ago(at, now=now) if name == "began" else elapsed(incident.began_at, at)
        rows.add_row(Text(name, "bold"), shown(at) or "not", after)
    return rows


def _next(incident: IncidentView, now: datetime) -> Text:
    left_s = 0.0 if incident.next_at is None else (incident.next_at - now).total_seconds()
    return Text.assemble(("next      ", "bold"), incident.next, f" (in {duration(left_s)})" if left_s > 0 else "")


def _timeline(incident: IncidentView) -> Table:
    rows = table("after", "at", "", "what", "by", right=_AFTER, whole=frozenset({"at"}))
    for entry in incident.timeline:
        rows.add_row(
            elapsed(incident.began_at, entry.at),
            shown(entry.at),
            Text(entry.kind.value, _KINDS[entry.kind]),
            _said(entry),
            entry.by,
        )
    return rows


def _said(entry: TimelineEntry) -> Text:
    said = Text(entry.said)
    if entry.captured:
        said.append(f" ({counted(len(entry.captured.encode()), 'byte')} captured before: --captured)", "dim")
    if entry.kind is EntryKind.DIAGNOSIS:
        for each in entry.evidence:
            said.append(f"\n{_seen(each)}", "dim")
    return said


def _seen(evidence: Evidence) -> str:
    value, threshold = number(evidence.value, evidence.unit), number(evidence.threshold, evidence.unit)
    return evidence.what + (f": {value}" if value else "") + (f" (threshold {threshold})" if threshold else "")


def _state(incident: IncidentSummary) -> Text:
    return Text(_words(incident.state), _STATES[incident.state])


def _words(name: str) -> str:
    return name.replace("_", " ")
