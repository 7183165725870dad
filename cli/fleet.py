"""`waggle status` and `waggle top`: who runs, and what it is doing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cli.client import GatewayClient
from cli.exits import Exit
from cli.output import Json, ago, console, plain, print_json, print_json_line, size, table
from cli.rates import Rates
from cli.replies import Fleet, Member, Readiness
from cli.target import gateway

app = typer.Typer()

_FIGURES = frozenset({"in hand", "done", "memory", "done/s", "cpu"})
_STYLES = {"ready": "green", "starting": "cyan", "paused": "yellow", "draining": "yellow", "gone": "red"}


@app.command()
def status(as_json: Json = False) -> None:
    """Every process with its state. Exit code 1 when something is not well."""
    readiness, fleet = asyncio.run(_status())
    if as_json:
        print_json({"readiness": readiness.plain(), "items": plain(fleet.items)})
    else:
        console().print(overview(readiness, fleet))
    well = readiness.status == "ready" and all(_is_well(member) for member in fleet.items)
    raise typer.Exit(Exit.OK if well else Exit.FAILED)


@app.command()
def top(
    interval: Annotated[float, typer.Option(help="Seconds between two looks.", min=0.2)] = 3.0,
    count: Annotated[int | None, typer.Option(help="Looks before it ends by itself.", min=1)] = None,
    as_json: Json = False,
) -> None:
    """The fleet, live: messages finished per second, work in hand, memory and processor time. Ctrl-C ends it."""
    try:
        asyncio.run(_top(interval, count, as_json=as_json))
    except KeyboardInterrupt:
        raise typer.Exit(Exit.OK) from None


def overview(readiness: Readiness, fleet: Fleet) -> Group:
    """The state of every process, and what keeps the gateway from being ready."""
    rows = table("service", "instance", "state", "in hand", "done", "memory", "since", "checks", right=_FIGURES)
    for member in _sorted(fleet):
        rows.add_row(*_cells(member), ago(member.started_at), _checks(member))
    good = readiness.status == "ready"
    lines = [Text.assemble("gateway: ", (readiness.status, "green" if good else "red"))]
    lines += [Text(f"  {c.name}: {c.detail or c.status}", "red") for c in readiness.checks if c.status != "ok"]
    return Group(*lines, rows)


def condition(member: Member) -> str:
    """The state it reported, or `gone` when it has stopped reporting."""
    return "gone" if member.stale else member.state


def _is_well(member: Member) -> bool:
    """A process that is paused does what it was told to."""
    return condition(member) in {"ready", "paused"} and all(check.status != "failing" for check in member.checks)


async def fleet_and_readiness(client: GatewayClient) -> tuple[Readiness, Fleet]:
    return await client.ready(), await client.fleet()


async def _status() -> tuple[Readiness, Fleet]:
    async with gateway() as client:
        return await fleet_and_readiness(client)


async def _top(interval_s: float, count: int | None, *, as_json: bool) -> None:
    rates = Rates()
    looks = 0
    async with gateway() as client:
        with _frames(as_json=as_json) as show:
            while count is None or looks < count:
                await asyncio.sleep(interval_s if looks else 0)
                looks += 1
                fleet = await client.fleet()
                rates.look(fleet.items)
                show(fleet, rates)


@contextmanager
def _frames(*, as_json: bool) -> Iterator[Callable[[Fleet, Rates], None]]:
    """One place on a terminal that is drawn anew; elsewhere one table, or one line of JSON, after the other."""
    screen = console()
    if as_json:
        yield lambda fleet, _: print_json_line({"items": plain(fleet.items)})
    elif not screen.is_terminal:
        yield lambda fleet, rates: screen.print(_live(fleet, rates))
    else:
        with Live(console=screen, auto_refresh=False) as live:
            yield lambda fleet, rates: live.update(_live(fleet, rates), refresh=True)


def _live(fleet: Fleet, rates: Rates) -> Table:
    rows = table("service", "instance", "state", "in hand", "done", "memory", "done/s", "cpu", right=_FIGURES)
    for member in _sorted(fleet):
        rows.add_row(*_cells(member), f"{rates.progress(member):.1f}", f"{100 * rates.cpu(member):.0f} %")
    return rows


def _sorted(fleet: Fleet) -> list[Member]:
    return sorted(fleet.items, key=lambda member: (member.service, member.instance))


def _cells(member: Member) -> tuple[str, str, Text, str, str, str]:
    state = condition(member)
    shown = Text(state, _STYLES.get(state, ""))
    return member.service, member.instance, shown, str(member.in_flight), str(member.progress), size(member.rss_bytes)


def _checks(member: Member) -> Text:
    bad = [f"{c.name} {c.status}{f': {c.detail}' if c.detail else ''}" for c in member.checks if c.status != "ok"]
    if bad:
        return Text("; ".join(bad), "red")
    if member.facts.get("leads") == "yes":  # of several observers one evaluates and tells
        return Text("leads")
    return Text("ok" if member.checks else "", "dim")
