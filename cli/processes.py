"""`waggle worker`, `gateway`, `provision`: the processes that `waggle up`, a container or a service manager runs."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from enum import StrEnum
from importlib import import_module
from typing import Any, TypeVar

import typer

from contracts.settings import (
    EmbedSettings,
    GatewaySettings,
    GenerateSettings,
    IngestSettings,
    KeeperSettings,
    ObserverSettings,
    OperatorSettings,
    ProcessSettings,
    RetrieveSettings,
)
from observability.logging import configure_logging

app = typer.Typer()

Result = TypeVar("Result")


class Service(StrEnum):
    INGEST = "ingest"
    EMBED = "embed"
    RETRIEVE = "retrieve"
    GENERATE = "generate"
    KEEPER = "keeper"
    OBSERVER = "observer"
    OPERATOR = "operator"


SETTINGS: dict[Service, type[ProcessSettings]] = {
    Service.INGEST: IngestSettings,
    Service.EMBED: EmbedSettings,
    Service.RETRIEVE: RetrieveSettings,
    Service.GENERATE: GenerateSettings,
    Service.KEEPER: KeeperSettings,
    Service.OBSERVER: ObserverSettings,
    Service.OPERATOR: OperatorSettings,
}


@app.command()
def worker(service: Service) -> None:
    """Run one worker until SIGTERM or Ctrl-C; it finishes what it has in hand first."""
    settings = SETTINGS[service].load()
    configure_logging(level=settings.log_level, format=settings.log_format, service=service, instance=settings.instance)
    build = import_module(f"workers.{service}.worker").build
    raise typer.Exit(_run(build(settings, **_means(service, settings)).run()))


@app.command()
def gateway() -> None:
    """Run the HTTP gateway until SIGTERM or Ctrl-C."""
    from gateway.server import serve

    raise typer.Exit(_run(serve(GatewaySettings.load())))


@app.command()
def provision() -> None:
    """Create or correct the broker's streams, consumers and buckets; says what it changed."""
    from cli.broker import CONNECT_S, broker_settings
    from deploy.local.provisioning import provision as apply

    for line in apply(broker_settings(), connect_s=CONNECT_S) or ["everything is as it should be"]:
        typer.echo(line)


def _means(service: Service, settings: ProcessSettings) -> dict[str, Any]:
    """What a worker is given that it may not import: the observer sees the stack of its data folder, the operator acts upon it."""
    if service not in {Service.OBSERVER, Service.OPERATOR}:
        return {}
    from deploy.local.layout import layout_of
    from deploy.platforms.local import LocalPlatform

    return {"platform": LocalPlatform(layout_of(settings))}


def _run(coroutine: Coroutine[Any, Any, Result]) -> Result:
    try:
        import uvloop
    except ImportError:  # not made for every platform; asyncio's own loop does
        return asyncio.run(coroutine)
    return uvloop.run(coroutine)
