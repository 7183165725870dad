"""What people are shown of diagnoses and their history."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cli.figure_tables import number
from cli.moments import shown
from cli.output import duration, table
from contracts.diagnoses import DiagnosesView, Diagnosis, EpisodeView, Evidence

_SURE = 0.8
_NUMBERS = frozenset({"value", "threshold"})


def report(diagnoses: DiagnosesView) -> RenderableType:
    """Each diagnosis with its evidence, in the order of their rank."""
    known = {item.fingerprint: item for item in diagnoses.items}
    shown_: list[RenderableType] = []
    for place, item in enumerate(diagnoses.items, start=1):
        shown_ += [_head(place, item), Text(f"   {item.summary}"), *_consequences(item, known), _evidence(item), ""]
    return Group(*shown_[:-1])


def episodes_table(episodes: Iterable[EpisodeView]) -> Table:
    rows = table("began", "lasted", "cause", "of", "sure", "what was seen", right=frozenset({"lasted", "sure"}))
    for episode in episodes:
        item = episode.diagnosis
        lasted = (episode.last_seen_at - episode.began_at).total_seconds()
        rows.add_row(
            shown(episode.began_at),
            Text("goes on", "red") if episode.ended_at is None else duration(lasted),
            _cause(item) + ("" if item.is_root else " (a consequence)"),
            _subject(item),
            _percent(item.confidence),
            item.summary,
        )
    return rows


def _head(place: int, item: Diagnosis) -> Text:
    style = "dim" if not item.is_root else "bold red" if item.confidence >= _SURE else "yellow"
    return Text.assemble(
        f"{place}. ", (_cause(item), style), f" of {_subject(item)}  ", (f"{_percent(item.confidence)} sure", style)
    )


def _consequences(item: Diagnosis, known: Mapping[str, Diagnosis]) -> list[Text]:
    if item.impacted_by:
        roots = [
            f"{_cause(known[each])} of {_subject(known[each])}" if each in known else each for each in item.impacted_by
        ]
        return [Text(f"   Comes from: {', '.join(roots)}", "dim")]
    actions = ", ".join(action.replace("_", " ") for action in item.actions)
    return [Text(f"   Might help: {actions}", "cyan")] if actions else []


def _evidence(item: Diagnosis) -> Table:
    rows = table("   evidence", "value", "threshold", "seen", "of", right=_NUMBERS)
    for each in item.evidence:
        rows.add_row(
            f"   {each.what}",
            number(each.value, each.unit),
            number(each.threshold, each.unit),
            _clock(each.at),
            _labels(each),
        )
    return rows


def _cause(item: Diagnosis) -> str:
    return item.cause.replace("_", " ")


def _subject(item: Diagnosis) -> str:
    subject = item.subject
    further = (subject.instance, subject.consumer, subject.host, subject.release)
    return " ".join(dict.fromkeys(filter(None, (subject.component, *further))))


def _labels(evidence: Evidence) -> str:
    return " ".join(f"{name}={text}" for name, text in sorted(evidence.labels.items()))


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _clock(at: datetime) -> str:
    return at.astimezone().strftime("%H:%M:%S")
