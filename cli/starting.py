"""Starting and stopping a stack with its progress shown; used by `up`, `down` and `demo`."""

from __future__ import annotations

import time
from dataclasses import dataclass

from rich.console import Console, Group
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from cli.exits import CommandError
from cli.output import messages
from deploy.local.errors import StartError
from deploy.local.layout import Layout
from deploy.local.readiness import Failing, Stage, Status, watch
from deploy.local.stack import LocalStack
from deploy.local.stopping import stop
from observability.logging import readable

_STYLES = {Stage.READY: "green", Stage.STARTING: "cyan", Stage.RESTARTING: "yellow"}


@dataclass(frozen=True, kw_only=True)
class Started:
    """A stack whose processes are all ready, and what they wait for."""

    took_s: float
    failing: tuple[Failing, ...]


def bring_up(stack: LocalStack, *, timeout_s: float) -> Started:
    """Start `stack` and wait until every process is ready.

    Raises `CommandError` with the end of the log of what did not start; everything is stopped again then.
    """
    began = time.monotonic()
    screen = messages()
    statuses = list[Status]()
    try:
        with Live(console=screen, transient=True, refresh_per_second=8) as live:
            stack.start(on_step=lambda step: _show_step(screen, live, step))
            for statuses in watch(stack, timeout_s=timeout_s - (time.monotonic() - began)):
                live.update(_progress(statuses))
    except StartError as error:
        stack.stop()
        lines = "\n".join(readable(line) for line in error.log.splitlines())
        log = f"The end of its log:\n{lines}" if error.log else f"The logs are in {stack.layout.logs}."
        raise CommandError(str(error), hint=log) from error
    failing = tuple(failing for status in statuses for failing in status.failing)
    return Started(took_s=time.monotonic() - began, failing=failing)


def take_down(layout: Layout) -> bool:
    """Stop the stack of a data folder, showing who still has to end. False when nothing ran."""
    screen = messages()
    with Live(console=screen, transient=True, refresh_per_second=8) as live:
        stopped = stop(layout, on_progress=lambda alive: live.update(_remaining(alive)))
    if stopped:
        screen.print("Stopped.", style="dim")
    return stopped


def _show_step(screen: Console, live: Live, step: str) -> None:
    if screen.is_terminal:
        live.update(Spinner("dots", text=step))
    else:
        screen.print(step)


def _progress(statuses: list[Status]) -> Group:
    ready = sum(status.stage is Stage.READY for status in statuses)
    lines = [Text.assemble("  ", (f"{s.name:<12}", "bold"), (s.stage, _STYLES[s.stage])) for s in statuses]
    return Group(Spinner("dots", text=f"{ready} of {len(statuses)} processes ready"), *lines)


def _remaining(alive: list[str]) -> Spinner:
    return Spinner("dots", text=f"stopping; still to end: {', '.join(alive) or 'the supervisor'}")
