"""`waggle pause|resume|drain|stacks`: orders to one worker, or to all of a service."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

import typer

from cli.acting import told
from cli.broker import connected
from cli.exits import CommandError, Exit
from cli.output import Json, console, messages, print_json
from cli.person import whoever
from cli.target import gateway
from contracts.audit import AuditKind
from contracts.control import LONGEST_REASON, ControlAction, ControlOrder, ControlOutcome, ControlReply
from contracts.health import HEARTBEAT_INTERVAL_S
from contracts.identifiers import TOKEN, new_id
from messaging.broker import Broker
from messaging.control import ControlDesk, NotHeardError
from messaging.fleet import FleetView

app = typer.Typer()

GATEWAY = "gateway"
"""The one process that takes no orders."""
LISTEN_S = HEARTBEAT_INTERVAL_S + 0.5
"""Every process has told of itself by then."""
LONGEST_DEADLINE_S = 3600
NO_REASON = "no reason given"

Named = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="A worker, as `waggle status` shows it (embed-1; embed/NAME if two share one), or a service (embed): all of it.",
    ),
]
Because = Annotated[str, typer.Option(help="Why, for whoever reads its log.")]
Deadline = Annotated[float, typer.Option(help="Seconds until the order expires.", min=1, max=LONGEST_DEADLINE_S)]

_SHORT_S, _LONG_S = 30.0, 300.0

Name = tuple[str, str]
"""Service and instance."""


@app.command()
def pause(name: Named, because: Because = NO_REASON, deadline: Deadline = _SHORT_S, as_json: Json = False) -> None:
    """Have a worker take no new work, until it is resumed or started again; what it has in hand it finishes."""
    finish(_ordered(ControlAction.PAUSE, name, because, deadline), as_json=as_json)


@app.command()
def resume(name: Named, because: Because = NO_REASON, deadline: Deadline = _SHORT_S, as_json: Json = False) -> None:
    """Have a paused worker take work again."""
    finish(_ordered(ControlAction.RESUME, name, because, deadline), as_json=as_json)


@app.command()
def drain(name: Named, because: Because = NO_REASON, deadline: Deadline = _LONG_S, as_json: Json = False) -> None:
    """Pause a worker and wait until it has nothing in hand. Exit code 1 when that is not so by the deadline."""
    finish(_ordered(ControlAction.DRAIN, name, because, deadline), as_json=as_json)


@app.command()
def stacks(name: Named, because: Because = NO_REASON, deadline: Deadline = _SHORT_S, as_json: Json = False) -> None:
    """What every thread and task of a worker is doing, as text; it keeps that in a file among its logs, too."""
    finish(_ordered(ControlAction.DUMP_STACKS, name, because, deadline), as_json=as_json, tell=_tell_stacks)


@dataclass(frozen=True)
class Answers:
    """What the workers of a name said, those who said nothing, and why others were not asked; `is_service` if the name is that of
    a service.
    """

    replies: Sequence[ControlReply]
    silent: Sequence[NotHeardError]
    advice: str
    is_service: bool
    unable: Sequence[str] = ()


def _ordered(action: ControlAction, named: str, because: str, deadline_s: float) -> Answers:
    reason = because.strip()[:LONGEST_REASON] or NO_REASON
    return asyncio.run(_order(action, named, reason, deadline_s))


async def _order(action: ControlAction, named: str, reason: str, deadline_s: float) -> Answers:
    async with connected("control") as broker:
        await broker.look()  # orders expire by the broker's time
        meant = await _found(broker, named)

        async def order(service: str, instance: str) -> ControlReply | NotHeardError:
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
                async with telling if action is not ControlAction.DUMP_STACKS else nullcontext():
                    return await ControlDesk(broker).order(order)
            except NotHeardError as error:
                return error

        with messages().status(f"{named}: {action.value.replace('_', ' ')}"):
            answers = await asyncio.gather(*(order(*name) for name in meant if name[0] != GATEWAY))
    is_service = named not in {name for service, instance in meant for name in (instance, f"{service}/{instance}")}
    unheard = await _unheard(named, {instance for _, instance in meant}) if is_service else []
    return Answers(
        replies=[answer for answer in answers if isinstance(answer, ControlReply)],
        silent=[*(answer for answer in answers if isinstance(answer, NotHeardError)), *unheard],
        advice=_advice(named),
        is_service=is_service,
        unable=[f"{instance}: refused: {_no_orders(action)}" for service, instance in meant if service == GATEWAY],
    )


async def _found(broker: Broker, named: str) -> Sequence[Name]:
    """The workers that are meant. Raises `CommandError` with the nearest names when there are none, or it is not clear which."""
    fleet = FleetView(broker)
    await fleet.start()
    try:
        with messages().status("listening who runs"):
            await asyncio.sleep(LISTEN_S)
    finally:
        await fleet.stop()
    heard = [(member.heartbeat.service, member.heartbeat.instance) for member in fleet.members() if member.alive]
    return chosen(named, heard)


async def _unheard(service: str, heard: Collection[str]) -> list[NotHeardError]:
    """Those of a service that the gateway has heard of in the last minutes, and nobody now. Without a gateway nobody knows of them."""
    try:
        async with gateway() as client:
            known = [member.instance for member in (await client.fleet()).items if member.service == service]
    except CommandError:
        return []
    return [NotHeardError(f"{name} is not heard, and was told nothing") for name in known if name not in heard]


def chosen(named: str, heard: Iterable[Name]) -> Sequence[Name]:
    """The process that is meant by `INSTANCE` or `SERVICE/INSTANCE`, or all that are by `SERVICE`.

    Raises `CommandError` when nobody is, or several share the name of an instance.
    """
    heard = sorted(heard)
    found = [name for name in heard if named in (name[1], "/".join(name))]
    if len(found) > 1:
        names = ", ".join("/".join(name) for name in found)
        raise CommandError(f"{named} may be any of {names}", hint="Name it with its service.", code=Exit.USAGE)
    if found := found or [name for name in heard if named == name[0]]:
        return found
    if not heard:
        hint = "No process is heard at this broker: start Waggle with `waggle up`, or set WAGGLE_NATS_URL."
        raise CommandError(f"nobody is called {named}", hint=hint, code=Exit.USAGE)
    known = list(dict.fromkeys(name for names in heard for name in names))
    near = difflib.get_close_matches(named.rpartition("/")[2], known, cutoff=0.5) or [name for _, name in heard][:10]
    there = f"There are: {', '.join(dict.fromkeys(near))}. A service may be named, too: all of it."
    raise CommandError(f"nobody who is heard is called {named}", hint=f"{there} {_advice(named)}", code=Exit.USAGE)


def _no_orders(action: ControlAction) -> str:
    if action is ControlAction.DUMP_STACKS:
        return "it takes no orders; `kill -USR1 PID` on its host has it write the stacks of its threads among its logs"
    return "it takes no work from queues"


def _advice(named: str) -> str:
    """What hangs is not heard, or does not answer."""
    name = named.rpartition("/")[2]
    restart = f"waggle restart {name if TOKEN.fullmatch(name) else 'NAME'}"
    return (
        "`waggle status` shows who runs and what they are doing. Of one that hangs, `kill -USR1 PID` on its host has it write "
        f"the stacks of its threads among its logs, and `{restart}` starts it anew."
    )


def _tell_state(reply: ControlReply) -> None:
    console().print(f"{reply.instance} ({reply.service}) is {reply.state.value}: {reply.detail}.")


def _tell_stacks(reply: ControlReply) -> None:
    console().print(reply.evidence)
    messages().print(f"{reply.instance}: {reply.detail}.", style="dim")


def finish(answers: Answers, *, as_json: bool, tell: Callable[[ControlReply], None] = _tell_state) -> None:
    """Tell of each that did as it was told. Ends with exit code 1 unless all did as they were told."""
    failed = [
        f"{reply.instance}: {reply.outcome.value}: {reply.detail}" for reply in answers.replies if not _is_done(reply)
    ]
    failed += [*answers.unable, *map(str, answers.silent)]
    if as_json and answers.replies:
        items = [reply.model_dump(mode="json") for reply in answers.replies]
        print_json({"items": items} if answers.is_service else items[0])
    for reply in () if as_json else filter(_is_done, answers.replies):
        tell(reply)
    if failed and not (as_json and not answers.silent and not answers.unable):
        raise CommandError("; ".join(failed), hint=answers.advice if answers.silent else "")
    raise typer.Exit(Exit.FAILED if failed else Exit.OK)


def _is_done(reply: ControlReply) -> bool:
    return reply.outcome is ControlOutcome.DONE
