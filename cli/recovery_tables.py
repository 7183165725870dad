"""What people are shown of the audit of repairs, and of what would be decided."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from rich.table import Table
from rich.text import Text

from cli.moments import shown
from cli.output import table
from contracts.recovery import CommandOutcome, RecoveryDecision, Target, Verdict, Verified
from contracts.recovery_views import RecoveryEntry

_STYLES: Final[dict[str, str]] = {
    Verdict.ACT: "yellow",
    Verdict.AWAIT_APPROVAL: "bold yellow",
    Verdict.WITHHELD: "cyan",
    Verdict.CALL_PERSON: "bold red",
    CommandOutcome.DONE: "green",
    CommandOutcome.FAILED: "red",
    CommandOutcome.UNKNOWN: "red",
    Verified.RECOVERED: "green",
    Verified.NOT_RECOVERED: "red",
    "yes": "green",
    "no": "red",
}


def log_table(entries: Iterable[RecoveryEntry]) -> Table:
    """Events of the audit, in the order given."""
    rows = table("at", "what", "came out", "said", "by", "id", whole=frozenset({"at", "what", "id"}))
    for entry in entries:
        what = " ".join(filter(None, (_words(entry.action or entry.cause or ""), _target(entry.target))))
        rows.add_row(
            shown(entry.at),
            entry.kind.value,
            _came_out(entry),
            f"{what}: {entry.said}" if what else entry.said,
            entry.claimed_by or entry.by,
            entry.id,
        )
    return rows


def plan_table(decisions: Iterable[RecoveryDecision]) -> Table:
    """What would be decided."""
    rows = table(
        "cause", "sure", "verdict", "action", "target", "rung", "why", "again at", right=frozenset({"sure", "rung"})
    )
    for each in decisions:
        rows.add_row(
            _words(each.cause),
            f"{100 * each.confidence:.0f} %",
            _verdict(each.verdict, each.safeguard),
            _words(each.action),
            _target(each.target),
            str(each.rung),
            each.why,
            shown(each.next_at),
        )
    return rows


def _came_out(entry: RecoveryEntry) -> Text:
    if entry.verdict is not None:
        return _verdict(entry.verdict, entry.safeguard)
    if entry.approved is not None:
        return _styled("yes" if entry.approved else "no")
    return _styled(entry.outcome or entry.verified or "")


def _verdict(verdict: Verdict, safeguard: str | None) -> Text:
    held = Text(f" ({_words(safeguard)})" if safeguard else "", "dim")
    return Text.assemble(_styled(verdict), held)


def _styled(word: str) -> Text:
    return Text(_words(word), _STYLES.get(word, ""))


def _target(target: Target | None) -> str:
    if target is None:
        return ""
    return target.name if target.name == target.service else f"{target.name} ({target.service})"


def _words(name: str) -> str:
    return str(name).replace("_", " ")
