"""`waggle worker`, `gateway`, `provision`: the processes that `waggle up`, a container or a service manager runs."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from enum import StrEnum
from importlib import import_module
from typing import Any, TypeVar

import typer

from contracts.settings import (
    BrokerSettings,
    EmbedSettings,
    GatewaySettings,
    GenerateSettings,
    IngestSettings,
    KeeperSettings,
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


SETTINGS: dict[Service, type[ProcessSettings]] = {
    Service.INGEST: IngestSettings,
    Service.EMBED: EmbedSettings,
    Service.RETRIEVE: RetrieveSettings,
    Service.GENERATE: GenerateSettings,
    Service.KEEPER: KeeperSettings,
}


@app.command()
def worker(service: Service) -> None:
    """Run one worker until SIGTERM or Ctrl-C; it finishes what it has in hand first."""
    settings = SETTINGS[service].load()
    configure_logging(level=settings.log_level, format=settings.log_format, service=service, instance=settings.instance)
    build = import_module(f"workers.{service}.worker").build
    raise typer.Exit(_run(build(settings).run()))


@app.command()
def gateway() -> None:
    """Run the HTTP gateway until SIGTERM or Ctrl-C."""
    from gateway.server import serve

    raise typer.Exit(_run(serve(GatewaySettings.load())))


@app.command()
def provision() -> None:
    """Create or correct the broker's streams, consumers and buckets; says what it changed."""
    from deploy.local.provisioning import provision as apply

    for line in apply(BrokerSettings.load()) or ["everything is as it should be"]:
        typer.echo(line)


def _run(coroutine: Coroutine[Any, Any, Result]) -> Result:
    try:
        import uvloop
    except ImportError:  # not made for every platform; asyncio's own loop does
        return asyncio.run(coroutine)
    return uvloop.run(coroutine)
