"""`waggle reconcile`: what does not fit together between queues, ledger, index, uploads and dead letters."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from opentelemetry.metrics import NoOpMeter
from rich.text import Text

from cli.broker import connected
from cli.exits import Exit
from cli.interrupts import interruptible
from cli.output import Json, console, counted, messages, print_json, table
from contracts.reconciliation import Remedy
from workers.keeper.reconciliation.factory import reconciler
from workers.keeper.reconciliation.finding import Finding
from workers.keeper.reconciliation.reconciler import LEFT_ALONE, Survey

app = typer.Typer()

_MEANS = {
    Remedy.REDRIVE: "ask for it again",
    Remedy.RERUN: "index it again",
    Remedy.FAIL: "end it failed",
    Remedy.DEAD_LETTER: "make it a dead letter",
    Remedy.PURGE: "purge it",
    Remedy.REMOVE_UPLOAD: "remove it",
    Remedy.REMOVE_LETTER: "remove them",
    Remedy.QUARANTINE: "leave it alone",
    Remedy.HOLD: "wait for a person",
}


@app.command()
def reconcile(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what is amiss and what would be done.")] = False,
    purge_unrecorded: Annotated[
        bool,
        typer.Option(
            "--purge-unrecorded", help="Also purge rows of documents that the ledger knows nothing of, for good."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Look at everything that must fit together, and put right what does not.

    The keeper does this by itself every few minutes; this is for looking on, and for deciding what it leaves to people.
    Exit code 1 when something is left alone, waits for a person, or could not be looked at.
    """
    with interruptible():
        survey = asyncio.run(_reconcile(dry_run=dry_run, bury=purge_unrecorded))
    if as_json:
        print_json({"dry_run": dry_run, "findings": [_plain(f) for f in survey.findings], "unseen": survey.unseen})
    else:
        _print(survey, dry_run=dry_run)
    left = any(finding.remedy in LEFT_ALONE for finding in survey.findings)
    raise typer.Exit(Exit.FAILED if left or survey.unseen else Exit.OK)


async def _reconcile(*, dry_run: bool, bury: bool) -> Survey:
    async with (
        connected("reconcile") as broker,
        reconciler(broker, meter=NoOpMeter("reconcile"), bury_unrecorded=bury) as ours,
    ):
        return await (ours.survey() if dry_run else ours.reconcile_all())


def _print(survey: Survey, *, dry_run: bool) -> None:
    rows = table("what", "tenant", "why", "would" if dry_run else "done")
    for finding in survey.findings:
        style = "yellow" if finding.remedy in LEFT_ALONE else "green"
        rows.add_row(finding.subject, finding.tenant, finding.reason, Text(_MEANS[finding.remedy], style))
    if survey.findings:
        console().print(rows)
    elif not survey.unseen:
        console().print("Everything fits together.", style="green")
    if survey.findings and dry_run:
        messages().print(f"{counted(len(survey.findings), 'thing')} amiss, nothing was changed.", style="dim")
    for look, reason in survey.unseen.items():
        messages().print(f"Could not look at {look}: {reason}", style="yellow")


def _plain(finding: Finding) -> dict[str, object]:
    return {
        "remedy": finding.remedy.value,
        "tenant": finding.tenant,
        "subject": finding.subject,
        "document_id": finding.document_id,
        "generation": finding.generation,
        "reason": finding.reason,
        "count": finding.count,
    }
