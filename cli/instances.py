"""`waggle start`, `stop`, `restart`, `scale`: processes of the stack that runs on this host."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext
from dataclasses import asdict
from typing import Annotated, Any, Final

import typer
from rich.live import Live
from rich.spinner import Spinner

from cli.acting import reachable, told
from cli.awaiting import await_ready
from cli.exits import CommandError, Exit
from cli.output import Json, console, messages, print_json
from cli.target import gateway_here
from contracts.audit import AuditKind
from contracts.platform_errors import NotATargetError, OutOfBoundsError, PlatformAwayError, UnknownTargetError
from contracts.platforms import Instance, InstanceState, Scaled
from contracts.settings import AllSettings
from deploy.local.addresses import RunningStack
from deploy.local.layout import Layout, layout_of
from deploy.local.programs import BROKER
from deploy.platforms.local import LocalPlatform
from deploy.platforms.slots import has_run
from deploy.platforms.targets import require_known
from messaging.broker import Broker

app = typer.Typer()

READY_S = 180.0
_REFUSALS: Final = (NotATargetError, UnknownTargetError, OutOfBoundsError)

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="A process, as `waggle status` names it (embed-2), or a service (embed).")
]
Timeout = Annotated[float, typer.Option(help="Seconds until what was started has to be ready.", min=0)]
Show = Callable[[str], None]


@app.command()
def start(name: Name, timeout: Timeout = READY_S, as_json: Json = False) -> None:
    """Start a process that was stopped, and wait until it is ready; of a service the first one, unless one runs."""
    started = _each(
        name,
        _first_unless_one_runs,
        lambda instance, show: _started(instance, timeout, show, restart=False),
        action="start",
        doing="starting {}",
        done="{} is ready.",
        as_json=as_json,
    )
    if not (started or as_json):
        console().print(f"{name} runs. `waggle scale {name} N` has more of it run.")


@app.command()
def stop(name: Name, as_json: Json = False) -> None:
    """Stop a process, or all of a service; each finishes what it has in hand first.

    It stays stopped until `waggle start`, `waggle scale`, or the next `waggle up`. `waggle down` stops everything.
    """
    stopped = _each(
        name,
        lambda instances: [*reversed(_running(instances))],
        lambda instance, _: _platform().stop(instance),
        action="stop",
        doing="stopping {}: it finishes what it has in hand",
        done="{} is stopped.",
        as_json=as_json,
    )
    if not (stopped or as_json):
        console().print(f"No {name} runs.")


@app.command()
def restart(name: Name, timeout: Timeout = READY_S, as_json: Json = False) -> None:
    """Stop a process, which finishes what it has in hand, start it again, and wait until it is ready; those of a service one
    after another, so that the others go on.
    """
    restarted = _each(
        name,
        _running,
        lambda instance, show: _started(instance, timeout, show, restart=True),
        action="restart",
        doing="restarting {}: it finishes what it has in hand",
        done="{} was restarted and is ready.",
        as_json=as_json,
    )
    if not (restarted or as_json):
        console().print(f"No {name} runs: `waggle start {name}` has one run.")


@app.command()
def scale(
    service: Annotated[str, typer.Argument(help="Such as embed.")],
    replicas: Annotated[int, typer.Argument(help="How many processes of it are to run.")],
    timeout: Timeout = READY_S,
    as_json: Json = False,
) -> None:
    """Have a number of processes of a service run, until the next `waggle up`.

    Those that are missing are started and waited for; of too many the last ones finish what they have in hand, and stop.
    """
    with _showing(f"scaling {service} to {replicas}") as show:
        scaled = asyncio.run(_scaled(service, replicas, timeout, show))
    if as_json:
        print_json(asdict(scaled))
    else:
        console().print(_said(scaled))


def _each(
    name: str,
    meant: Callable[[Sequence[Instance]], Sequence[Instance]],
    change: Callable[[str, Show], Coroutine[Any, Any, Instance]],
    *,
    action: str,
    doing: str,
    done: str,
    as_json: bool,
) -> list[Instance]:
    """Change the process of that name, or those that are `meant` of a service, one after another, and tell of each."""
    with _showing(f"looking for {name}"):
        seen = asyncio.run(_platform().list())
        _require_known(name, seen)
    of_service = [instance for instance in seen if instance.service == name != instance.instance]
    names = [instance.instance for instance in meant(of_service)] if of_service else [name]
    changed = list[Instance]()

    async def one_after_another() -> None:
        async with reachable("audit") as broker:
            for each in names:
                with _showing(doing.format(each)) as show:
                    async with _told(broker, action, each):
                        changed.append(await change(each, show))
                if not as_json:
                    console().print(done.format(each))

    try:
        if names:
            asyncio.run(one_after_another())
    finally:  # also what was done before another one failed
        items = [asdict(instance) for instance in changed]
        if as_json and of_service:
            print_json({"items": items})
        elif as_json and items:
            print_json(items[0])
    return changed


def _told(broker: Broker | None, action: str, target: str, detail: str = "") -> AbstractAsyncContextManager[None]:
    """In the audit, where there is a broker to tell."""
    if broker is None:
        return nullcontext()
    return told(broker, AuditKind.CONTROL, action, target=target, detail=detail, refusals=_REFUSALS)


def _require_known(name: str, seen: Sequence[Instance]) -> None:
    """Raises `UnknownTargetError` with the nearest of what is there: services that have one, and processes that run; of those that were
    stopped, too, where that is all there is. Other slots are in reserve.
    """
    there = _running(seen) or [instance for instance in seen if has_run(instance)]
    require_known(
        name,
        {each for instance in seen for each in (instance.service, instance.instance)},
        what="process or service",
        never={BROKER},
        offered=[each for instance in there for each in (instance.service, instance.instance)],
    )


def _running(instances: Sequence[Instance]) -> list[Instance]:
    return [instance for instance in instances if instance.state is not InstanceState.STOPPED]


def _first_unless_one_runs(instances: Sequence[Instance]) -> Sequence[Instance]:
    return () if _running(instances) else instances[:1]


def _said(scaled: Scaled) -> str:
    """As `embed: 1 → 2, started embed-2`."""
    changes = [f"started {', '.join(scaled.started)}"] if scaled.started else []
    changes += [f"stopped {', '.join(scaled.stopped)}"] if scaled.stopped else []
    return ", ".join([f"{scaled.service}: {scaled.before} → {scaled.after}", *changes])


async def _started(instance: str, timeout_s: float, show: Show, *, restart: bool) -> Instance:
    platform = _platform()
    started = await (platform.restart(instance) if restart else platform.start(instance))
    await _await([instance], timeout_s, show)
    return started


async def _scaled(service: str, replicas: int, timeout_s: float, show: Show) -> Scaled:
    await _platform().list()  # where no stack runs there is nothing to tell of
    async with reachable("audit") as broker, _told(broker, "scale", service, f"to {replicas}"):
        scaled = await _platform().scale(service, replicas)
        await _await(scaled.started, timeout_s, show)
    return scaled


async def _await(instances: Collection[str], timeout_s: float, show: Show) -> None:
    if not instances:
        return
    settings = AllSettings.load()
    running = RunningStack.read(_layout())
    if running is None:
        raise PlatformAwayError("The stack was stopped meanwhile: start it with `waggle up`.")
    async with gateway_here(settings, running) as client:
        await await_ready(
            _platform(),
            client,
            instances,
            timeout_s=timeout_s,
            on_progress=lambda late: show(f"waiting until {', '.join(late)} {'is' if len(late) == 1 else 'are'} ready"),
        )


def _layout() -> Layout:
    return layout_of(AllSettings.load())


def _platform() -> LocalPlatform:
    return LocalPlatform(_layout())


@contextmanager
def _showing(text: str) -> Iterator[Show]:
    """Progress where people see it; refusals end the command with the code of wrong usage."""
    screen = messages()
    try:
        with Live(Spinner("dots", text=text), console=screen, transient=True, refresh_per_second=8) as live:
            yield lambda step: live.update(Spinner("dots", text=step))
    except _REFUSALS as error:
        raise CommandError(str(error), code=Exit.USAGE) from error
    except PlatformAwayError as error:
        raise CommandError(str(error), code=Exit.UNREACHABLE) from error
