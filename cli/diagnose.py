"""`waggle diagnose`: what is wrong, by which evidence, and what might help."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated

import typer
from rich.text import Text

from cli.diagnosis_tables import episodes_table, report
from cli.exits import CommandError, Exit
from cli.moments import beginning_of
from cli.output import Json, console, messages, print_json
from cli.target import gateway
from contracts.diagnoses import DiagnosesView, DiagnosisHistoryView

app = typer.Typer()


@app.command()
def diagnose(
    at: Annotated[str | None, typer.Option(help="Of this time instead of now: 90m ago as 90m, or a time.")] = None,
    since: Annotated[
        str | None, typer.Option(help="List what was found since then instead: 2h, 7d, or a time.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Look for causes in the fleet's series: roots first, each with its evidence and how sure it is."""
    if since is not None:
        if at is not None:
            raise CommandError("--since lists the history and takes no --at", code=Exit.USAGE)
        _show_history(asyncio.run(_history(_moment(since, "--since"))), as_json=as_json)
        return
    found = asyncio.run(_diagnoses(None if at is None else _moment(at, "--at")))
    if as_json:
        print_json(found.model_dump(mode="json"))
        return
    console().print(report(found) if found.items else Text("No cause is found.", "" if found.unjudged else "green"))
    if found.unjudged:
        causes = ", ".join(cause.replace("_", " ") for cause in found.unjudged)
        messages().print(f"Could not be looked for: {causes}. The observer's log says why.", style="yellow")


def _show_history(found: DiagnosisHistoryView, *, as_json: bool) -> None:
    if as_json:
        print_json(found.model_dump(mode="json"))
    else:
        console().print(episodes_table(found.items) if found.items else "Nothing was found.")


def _moment(text: str, option: str) -> datetime:
    return beginning_of(text, option)


async def _diagnoses(at: datetime | None) -> DiagnosesView:
    async with gateway() as client:
        return await client.diagnoses(at=at)


async def _history(since: datetime) -> DiagnosisHistoryView:
    async with gateway() as client:
        return await client.diagnosis_history(since)
