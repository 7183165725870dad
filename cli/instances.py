"""`waggle start`, `stop`, `restart`, `scale`: single processes of the stack that runs on this host."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated

import typer
from rich.live import Live
from rich.spinner import Spinner

from cli.awaiting import await_ready
from cli.exits import CommandError, Exit
from cli.output import Json, console, messages, print_json
from cli.target import gateway_here
from contracts.platform_errors import NotATargetError, OutOfBoundsError, PlatformAwayError, UnknownTargetError
from contracts.platforms import Instance, Scaled
from contracts.settings import AllSettings
from deploy.local.addresses import RunningStack
from deploy.local.layout import Layout, layout_of
from deploy.platforms.local import LocalPlatform

app = typer.Typer()

READY_S = 180.0

Name = Annotated[str, typer.Argument(metavar="INSTANCE", help="One process, as `waggle status` names it: embed-2.")]
Timeout = Annotated[float, typer.Option(help="Seconds until what was started has to be ready.", min=0)]
Show = Callable[[str], None]


@app.command()
def start(instance: Name, timeout: Timeout = READY_S, as_json: Json = False) -> None:
    """Start one process that was stopped, and wait until it is ready."""
    with _showing(f"starting {instance}") as show:
        started = asyncio.run(_started(instance, timeout, show, restart=False))
    _tell(started, f"{instance} is ready.", as_json=as_json)


@app.command()
def stop(instance: Name, as_json: Json = False) -> None:
    """Stop one process; it finishes what it has in hand first.

    It stays stopped until `waggle start`, `waggle scale`, or the next `waggle up`. `waggle down` stops everything.
    """
    with _showing(f"stopping {instance}: it finishes what it has in hand"):
        stopped = asyncio.run(_platform().stop(instance))
    _tell(stopped, f"{instance} is stopped.", as_json=as_json)


@app.command()
def restart(instance: Name, timeout: Timeout = READY_S, as_json: Json = False) -> None:
    """Stop one process, which finishes what it has in hand, start it again, and wait until it is ready."""
    with _showing(f"restarting {instance}: it finishes what it has in hand") as show:
        restarted = asyncio.run(_started(instance, timeout, show, restart=True))
    _tell(restarted, f"{instance} was restarted and is ready.", as_json=as_json)


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


def _tell(instance: Instance, text: str, *, as_json: bool) -> None:
    if as_json:
        print_json(asdict(instance))
    else:
        console().print(text)


@contextmanager
def _showing(text: str) -> Iterator[Show]:
    """Progress where people see it; refusals end the command with the code of wrong usage."""
    screen = messages()
    try:
        with Live(Spinner("dots", text=text), console=screen, transient=True, refresh_per_second=8) as live:
            yield lambda step: live.update(Spinner("dots", text=step))
    except (NotATargetError, UnknownTargetError, OutOfBoundsError) as error:
        raise CommandError(str(error), code=Exit.USAGE) from error
    except PlatformAwayError as error:
        raise CommandError(str(error), code=Exit.UNREACHABLE) from error
