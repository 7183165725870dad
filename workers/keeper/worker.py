"""The keeper: work that belongs to no single message. Two or more may run."""

from __future__ import annotations

from contracts.settings import KeeperSettings
from messaging.app import WorkerApp
from workers.keeper.timekeeper import Timekeeper

SERVICE = "keeper"


def build(settings: KeeperSettings) -> WorkerApp:
    """A keeper that ends queries at their deadlines."""
    app = WorkerApp(settings, service=SERVICE)

    async def keep_time() -> None:
        await Timekeeper(app.broker).run()

    app.background("timekeeper", keep_time)
    return app
