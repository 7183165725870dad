"""`waggle alerts ls|show|history`: what is wrong, and what was. Silences have their own module."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from rich.text import Text

from cli.alert_tables import alert_details, alerts_table, changes_table, notifications_table
from cli.client import Parameters
from cli.exits import CommandError, Exit
from cli.moments import beginning_of, moment_of
from cli.newest import newest
from cli.output import Json, console, messages, print_json
from cli.silencing import OPEN_STATES, matchers_of, silence, silences, unsilence
from cli.target import gateway
from contracts.alert_views import ActiveState, AlertChange, AlertView, HistoryEntry, NotificationView
from contracts.alerts import ALERTNAME
from contracts.silences import LabelMatcher, MatchOperator

app = typer.Typer()
alerts = typer.Typer(no_args_is_help=True, help="Alerts: list, show, silence, look back.")
app.add_typer(alerts, name="alerts")

PAGE = 200
_HEX = frozenset("0123456789abcdef")

Filters = Annotated[
    list[str] | None,
    typer.Option(
        "--filter", "-f", help="Only with this label, such as service=embed or 'team=~\"a|b\"'; several may be given."
    ),
]
Severities = Annotated[
    list[str] | None, typer.Option("--severity", help="Only of this severity; several may be given.")
]


@alerts.command("ls")
def ls(
    state: Annotated[
        list[ActiveState] | None, typer.Option(help="Only in this state; default: pending and firing.")
    ] = None,
    severity: Severities = None,
    filters: Filters = None,
    as_json: Json = False,
) -> None:
    """List alerts, firing ones first."""
    asked = {
        "state": [*map(str, state or OPEN_STATES)],
        "severity": severity or [],
        "filter": matchers_of(filters or []),
    }
    found = asyncio.run(_alerts(asked))
    if as_json:
        print_json({"items": [alert.model_dump(mode="json") for alert in found]})
    elif found:
        console().print(alerts_table(found))
    else:
        console().print(Text("No alerts.", "green"))


@alerts.command("show")
def show(
    wanted: Annotated[str, typer.Argument(help="The alert's fingerprint, or its name.", metavar="ALERT")],
    as_json: Json = False,
) -> None:
    """Show an alert whole; all of that name, if it is a name."""
    found = asyncio.run(_wanted(wanted))
    if as_json:
        print_json({"items": [alert.model_dump(mode="json") for alert in found]})
        return
    for number, alert in enumerate(found):
        if number:
            console().print()
        console().print(alert_details(alert))


@alerts.command("history")
def history(
    since: Annotated[str, typer.Option(help="How far back: 2h, 7d, or a time.")] = "1d",
    until: Annotated[str | None, typer.Option(help="Up to this time; default: now.")] = None,
    notifications: Annotated[
        bool, typer.Option("--notifications", help="Who was told, instead of what happened.")
    ] = False,
    severity: Severities = None,
    filters: Filters = None,
    channel: Annotated[str | None, typer.Option(help="Only notifications through this channel.")] = None,
    limit: Annotated[int, typer.Option(help="Most entries, the newest; 0 lists all.", min=0)] = 100,
    as_json: Json = False,
) -> None:
    """List when alerts began to fire and were over, or who was told, oldest first. It is kept for four weeks."""
    asked = _history_parameters(since, until, notifications, severity, filters, channel)
    found, more = asyncio.run(_history(asked, limit))
    if as_json:
        print_json({"items": [entry.model_dump(mode="json") for entry in found], "more": more})
        return
    if not found:
        console().print("Nobody was told of anything." if notifications else "No alerts.")
    elif notifications:
        console().print(notifications_table(entry for entry in found if isinstance(entry, NotificationView)))
    else:
        console().print(changes_table(entry for entry in found if isinstance(entry, AlertChange)))
    if more:
        messages().print(f"The last {limit} are shown; --limit 0 lists all.", style="dim")


for _command in (silence, silences, unsilence):
    alerts.command(_command.__name__)(_command)


def _history_parameters(
    since: str,
    until: str | None,
    notifications: bool,
    severity: list[str] | None,
    filters: list[str] | None,
    channel: str | None,
) -> dict[str, list[str]]:
    if notifications and (severity or filters):
        raise CommandError("--severity and --filter are about alerts, not about --notifications", code=Exit.USAGE)
    if channel and not notifications:
        raise CommandError("--channel is about --notifications", code=Exit.USAGE)
    end = None if until is None else moment_of(until, "--until")
    start = beginning_of(since, "--since", end=end)
    return {
        "kind": ["notification" if notifications else "alert"],
        "start": [start.isoformat()],
        "end": [] if end is None else [end.isoformat()],
        "severity": severity or [],
        "filter": matchers_of(filters or []),
        "channel": [channel] if channel else [],
        "limit": [str(PAGE)],
    }


async def _alerts(asked: dict[str, list[str]]) -> list[AlertView]:
    async with gateway() as client:
        return list((await client.alerts(asked)).items)


async def _wanted(wanted: str) -> list[AlertView]:
    async with gateway() as client:
        if len(wanted) == 16 and _HEX.issuperset(wanted):
            return [await client.alert(wanted)]
        named = LabelMatcher(name=ALERTNAME, operator=MatchOperator.EQUAL, value=wanted[:1024])
        found = (await client.alerts({"filter": [str(named)]})).items
    if not found:
        raise CommandError(f"no alert {wanted} is there", hint="`waggle alerts history` has what was.")
    return list(found)


async def _history(asked: Parameters, limit: int) -> tuple[list[HistoryEntry], bool]:
    async with gateway() as client:
        return await newest(client.alert_history, asked, limit=limit)
