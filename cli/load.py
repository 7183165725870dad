"""`waggle load`: simulated traffic against a running stack."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from cli.exits import CommandError, Exit
from cli.interrupts import unless_interrupted
from cli.output import Json, console, messages, print_json, table
from cli.target import gateway
from cli.traffic.simulation import Load, Simulation
from cli.traffic.tally import Row, Tally
from cli.uploading.patience import quiet_retries

app = typer.Typer()

_NUMBER = re.compile(r"\d+(\.\d+)?")


@app.command()
def load(
    rate: Annotated[float, typer.Option(help="Requests per second.", min=0.01)] = 2.0,
    mix: Annotated[str, typer.Option(help="QUESTIONS:UPLOADS, in parts.")] = "9:1",
    duration: Annotated[float, typer.Option(help="Seconds.", min=0.1)] = 30.0,
    deadline: Annotated[float, typer.Option(help="Seconds that a question may take.", min=0.1, max=300)] = 30.0,
    seed: Annotated[int, typer.Option(help="The same seed sends the same.")] = 1,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the invented documents there.")] = False,
    as_json: Json = False,
) -> None:
    """Send questions and uploads at a steady rate, and show latencies and outcomes.

    The documents are invented, and deleted at the end, also after Ctrl-C. Exit code 1 when a request failed; being refused with a time to
    come back is no failure.
    """
    quiet_retries()
    planned = Load(rate=rate, duration_s=duration, questions_share=_share(mix), deadline_s=deadline, seed=seed)
    tally, whole = asyncio.run(_run(planned, keep=keep, quiet=as_json))
    if as_json:
        print_json({"items": [asdict(row) for row in tally.rows()], "interrupted": not whole})
    else:
        _print(tally.rows())
    if not whole:
        raise CommandError("interrupted: the figures are those until then", code=Exit.INTERRUPTED)
    raise typer.Exit(Exit.FAILED if tally.failures() else Exit.OK)


async def _run(planned: Load, *, keep: bool, quiet: bool) -> tuple[Tally, bool]:
    """The figures, and whether everything was sent."""
    async with gateway() as client:
        simulation = Simulation(client, planned, run_id=secrets.token_hex(4))
        try:
            whole = await unless_interrupted(_sent(simulation, quiet=quiet))
        finally:
            if not keep:
                await simulation.clean_up()
    return simulation.tally, bool(whole)


async def _sent(simulation: Simulation, *, quiet: bool) -> bool:
    await simulation.warm_up()
    with _bar(quiet=quiet) as bar:
        async with asyncio.TaskGroup() as tasks:
            shown = tasks.create_task(_show(bar, simulation))
            await simulation.run()
            shown.cancel()
    return True


@contextmanager
def _bar(*, quiet: bool) -> Iterator[Progress]:
    columns = (TextColumn("{task.completed:.0f} of {task.total:.0f} sent"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=messages(), transient=True, disable=quiet) as bar:
        yield bar


async def _show(bar: Progress, simulation: Simulation) -> None:
    planned = simulation.load
    task = bar.add_task("", total=int(planned.rate * planned.duration_s))
    while True:
        bar.update(task, completed=simulation.sent)
        await asyncio.sleep(0.2)


def _share(mix: str) -> float:
    parts = [float(part) for part in mix.split(":") if _NUMBER.fullmatch(part)]
    if len(parts) != 2 or sum(parts) == 0 or mix.count(":") != 1:
        raise CommandError(f"{mix!r} is not QUESTIONS:UPLOADS, for example 9:1", code=Exit.USAGE)
    return parts[0] / sum(parts)


def _print(rows: list[Row]) -> None:
    figures = frozenset({"sent", "ok", "p50 ms", "p95 ms", "p99 ms"})
    shown = table("request", "sent", "ok", "p50 ms", "p95 ms", "p99 ms", "other outcomes", right=figures)
    for row in rows:
        others = ", ".join(f"{n} {outcome}" for outcome, n in sorted(row.outcomes.items()) if outcome != "ok")
        latencies = ("" if ms is None else f"{ms:.0f}" for ms in (row.p50_ms, row.p95_ms, row.p99_ms))
        shown.add_row(row.kind, str(row.sent), str(row.outcomes.get("ok", 0)), *latencies, others)
    console().print(shown)
