"""A process of the stack under test: `python -m tests.faults.worker SERVICE`.

It is put together by the production builders, then wrapped from outside: fault points, and, in control runs, without
one of the safeguards.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from importlib import import_module
from pathlib import Path
from typing import Any

import uvloop

from cli.processes import SETTINGS, Service
from contracts.settings import GatewaySettings
from messaging import running
from messaging.app import WorkerApp
from observability.logging import configure_logging
from tests.faults import manners
from tests.faults.plans import FOLDER_VARIABLE, Plans
from tests.faults.points import points_of
from tests.faults.scale import Scale
from tests.faults.striking import Striker

GATEWAY = "gateway"
MANNERS_VARIABLE = "WAGGLE_TEST_MANNERS"
"""Names of `tests.faults.manners`, comma separated."""
DELIVERIES = "deliveries.log"


def main() -> int:
    service, folder = sys.argv[1], Path(os.environ[FOLDER_VARIABLE])
    striker = Striker(Plans(folder))
    striker.watch_deliveries(folder / DELIVERIES)
    striker.install(points_of(service))
    for name in filter(None, os.environ.get(MANNERS_VARIABLE, "").split(",")):
        manners.MANNERS[name]()
    if service == GATEWAY:
        from gateway.server import serve

        return run(serve(GatewaySettings.load()))
    return run(_worker(Service(service), Scale.from_environment(), folder).run())


def run(coroutine: Coroutine[Any, Any, int]) -> int:
    return uvloop.run(coroutine)


def _worker(service: Service, scale: Scale, folder: Path) -> WorkerApp:
    settings = SETTINGS[service].load()
    configure_logging(level=settings.log_level, format=settings.log_format, service=service, instance=settings.instance)
    build: Callable[..., WorkerApp] = import_module(f"workers.{service}.worker").build
    if scale.watch_s is not None:
        running.WATCH_INTERVAL_S = scale.watch_s
    if scale.renewed_s is not None and service in (Service.EMBED, Service.RETRIEVE):
        import_module("workers.indexing.lance").RENEWED_AFTER_S = scale.renewed_s  # type: ignore[attr-defined]  # it has
    own: dict[Service, dict[str, Any]] = {
        Service.EMBED: {} if scale.kept_s is None else {"kept_s": scale.kept_s},
        Service.KEEPER: {"rhythm": scale.rhythm},
    }
    app = build(settings, table=scale.table, **own.get(service, {}))
    app.background("announcement", lambda: _announce(app, ready_file(folder, os.getpid())))
    return app


async def _announce(app: WorkerApp, file: Path) -> None:
    await app.wait_ready()
    await asyncio.to_thread(file.touch)


def ready_file(folder: Path, pid: int) -> Path:
    """It is there once the worker takes messages."""
    return folder / f"{pid}.ready"


if __name__ == "__main__":
    sys.exit(main())
