"""`waggle health` and `waggle graph`: how each component does, and which one needs which."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated

import typer

from cli.exits import CommandError, Exit
from cli.health_tables import changes_table, components_table, dependency_tree, mermaid
from cli.moments import beginning_of
from cli.output import Json, console, print_json
from cli.target import gateway
from contracts.component_health import DependenciesView, HealthStatus, HealthView

app = typer.Typer()

USUAL_SPAN = "1d"
_WORKS = frozenset({HealthStatus.HEALTHY, HealthStatus.DEGRADED})


@app.command()
def health(
    history: Annotated[bool, typer.Option("--history", help="What changed, and when, instead of what is.")] = False,
    since: Annotated[
        str | None, typer.Option(help=f"With --history, how far back: 2h, 7d, or a time. Default: {USUAL_SPAN}.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Health of the fleet and of each component. Exit code 0 when it is healthy or degraded, 1 when it is unhealthy or
    unknown.
    """
    if since and not history:
        raise CommandError("--since is about --history", code=Exit.USAGE)
    found = asyncio.run(_health(_moment(since or USUAL_SPAN) if history else None))
    if as_json:
        print_json(found.model_dump(mode="json"))
    elif history:
        console().print(changes_table(found.changes) if found.changes else "Nothing changed.")
    else:
        console().print(components_table(found))
    raise typer.Exit(Exit.OK if found.status in _WORKS else Exit.FAILED)


@app.command()
def graph(
    as_mermaid: Annotated[bool, typer.Option("--mermaid", help="Print a Mermaid diagram, for documents.")] = False,
    as_json: Json = False,
) -> None:
    """Which component needs which, as a tree: below each what it needs."""
    if as_json and as_mermaid:
        raise CommandError("--json and --mermaid are two forms of the same: choose one", code=Exit.USAGE)
    found = asyncio.run(_dependencies())
    if as_json:
        print_json(found.model_dump(mode="json"))
    elif as_mermaid:
        console().print(mermaid(found))
    else:
        console().print(dependency_tree(found))


def _moment(since: str) -> datetime:
    return beginning_of(since, "--since")


async def _health(since: datetime | None) -> HealthView:
    async with gateway() as client:
        return await client.health(since=since)


async def _dependencies() -> DependenciesView:
    async with gateway() as client:
        return await client.dependencies()
