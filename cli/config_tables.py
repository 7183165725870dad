"""How the runtime configuration and its revisions are shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text

from cli.config_replies import Config, Revision
from cli.moments import shown
from cli.output import table
from contracts.runtime_config import Setting, said

Values = Mapping[str, Setting]


def overview(config: Config) -> Group:
    """What is set, since when and why, and who works by it."""
    keys = table("key", "value", "worked by", "meaning")
    for key in config.keys:
        keys.add_row(
            key.key, value_shown(config.values.get(key.key)), Text(", ".join(key.services), "dim"), key.meaning
        )
    applied = table("service", "instance", "works by")
    for each in config.applied:
        applied.add_row(each.service, each.instance, _works_by(each.revision, config.number))
    return Group(Text(headline(config)), keys, Text(), applied)


def revisions_table(revisions: Sequence[Revision], *, limit: int) -> Table:
    """The newest `limit` of `revisions`, which are in that order; each with what it changed."""
    rows = table("revision", "when", "who", "changes", "because", right=frozenset({"revision"}))
    for revision, before in list(zip(revisions, [*revisions[1:], None], strict=True))[:limit]:
        rows.add_row(
            str(revision.number),
            shown(revision.created_at),
            who(revision),
            "\n".join(changes_shown(before.values if before else {}, revision.values)),
            revision.because or "",
        )
    return rows


def headline(revision: Revision) -> str:
    """One line about a revision."""
    if not revision.number:
        return "Nothing was ever set: every process works by its own settings."
    restored = "" if revision.restores is None else f", as revision {revision.restores}"
    return f"Revision {revision.number}{restored}, {shown(revision.created_at)} by {who(revision)}: {revision.because}"


def who(revision: Revision) -> str:
    """The principal, and who that says to be."""
    claimed = "" if revision.claimed_by is None else f" (says {revision.claimed_by})"
    return f"{revision.principal or ''}{claimed}"


def changes_shown(before: Values, after: Values) -> list[str]:
    """A line for each key that differs: `top_k: 5 → 7`."""
    return [f"{key}: {said(old)} → {said(new)}" for key, old, new in differences(before, after)]


def differences(before: Values, after: Values) -> list[tuple[str, Setting | None, Setting | None]]:
    """Each key whose values differ, with both; None: it is not set there. The keys may be those of a newer release."""
    keys = sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
    return [(key, before.get(key), after.get(key)) for key in keys]


def value_shown(value: Setting | None) -> Text:
    return Text(said(value), "dim" if value is None else "cyan")


def _works_by(revision: int | None, current: int) -> Text:
    if revision is None:
        return Text("does not say", "yellow")
    return Text(f"revision {revision}" if revision else "its own settings", "" if revision == current else "yellow")
