"""`waggle recovery`: the policy, what would be decided now, the audit, the pause, and answers to what waits for a person."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer
import yaml
from rich.text import Text

from cli.client import Parameters
from cli.exits import CommandError, Exit
from cli.moments import beginning_of, end_of, moment_of, shown
from cli.newest import newest
from cli.output import Json, console, messages, print_json
from cli.person import whoever
from cli.recovery_replies import Answered
from cli.recovery_tables import log_table, plan_table
from cli.target import gateway
from contracts.recovery import Verdict
from contracts.recovery_views import PauseView, RecoveryEntry, RecoveryKind, RecoveryPlanView

app = typer.Typer()
recovery = typer.Typer(
    no_args_is_help=True, help="Repairs by the system: its policy, what it did and why, pausing it, answering it."
)
app.add_typer(recovery, name="recovery")

PAGE = 200

Because = Annotated[str, typer.Option("--because", help="Why; it is kept with the answer.", metavar="TEXT")]
DecisionId = Annotated[
    str,
    typer.Argument(help="The decision, as `waggle incidents` and `waggle recovery log` show it.", metavar="DECISION"),
]


@recovery.command("policy")
def policy(as_json: Json = False) -> None:
    """The policy in force, as the observer that leads has read it: which actions for which cause, and how far it may go."""
    found = asyncio.run(_policy())
    if as_json:
        print_json(found)
    else:
        console().print(yaml.safe_dump(found, sort_keys=False, allow_unicode=True).rstrip())


@recovery.command("run")
def run(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be decided now.")] = False,
    as_json: Json = False,
) -> None:
    """What would be decided about the causes of now, by which safeguard it would be held, and why. Nothing is done."""
    if not dry_run:
        raise CommandError(
            "the observer that leads repairs by itself, as its policy lets it",
            hint="`waggle recovery run --dry-run` says what it would decide now.",
            code=Exit.USAGE,
        )
    found = asyncio.run(_plan())
    if as_json:
        print_json(found.model_dump(mode="json"))
    else:
        console().print(plan_table(found.items) if found.items else Text("Nothing would be decided.", "green"))


@recovery.command("log")
def log(
    since: Annotated[str, typer.Option(help="How far back: 2h, 7d, or a time.")] = "1d",
    until: Annotated[str | None, typer.Option(help="Up to this time; default: now.")] = None,
    incident: Annotated[str | None, typer.Option(help="Only of this incident.")] = None,
    kind: Annotated[list[RecoveryKind] | None, typer.Option(help="Only these; several may be given.")] = None,
    verdict: Annotated[
        list[Verdict] | None, typer.Option(help="Only decisions with this verdict; several may be given.")
    ] = None,
    limit: Annotated[int, typer.Option(help="Most entries, the newest; 0 lists all.", min=0)] = 100,
    as_json: Json = False,
) -> None:
    """What was decided, also when it was: nothing, what was ordered, done, verified and answered; oldest first. Kept for four
    weeks.
    """
    asked = _parameters(since, until) | {
        "incident": [incident] if incident else [],
        "kind": [*map(str, kind or ())],
        "verdict": [*map(str, verdict or ())],
        "limit": [str(PAGE)],
    }
    found, more = asyncio.run(_log(asked, limit))
    if as_json:
        print_json({"items": [entry.model_dump(mode="json") for entry in found], "more": more})
        return
    console().print(log_table(found) if found else "Nothing was decided or done.")
    if more:
        messages().print(f"The last {limit} are shown; --limit 0 lists all.", style="dim")


@recovery.command("pause")
def pause(
    lasting: Annotated[str | None, typer.Option("--for", help="How long: 90m, 2h, 1d; seven days at most.")] = None,
    until: Annotated[str | None, typer.Option(help="Until when: 2026-01-31T18:00.")] = None,
    because: Annotated[str | None, typer.Option("--because", help="Why; it is shown as long.", metavar="TEXT")] = None,
    as_json: Json = False,
) -> None:
    """Have the system act upon nothing until it ends; it still looks, and tells people. Without options: whether it is paused."""
    ends_at = end_of(lasting, until)
    if ends_at is None:
        if because is not None:
            raise CommandError(
                "a pause has an end: say how long with --for 2h, or until when with --until 2026-01-31T18:00",
                code=Exit.USAGE,
            )
        _say_pause(asyncio.run(_pause()), as_json=as_json)
        return
    body = {"reason": because or "no reason given", "ends_at": ends_at.isoformat(), "claimed_by": whoever()}
    before, now = asyncio.run(_pause_until(body))
    _say_pause(now, as_json=as_json)
    if before.paused:
        messages().print(f"It replaces the one until {shown(before.ends_at)}, by {_who(before)}: {before.reason}.")


@recovery.command("resume")
def resume(as_json: Json = False) -> None:
    """End the pause: the system repairs again, as its policy lets it."""
    _say_pause(asyncio.run(_resume()), as_json=as_json)


@recovery.command("approve")
def approve(decision: DecisionId, because: Because = "no reason given", as_json: Json = False) -> None:
    """Say yes to a decision that waits for a person. The first answer counts; exit code 1 when it comes too late."""
    _say_answer(asyncio.run(_answer(decision, True, because)), as_json=as_json)


@recovery.command("refuse")
def refuse(decision: DecisionId, because: Because = "no reason given", as_json: Json = False) -> None:
    """Say no to a decision that waits for a person. The first answer counts; exit code 1 when it comes too late."""
    _say_answer(asyncio.run(_answer(decision, False, because)), as_json=as_json)


def _say_pause(found: PauseView, *, as_json: bool) -> None:
    if as_json:
        print_json(found.model_dump(mode="json"))
    elif found.paused:
        console().print(
            f"Paused until {shown(found.ends_at)}, since {shown(found.since)}, by {_who(found)}: {found.reason}. "
            "To end it before: waggle recovery resume"
        )
    else:
        console().print("Not paused: the system repairs as its policy lets it.")


def _who(pause: PauseView) -> str:
    return pause.claimed_by or pause.by or "somebody"


def _say_answer(found: Answered, *, as_json: bool) -> None:
    if as_json:
        print_json(found.plain())
        return
    said = "It is to be done" if found.approved else "It is not to be done"
    incident = f" `waggle incidents {found.incident}` shows what comes of it." if found.incident else ""
    console().print(f"{said}: {found.decision}.{incident}")


def _parameters(since: str, until: str | None) -> dict[str, list[str]]:
    end = None if until is None else moment_of(until, "--until")
    start = beginning_of(since, "--since", end=end)
    return {"since": [start.isoformat()], "until": [] if end is None else [end.isoformat()]}


async def _policy() -> dict[str, Any]:
    async with gateway() as client:
        return await client.recovery_policy()


async def _plan() -> RecoveryPlanView:
    async with gateway() as client:
        return await client.recovery_plan()


async def _log(asked: Parameters, limit: int) -> tuple[list[RecoveryEntry], bool]:
    async with gateway() as client:
        return await newest(client.recoveries, asked, limit=limit)


async def _pause() -> PauseView:
    async with gateway() as client:
        return await client.recovery_pause()


async def _pause_until(body: dict[str, Any]) -> tuple[PauseView, PauseView]:
    """What there was before, and what there is now."""
    async with gateway() as client:
        return await client.recovery_pause(), await client.pause_recovery(body)


async def _resume() -> PauseView:
    async with gateway() as client:
        return await client.resume_recovery()


async def _answer(decision: str, approved: bool, because: str) -> Answered:
    body = {"decision": decision, "approved": approved, "reason": because, "claimed_by": whoever()}
    async with gateway() as client:
        return await client.answer_decision(body)
