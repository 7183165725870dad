"""The keeper: work that belongs to no single message. Two or more may run."""

from __future__ import annotations

from contracts import topology
from contracts.advisories import DeliveryAdvisory
from contracts.backends import LEDGER
from contracts.health import BackendCheck
from contracts.settings import KeeperSettings
from messaging.app import WorkerApp
from messaging.delivery import Delivery
from messaging.leases import Leases
from messaging.ledger import DocumentLedger
from messaging.ledger_check import LedgerCheck
from workers.keeper.deadlines import Deadlines
from workers.keeper.exhaustion import Exhaustion
from workers.keeper.reconciliation.factory import reconciler
from workers.keeper.reconciliation.finding import Rhythm
from workers.keeper.timekeeper import Timekeeper
from workers.keeper.withdrawals import Withdrawals

SERVICE = "keeper"
ADVISORIES_AT_ONCE = 4


def build(
    settings: KeeperSettings,
    *,
    table: topology.Topology | None = None,
    rhythm: Rhythm = Rhythm(),  # noqa: B008 (frozen)
) -> WorkerApp:
    """A keeper that ends queries at their deadlines and messages that ran out of deliveries, restores streams and consumers
    that were lost, and puts right what does not fit together.

    `table` is the topology where it is not the usual one, `rhythm` that of the reconciler.
    """
    app = WorkerApp(settings, service=SERVICE, table=table, restores=True)

    parts = Parts(app, table or topology.Topology(), rhythm)
    app.on_startup(parts.start)
    app.check(LEDGER, parts.look, every_s=settings.probe_interval_s)
    app.background("timekeeper", parts.keep_time)
    app.background("withdrawals", parts.withdraw)
    app.background("reconciler", parts.reconcile)

    @app.consumes(topology.KEEPER_ADVISORIES, DeliveryAdvisory, concurrency=ADVISORIES_AT_ONCE)
    async def on_advisory(advisory: DeliveryAdvisory, _: Delivery) -> None:
        await parts.exhaustion.end(advisory)

    return app


class Parts:
    """What the keeper is made of; put together once the broker is there."""

    exhaustion: Exhaustion
    _ledger: LedgerCheck

    def __init__(self, app: WorkerApp, table: topology.Topology, rhythm: Rhythm) -> None:
        self._app = app
        self._table = table
        self._rhythm = rhythm
        self._deadlines = Deadlines()

    async def start(self) -> None:
        app = self._app
        self.exhaustion = Exhaustion(app.broker)
        self._ledger = LedgerCheck(
            app.broker,
            DocumentLedger(app.broker),
            instance=app.settings.instance,
        )

    async def look(self) -> BackendCheck:
        """Whether the ledger can be read and written."""
        return await self._ledger.look()

    async def keep_time(self) -> None:
        await Timekeeper(self._app.broker, deadlines=self._deadlines).run()

    async def withdraw(self) -> None:
        await Withdrawals(self._app.broker, self._deadlines).run()

    async def reconcile(self) -> None:
        app = self._app
        leases = Leases(app.broker, holder=app.settings.instance, bucket=self._table.leases)
        async with reconciler(app.broker, meter=app.meter, rhythm=self._rhythm, table=self._table) as ours:
            await ours.run(leases)
