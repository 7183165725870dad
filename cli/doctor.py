"""`waggle doctor`: is this host fit to run Waggle, and is what runs here well."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import asdict

import typer
from rich.text import Text

from cli.exits import Exit
from cli.output import Json, console, print_json
from contracts.settings import AllSettings
from deploy.checkup.finding import Finding, Level
from observability.logging import configure_logging

app = typer.Typer()

_MARKS = {Level.OK: ("✓", "green"), Level.WARN: ("!", "yellow"), Level.FAIL: ("✗", "red")}


@app.command()
def doctor(as_json: Json = False) -> None:
    """Look at broker, disk, memory, ports, models, named files and chosen engines, and say what to do. Exit code 1 when something
    fails.
    """
    settings = AllSettings.load()
    configure_logging(level="error", format="text")  # what engines and broker warn of is found, and told below
    found = list(_examine(settings))
    if as_json:
        print_json({"items": [asdict(finding) for finding in found]})
    for finding in found if not as_json else ():
        console().print(_line(finding))
    failed = any(finding.level is Level.FAIL for finding in found)
    raise typer.Exit(Exit.FAILED if failed else Exit.OK)


def _examine(settings: AllSettings) -> Iterator[Finding]:
    from deploy.checkup import broker, files, host

    yield host.python()
    yield host.memory()
    yield host.disk(settings)
    yield host.parser()
    yield broker.program(settings)
    yield from asyncio.run(broker.connection(settings))
    yield broker.sync_interval(settings)
    yield from host.listening(settings)
    yield from host.models(settings)
    yield from files.named(settings)
    yield from asyncio.run(_engines(settings))


async def _engines(settings: AllSettings) -> list[Finding]:
    from deploy.checkup import engines

    return [finding async for finding in engines.chosen(settings)]


def _line(finding: Finding) -> Text:
    mark, style = _MARKS[finding.level]
    advice = f"\n                  {finding.advice}" if finding.advice else ""
    return Text.assemble((f"{mark} ", style), (f"{finding.check:<16}", "bold"), finding.detail, (advice, style))
