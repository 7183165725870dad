"""`waggle alerts silence|silences|unsilence`: what nobody is told of, and until when."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.text import Text

from cli.alert_tables import alerts_table, silences_table
from cli.client import GatewayClient, GatewayError
from cli.exits import CommandError, Exit
from cli.moments import duration_of, moment_of, shown
from cli.output import Json, console, counted, messages, plain, print_json
from cli.person import whoever
from cli.silence_replies import Silence
from cli.target import gateway
from contracts.alert_views import ActiveState, AlertView
from contracts.identifiers import new_id
from observability.notifications.matchers import Matchers

REPAIRED = frozenset({"service", "component", "instance", "host", "consumer"})
OPEN_STATES = (ActiveState.PENDING, ActiveState.FIRING)

MatcherTexts = Annotated[
    list[str],
    typer.Argument(
        help="All have to be met: alertname=InstanceDead 'service=~\"embed|ingest\"'.", metavar="MATCHER..."
    ),
]


def silence(
    matchers: MatcherTexts,
    lasting: Annotated[str | None, typer.Option("--for", help="How long: 90m, 2h, 1d.")] = None,
    until: Annotated[str | None, typer.Option(help="Until when: 2026-01-31T18:00.")] = None,
    beginning: Annotated[
        str | None, typer.Option("--from", help="When it begins, for maintenance; default: now.")
    ] = None,
    comment: Annotated[str | None, typer.Option(help="Why.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would mute.")] = False,
    as_json: Json = False,
) -> None:
    """Have nobody told of the alerts that meet all matchers, until it ends. Says which alerts of now those are."""
    plan = _plan(matchers, lasting, until, beginning)
    muted, made = asyncio.run(_silence(plan, comment or f"by {whoever()}", dry_run=dry_run))
    if as_json:
        shown_muted = None if muted is None else [alert.model_dump(mode="json") for alert in muted]
        print_json({"silence": made.plain() if made else None, "mutes": shown_muted})
        return
    _say_muted(plan, muted)
    if made is None:
        messages().print("Nothing was silenced.", style="dim")
    else:
        console().print(f"Silenced until {shown(made.ends_at)}. To end it before: waggle alerts unsilence {made.id}")
        if _is_maintenance(plan):
            console().print(
                "Until then the system repairs nothing of what it names: it takes somebody to be at work there."
            )


def silences(
    every: Annotated[bool, typer.Option("--all", help="Also those that have ended, for some days.")] = False,
    as_json: Json = False,
) -> None:
    """List silences."""
    found = asyncio.run(_silences(every))
    if as_json:
        print_json({"items": plain(found)})
    else:
        console().print(silences_table(found) if found else "No silences.")


def unsilence(
    silence_ids: Annotated[
        list[str], typer.Argument(help="Ids, as `waggle alerts silences` lists them.", metavar="ID...")
    ],
    as_json: Json = False,
) -> None:
    """End silences: people are told again. Exit code 1 when there is no such silence."""
    results = asyncio.run(_unsilence(silence_ids))
    if as_json:
        print_json({"items": [{"id": i, "ended": not error, "error": error} for i, error in results]})
    else:
        for silence_id, error in results:
            mark = Text("✗ ", "red") if error else Text("✓ ", "green")
            console().print(Text.assemble(mark, silence_id, "  ", error or "ended"))
    raise typer.Exit(Exit.FAILED if any(error for _, error in results) else Exit.OK)


@dataclass(frozen=True, slots=True)
class _Plan:
    matchers: tuple[str, ...]
    starts_at: datetime | None
    ends_at: datetime


def _plan(matchers: list[str], lasting: str | None, until: str | None, beginning: str | None) -> _Plan:
    if (lasting is None) == (until is None):
        raise CommandError(
            "a silence has an end: say how long with --for 2h, or until when with --until 2026-01-31T18:00",
            code=Exit.USAGE,
        )
    starts_at = None if beginning is None else moment_of(beginning, "--from")
    if until is not None:
        ends_at = moment_of(until, "--until")
    else:
        ends_at = (starts_at or datetime.now(UTC)) + duration_of(lasting or "", "--for")
    if ends_at <= (starts_at or datetime.now(UTC)):
        raise CommandError("the silence would end before it begins", code=Exit.USAGE)
    return _Plan(tuple(matchers_of(matchers)), starts_at, ends_at)


def _say_muted(plan: _Plan, muted: list[AlertView] | None) -> None:
    meant = "{" + ", ".join(plan.matchers) + "}"
    if muted is None:
        messages().print(f"Which alerts of now {meant} mutes is not known: no observer answers.", style="yellow")
    elif not muted:
        messages().print(f"No alert of now meets {meant}: it mutes those that come.", style="yellow")
    else:
        console().print(f"{meant} mutes {counted(len(muted), 'alert')} of now:")
        console().print(alerts_table(muted))


def _is_maintenance(plan: _Plan) -> bool:
    """Whether it may hold back repairs (`observability.recovery.safeguards.maintenance`)."""
    named = {condition.name for condition in Matchers.parse(plan.matchers).conditions}
    return "alertname" not in named and not named.isdisjoint(REPAIRED)


def matchers_of(matchers: list[str]) -> list[str]:
    """As they are written in full. Raises `CommandError` for one that is wrong."""
    try:
        return [str(condition) for condition in Matchers.parse(matchers).conditions]
    except ValueError as error:
        raise CommandError(str(error), code=Exit.USAGE) from error


async def _silence(plan: _Plan, comment: str, *, dry_run: bool) -> tuple[list[AlertView] | None, Silence | None]:
    async with gateway() as client:
        muted = await _muted(client, plan)
        if dry_run:
            return muted, None
        body: dict[str, Any] = {
            "matchers": plan.matchers,
            "ends_at": plan.ends_at.isoformat(),
            "comment": comment[:1024],
        }
        if plan.starts_at is not None:
            body["starts_at"] = plan.starts_at.isoformat()
        return muted, await client.add_silence(body, key=new_id())


async def _muted(client: GatewayClient, plan: _Plan) -> list[AlertView] | None:
    """The alerts of now that are meant; None when no observer answers. Silences are made all the same then."""
    try:
        return list((await client.alerts({"filter": plan.matchers, "state": [*map(str, OPEN_STATES)]})).items)
    except GatewayError as error:
        if error.problem.status != 503:
            raise
        return None


async def _silences(every: bool) -> tuple[Silence, ...]:
    async with gateway() as client:
        return (await client.silences(() if every else ("pending", "active"))).items


async def _unsilence(silence_ids: list[str]) -> list[tuple[str, str]]:
    results = list[tuple[str, str]]()
    async with gateway() as client:
        for silence_id in silence_ids:
            try:
                await client.end_silence(silence_id)
            except GatewayError as error:
                results.append((silence_id, error.message))
            else:
                results.append((silence_id, ""))
    return results
