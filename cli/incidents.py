"""`waggle incidents`: what happened, why the system acted or did not, and what comes next."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.text import Text

from cli.exits import CommandError, Exit
from cli.incident_tables import captured, incidents_table, story
from cli.moments import beginning_of, moment_of
from cli.output import Json, console, messages, print_json
from cli.target import gateway
from contracts.incidents import IncidentsView, IncidentView

app = typer.Typer()


@app.command()
def incidents(
    incident: Annotated[
        str | None, typer.Argument(help="One whole, as the list has its id.", metavar="[ID]", show_default=False)
    ] = None,
    since: Annotated[str, typer.Option(help="How far back: 2h, 7d, or a time.")] = "1d",
    until: Annotated[str | None, typer.Option(help="Up to this time; default: now.")] = None,
    open_only: Annotated[bool, typer.Option("--open", help="Only those that are not over.")] = False,
    limit: Annotated[int, typer.Option(help="Most incidents, the newest.", min=1, max=500)] = 50,
    with_captured: Annotated[
        bool, typer.Option("--captured", help="With an ID: also what was kept before something was done.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List incidents, newest first, or show one whole: what was seen, decided, done and verified, and what comes next."""
    if incident is not None:
        _show(asyncio.run(_incident(incident)), with_captured=with_captured, as_json=as_json)
        return
    if with_captured:
        raise CommandError("--captured is about one incident: give its ID", code=Exit.USAGE)
    found = asyncio.run(_incidents(_parameters(since, until), limit))
    if open_only:
        found = found.model_copy(update={"items": tuple(each for each in found.items if not each.state.is_over)})
    if as_json:
        print_json(found.model_dump(mode="json"))
        return
    console().print(incidents_table(found.items) if found.items else Text("No incidents.", "green"))
    if found.next is not None:
        messages().print("There are more: give a shorter span, or a higher --limit.", style="yellow")
    if not found.complete:
        messages().print("There was more to read than is read for one list: give a shorter span.", style="yellow")


def _show(found: IncidentView, *, with_captured: bool, as_json: bool) -> None:
    if as_json:
        print_json(found.model_dump(mode="json"))
        return
    console().print(story(found, now=datetime.now(UTC)))
    if with_captured:
        console().print(captured(found))


def _parameters(since: str, until: str | None) -> dict[str, list[str]]:
    end = None if until is None else moment_of(until, "--until")
    start = beginning_of(since, "--since", end=end)
    return {"since": [start.isoformat()], "until": [] if end is None else [end.isoformat()]}


async def _incidents(asked: dict[str, list[str]], most: int) -> IncidentsView:
    async with gateway() as client:
        return await client.incidents(asked, most=most)


async def _incident(incident: str) -> IncidentView:
    async with gateway() as client:
        return await client.incident(incident)
