"""`waggle up`, `down`, `logs`: the whole of Waggle on this host."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated

import typer

from cli.exits import CommandError, Exit
from cli.interrupts import interruptible
from cli.output import Json, console, messages, print_json, print_json_line
from cli.starting import Started, bring_up, take_down
from contracts.gateway_settings import Auth
from contracts.settings import AllSettings
from deploy.local import logs as stack_logs
from deploy.local.assembly import CONNECT_S, NATS_PORT, assemble, replicas_of
from deploy.local.errors import StartError
from deploy.local.journal import histories
from deploy.local.layout import layout_of
from deploy.local.programs import OBSERVER
from deploy.local.stack import LocalStack
from observability.logging import readable

app = typer.Typer()

WATCH_S = 1.0


@app.command()
def up(
    replicas: Annotated[list[str] | None, typer.Option(help="SERVICE=COUNT, for example embed=2; repeatable.")] = None,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return once everything is ready.")] = False,
    port: Annotated[int | None, typer.Option(help="Port of the gateway; 0 takes a free one.", min=0, max=65535)] = None,
    nats_port: Annotated[
        int, typer.Option(help="Port of the broker; 0 takes a free one.", min=0, max=65535)
    ] = NATS_PORT,
    timeout: Annotated[float, typer.Option(help="Seconds until everything has to be ready.")] = 180.0,
    as_json: Json = False,
) -> None:
    """Start broker, keeper, workers, gateway, observer and operator, and keep them running until Ctrl-C.

    State is kept in WAGGLE_DATA_DIR. With WAGGLE_NATS_URL set, that broker is used instead of one of our own.
    """
    settings = AllSettings.load()
    stack = assemble(
        settings,
        replicas=_replicas(replicas),
        port=port,
        nats_port=nats_port,
        connect_s=min(CONNECT_S, timeout),
    )
    with interruptible():
        try:
            started = bring_up(stack, timeout_s=timeout)
        except KeyboardInterrupt:
            take_down(stack.layout)
            raise
        _announce(stack, started, as_json=as_json, detached=detach)
        _warn_of_figures(stack, settings)
        if not detach:
            _keep(stack)


@app.command()
def down(as_json: Json = False) -> None:
    """Stop the stack of WAGGLE_DATA_DIR in order: operator, observer, gateway, workers, keeper, broker."""
    layout = layout_of(AllSettings.load())
    stopped = take_down(layout)
    if as_json:
        print_json({"stopped": stopped, "data_dir": str(layout.data_dir)})
    elif not stopped:
        console().print(f"Nothing runs in {layout.data_dir}.")


@app.command()
def logs(
    service: Annotated[str | None, typer.Argument(help="A service (embed) or one process (embed-2).")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as more is written.")] = False,
    as_json: Json = False,
) -> None:
    """What the processes of the stack wrote."""
    layout = layout_of(AllSettings.load())
    names = stack_logs.programs(layout, service)
    if not names:
        wanted = f"{service} has no log" if service else "there are no logs"
        known = ", ".join(stack_logs.programs(layout)) or "none yet; start with `waggle up`"
        raise CommandError(f"{wanted} in {layout.logs}", hint=f"Logs: {known}.")
    for name, line in stack_logs.lines(layout, names, follow=follow):
        if as_json:
            print_json_line({"process": name, "line": line})
        else:
            told = readable(line)
            typer.echo(told if len(names) == 1 else f"{name:<12} {told}")


def _replicas(options: list[str] | None) -> dict[str, int]:
    try:
        return replicas_of([part for option in options or [] for part in option.split(",")])
    except ValueError as error:
        raise CommandError(str(error), code=Exit.USAGE) from error


def _announce(stack: LocalStack, started: Started, *, as_json: bool, detached: bool) -> None:
    url = stack.addresses.url
    if as_json:
        ready = {"url": url, "nats_url": stack.addresses.nats_url, "ready_s": round(started.took_s, 2)}
        print_json({**ready, "failing": [asdict(failing) for failing in started.failing]})
        return
    console().print(
        f"Waggle is ready at {url} after {started.took_s:.1f} s (data in {stack.layout.data_dir})", style="bold"
    )
    if AllSettings.load().auth is Auth.KEYS:
        console().print(
            f"Whoever asks shows an API key. Commands here use that of this host, in {stack.layout.admin_key}; "
            "`waggle keys create` makes others."
        )
    for failing in started.failing:
        console().print(f"{failing.process} waits for its {failing.check}: {failing.detail}", style="yellow")
    if started.failing:
        console().print(
            "What cannot go on without it waits for it; `waggle status` tells when it is back.", style="yellow"
        )
    stop = "`waggle down` stops it" if detached else "Ctrl-C stops it"
    console().print(f'Next: `waggle ingest ./docs`, then `waggle ask "…"`. {stop}.', style="dim")


def _warn_of_figures(stack: LocalStack, settings: AllSettings) -> None:
    """The observer waits for its port without a word here; whoever scrapes it meets a stranger meanwhile."""
    from deploy.checkup import host

    finding = host.observer_port(settings)
    if OBSERVER in stack.fleet.expected() and finding.advice:
        messages().print(f"{finding.detail}. {finding.advice}", style="yellow")


def _keep(stack: LocalStack) -> None:
    """Say what is restarted, until Ctrl-C; then stop all. Ends with an error when the supervisor itself ends."""
    try:
        for line in _restarts(stack, {p.name: p.pid for p in stack.processes()}):
            messages().print(line, style="yellow")
    except KeyboardInterrupt:
        take_down(stack.layout)
    except StartError as error:
        take_down(stack.layout)
        raise CommandError("the supervisor ended; everything was stopped", hint="Start again: `waggle up`.") from error


def _ended_by_itself(stack: LocalStack, program: str) -> bool:
    history = histories(stack.layout.supervisor_log).get(program)
    return history is not None and history.by_itself


def _restarts(stack: LocalStack, known: dict[str, int]) -> Iterator[str]:
    """What the supervisor starts again, from the processes `known` on; not what somebody starts or restarts."""
    while True:
        time.sleep(WATCH_S)
        for process in stack.processes():
            if process.pid not in {0, known[process.name]}:
                known[process.name] = process.pid
                if not _ended_by_itself(stack, process.name):  # somebody started it
                    continue
                yield f"{process.name} had ended and was started again; see `waggle logs {process.name}`"
            if process.state == "FATAL" and known[process.name] != -1:
                known[process.name] = -1
                yield f"{process.name} ends again and again and was given up; see `waggle logs {process.name}`"
