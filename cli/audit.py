"""`waggle audit`: who did what to the system, from where, and what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Annotated, Final

import typer
from rich.table import Table
from rich.text import Text

from cli.client import Parameters
from cli.moments import beginning_of, moment_of, shown
from cli.newest import newest
from cli.output import Json, console, messages, print_json, table
from cli.target import gateway
from contracts.audit import ActOutcome, AuditKind
from contracts.audit_views import AuditEntry

PAGE: Final = 200
_STYLES: Final = {ActOutcome.DONE: "green", ActOutcome.REFUSED: "yellow", ActOutcome.UNKNOWN: "red"}

app = typer.Typer()


@app.command()
def audit(
    since: Annotated[str, typer.Option(help="How far back: 2h, 7d, or a time.")] = "1d",
    until: Annotated[str | None, typer.Option(help="Up to this time; default: now.")] = None,
    kind: Annotated[list[AuditKind] | None, typer.Option(help="Only about these; several may be given.")] = None,
    principal: Annotated[str | None, typer.Option(help="Only of this one, as key:k3v5q2w7y4z6abcd.")] = None,
    limit: Annotated[int, typer.Option(help="Most entries, the newest; 0 lists all.", min=0)] = 100,
    as_json: Json = False,
) -> None:
    """List who did what to the system, from where, and what came of it; oldest first. Kept for four weeks.

    Unknown: it failed on the way, or whoever was at it died; it may have been done.
    """
    end = None if until is None else moment_of(until, "--until")
    asked = {
        "since": [beginning_of(since, "--since", end=end).isoformat()],
        "until": [] if end is None else [end.isoformat()],
        "kind": [*map(str, kind or ())],
        "principal": [principal] if principal else [],
        "limit": [str(PAGE)],
    }
    found, more = asyncio.run(_entries(asked, limit))
    if as_json:
        print_json({"items": [entry.model_dump(mode="json") for entry in found], "more": more})
        return
    console().print(audit_table(found) if found else "Nothing was done.")
    if more:
        messages().print(f"The last {limit} are shown; --limit 0 lists all.", style="dim")


def audit_table(entries: Iterable[AuditEntry]) -> Table:
    """In the order given."""
    rows = table("at", "act", "to", "came out", "what", "by", "from", whole=frozenset({"at", "act"}))
    for entry in entries:
        rows.add_row(
            shown(entry.at),
            entry.action.replace("_", " "),
            entry.target,
            Text(entry.outcome.value, _STYLES.get(entry.outcome, "")),
            entry.detail,
            who(entry),
            entry.address or "",
        )
    return rows


def who(entry: AuditEntry) -> str:
    """The principal, and who that says to be."""
    return entry.by if entry.claimed_by is None else f"{entry.by} (says {entry.claimed_by})"


async def _entries(asked: Parameters, limit: int) -> tuple[list[AuditEntry], bool]:
    async with gateway() as client:
        return await newest(client.audit, asked, limit=limit)
