"""`waggle figures`: the key figures of the four layers, and how much of the time each component was up."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from cli.exits import Exit
from cli.figure_tables import overview
from cli.output import Json, console, print_json
from cli.target import gateway
from contracts.figures import FigureStatus, FiguresView, Layer

app = typer.Typer()


@app.command()
def figures(
    layer: Annotated[list[Layer] | None, typer.Option(help="Only this layer; several may be given.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Exit code 1 when a figure shown is critical.")] = False,
    as_json: Json = False,
) -> None:
    """Key figures with their status. Without data a figure is unknown, never healthy."""
    found = asyncio.run(_figures())
    kept = tuple(figure for figure in found.items if not layer or figure.layer in layer)
    chosen = found.model_copy(update={"items": kept})
    if as_json:
        print_json(chosen.model_dump(mode="json"))
    else:
        console().print(overview(chosen))
    critical = any(figure.status is FigureStatus.CRITICAL for figure in kept)
    raise typer.Exit(Exit.FAILED if check and critical else Exit.OK)


async def _figures() -> FiguresView:
    async with gateway() as client:
        return await client.figures()
