"""The keeper: work that belongs to no single message. Two or more may run."""

from __future__ import annotations

from contracts import topology
from contracts.advisories import DeliveryAdvisory
from contracts.settings import KeeperSettings
from messaging.app import WorkerApp
from messaging.delivery import Delivery
from workers.keeper.exhaustion import Exhaustion
from workers.keeper.timekeeper import Timekeeper

SERVICE = "keeper"
ADVISORIES_AT_ONCE = 4


def build(settings: KeeperSettings, *, table: topology.Topology | None = None) -> WorkerApp:
    """A keeper that ends queries at their deadlines, and messages that ran out of deliveries.

    `table` is the topology where it is not the usual one.
    """
    app = WorkerApp(settings, service=SERVICE, table=table)

    parts = Parts(app)
    app.on_startup(parts.start)
    app.background("timekeeper", parts.keep_time)

    @app.consumes(topology.KEEPER_ADVISORIES, DeliveryAdvisory, concurrency=ADVISORIES_AT_ONCE)
    async def on_advisory(advisory: DeliveryAdvisory, _: Delivery) -> None:
        await parts.exhaustion.end(advisory)

    return app


class Parts:
    """What the keeper is made of; put together once the broker is there."""

    exhaustion: Exhaustion

    def __init__(self, app: WorkerApp) -> None:
        self._app = app

    async def start(self) -> None:
        self.exhaustion = Exhaustion(self._app.broker)

    async def keep_time(self) -> None:
        await Timekeeper(self._app.broker).run()
