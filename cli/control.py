"""`waggle pause|resume|drain|stacks INSTANCE`: orders to one worker."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Iterable
from contextlib import nullcontext
from datetime import timedelta
from typing import Annotated

import typer

from cli.acting import told
from cli.broker import connected
from cli.exits import CommandError, Exit
from cli.output import Json, console, messages, print_json
from cli.person import whoever
from contracts.audit import AuditKind
from contracts.control import LONGEST_REASON, ControlAction, ControlOrder, ControlOutcome, ControlReply
from contracts.health import HEARTBEAT_INTERVAL_S
from contracts.identifiers import new_id
from messaging.broker import Broker
from messaging.control import ControlDesk, NotHeardError
from messaging.fleet import FleetView

app = typer.Typer()

LISTEN_S = HEARTBEAT_INTERVAL_S + 0.5
"""Every process has told of itself by then."""
LONGEST_DEADLINE_S = 3600
NO_REASON = "no reason given"

Instance = Annotated[
    str, typer.Argument(help="The worker, as `waggle status` shows it; SERVICE/INSTANCE if two share a name.")
]
Because = Annotated[str, typer.Option(help="Why, for whoever reads its log.")]
Deadline = Annotated[float, typer.Option(help="Seconds until the order expires.", min=1, max=LONGEST_DEADLINE_S)]

_SHORT_S, _LONG_S = 30.0, 300.0

Name = tuple[str, str]
"""Service and instance."""


@app.command()
def pause(
    instance: Instance, because: Because = NO_REASON, deadline: Deadline = _SHORT_S, as_json: Json = False
) -> None:
    """Have a worker take no new work, until it is resumed or started again; what it has in hand it finishes."""
    _finish(_ordered(ControlAction.PAUSE, instance, because, deadline), as_json=as_json)


@app.command()
def resume(
    instance: Instance, because: Because = NO_REASON, deadline: Deadline = _SHORT_S, as_json: Json = False
) -> None:
    """Have a paused worker take work again."""
    _finish(_ordered(ControlAction.RESUME, instance, because, deadline), as_json=as_json)


@app.command()
def drain(
    instance: Instance, because: Because = NO_REASON, deadline: Deadline = _LONG_S, as_json: Json = False
) -> None:
    """Pause a worker and wait until it has nothing in hand. Exit code 1 when that is not so by the deadline."""
    _finish(_ordered(ControlAction.DRAIN, instance, because, deadline), as_json=as_json)


@app.command()
def stacks(
    instance: Instance, because: Because = NO_REASON, deadline: Deadline = _SHORT_S, as_json: Json = False
) -> None:
    """What every thread and task of a worker is doing, as text; it keeps that in a file among its logs, too."""
    reply = _ordered(ControlAction.DUMP_STACKS, instance, because, deadline)
    if reply.outcome is ControlOutcome.DONE and not as_json:
        console().print(reply.evidence)
        messages().print(f"{reply.instance}: {reply.detail}.", style="dim")
        raise typer.Exit(Exit.OK)
    _finish(reply, as_json=as_json)


def _ordered(action: ControlAction, instance: str, because: str, deadline_s: float) -> ControlReply:
    reason = because.strip()[:LONGEST_REASON] or NO_REASON
    return asyncio.run(_order(action, instance, reason, deadline_s))


async def _order(action: ControlAction, named: str, reason: str, deadline_s: float) -> ControlReply:
    async with connected("control") as broker:
        await broker.look()  # orders expire by the broker's time
        service, instance = await _found(broker, named)
        order = ControlOrder(
            order_id=new_id(),
            service=service,
            instance=instance,
            action=action,
            reason=reason,
            principal=whoever(),
            expires_at=broker.clock.now() + timedelta(seconds=deadline_s),
        )
        telling = told(broker, AuditKind.CONTROL, action.value, target=f"{service}/{instance}", detail=reason)
        try:
            with messages().status(f"{instance}: {action.value.replace('_', ' ')}"):
                async with telling if action is not ControlAction.DUMP_STACKS else nullcontext():
                    return await ControlDesk(broker).order(order)
        except NotHeardError as error:
            raise CommandError(str(error), hint=_advice(action)) from error


async def _found(broker: Broker, named: str) -> Name:
    """The worker of that name. Raises `CommandError` with the nearest names when there is none, or more than one."""
    fleet = FleetView(broker)
    await fleet.start()
    try:
        with messages().status("listening who runs"):
            await asyncio.sleep(LISTEN_S)
    finally:
        await fleet.stop()
    heard = [(member.heartbeat.service, member.heartbeat.instance) for member in fleet.members() if member.alive]
    return chosen(named, heard)


def chosen(named: str, heard: Iterable[Name]) -> Name:
    """The process that is meant by `INSTANCE` or `SERVICE/INSTANCE`. Raises `CommandError` unless it is exactly one."""
    heard = sorted(heard)
    found = [name for name in heard if named in (name[1], "/".join(name))]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join("/".join(name) for name in found)
        raise CommandError(f"{named} may be any of {names}", hint="Name it with its service.", code=Exit.USAGE)
    if not heard:
        hint = "No process is heard at this broker: start Waggle with `waggle up`, or set WAGGLE_NATS_URL."
        raise CommandError(f"nobody is called {named}", hint=hint, code=Exit.USAGE)
    instances = [instance for _, instance in heard]
    near = difflib.get_close_matches(named.rpartition("/")[2], instances, cutoff=0.5) or instances[:10]
    raise CommandError(
        f"nobody who runs is called {named}", hint=f"There are: {', '.join(dict.fromkeys(near))}", code=Exit.USAGE
    )


def _advice(action: ControlAction) -> str:
    if action is ControlAction.DUMP_STACKS:
        return "On its host `kill -USR1 PID` has it write the stacks of its threads among its logs, also when it hangs."
    return "`waggle status` shows who runs and what they are doing."


def _finish(reply: ControlReply, *, as_json: bool) -> None:
    if as_json:
        print_json(reply.model_dump(mode="json"))
    done = reply.outcome is ControlOutcome.DONE
    if not done and not as_json:
        raise CommandError(f"{reply.instance}: {reply.outcome.value}: {reply.detail}")
    if not as_json:
        console().print(f"{reply.instance} ({reply.service}) is {reply.state.value}: {reply.detail}.")
    raise typer.Exit(Exit.OK if done else Exit.FAILED)
