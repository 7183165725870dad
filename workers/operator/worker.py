"""The operator: does what the observer orders, within its own bounds. It has no part in deciding."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from contracts import topology
from contracts.diagnoses import RecommendedAction
from contracts.errors import PermanentError
from contracts.health import BackendCheck, CheckStatus
from contracts.platforms import Platform
from contracts.recovery import LONGEST_ACTION_S, OPERATOR, RecoveryCommand
from contracts.settings import OperatorSettings
from messaging.app import WorkerApp
from messaging.configuration import ConfigBook
from messaging.delivery import Delivery
from messaging.fleet import FleetView
from messaging.recovery import RecoveryKey, RecoveryResults
from messaging.recovery.pausing import PauseSwitch
from workers.operator.actions import Action, ClearCache, Failover, RestartService, Rollback, ScaleDown, ScaleUp
from workers.operator.errors import RefusedError
from workers.operator.evidence import EvidenceCapture
from workers.operator.fleet import LISTEN_S, LiveFleet
from workers.operator.handling import Operator
from workers.operator.logbook import Logbook
from workers.operator.metrics import CommandMetrics

PLATFORM = "platform"

log = structlog.get_logger(__name__)


def build(
    settings: OperatorSettings,
    *,
    platform: Platform | None = None,
    table: topology.Topology | None = None,
    listen_s: float = LISTEN_S,
) -> WorkerApp:
    """An operator that acts through `platform`; without one it refuses what starts or stops processes, and does the rest.

    `listen_s` is how long it listens to heartbeats before it takes a process for silent. Without a key that will do it does not start
    (`ConfigurationError`).
    """
    app = WorkerApp(settings, service=OPERATOR, table=table)
    parts = Parts(app, settings, platform, table or topology.Topology(), listen_s=listen_s)
    app.on_startup(parts.start)
    app.on_shutdown(parts.stop)
    app.check(PLATFORM, parts.look, every_s=settings.probe_interval_s)

    async def on_dead_letter(command: RecoveryCommand, error: PermanentError) -> None:
        await parts.operator.give_up(command, error)

    @app.consumes(topology.OPERATORS, RecoveryCommand, time_limit_s=LONGEST_ACTION_S, on_dead_letter=on_dead_letter)
    async def on_command(command: RecoveryCommand, delivery: Delivery) -> None:
        await parts.operator.handle(command, delivery)

    return app


class Parts:
    """What the operator is made of; put together once the broker is there."""

    operator: Operator
    _fleet: LiveFleet
    _view: FleetView | None = None

    def __init__(
        self,
        app: WorkerApp,
        settings: OperatorSettings,
        platform: Platform | None,
        table: topology.Topology,
        *,
        listen_s: float,
    ) -> None:
        self._app = app
        self._settings = settings
        self._platform = platform
        self._table = table
        self._listen_s = listen_s

    async def start(self) -> None:
        broker = self._app.broker
        key = RecoveryKey.read(self._settings.recovery_key_file)
        self._view = view = FleetView(broker)
        await view.start()
        self._fleet = LiveFleet(view, self._platform, listen_s=self._listen_s)
        self.operator = Operator(
            key=key,
            clock=broker.clock,
            logbook=Logbook(broker, leases=self._table.leases),
            pause=PauseSwitch(broker),
            results=RecoveryResults(broker),
            actions=self._actions(),
            metrics=CommandMetrics(self._app.meter),
        )
        found = await self.look()
        if found.status is not CheckStatus.OK:
            log.warning("nothing can be restarted or scaled", reason=found.detail)

    async def stop(self) -> None:
        if self._view is not None:
            await self._view.stop()

    async def look(self) -> BackendCheck:
        """Whether processes can be started and stopped from here; what cannot be done is said."""
        try:
            instances = await self._fleet.instances()
        except RefusedError as refused:
            detail = f"restart_service, scale_up and scale_down are refused: {refused}"
            return BackendCheck(name=PLATFORM, status=CheckStatus.DEGRADED, detail=detail)
        return BackendCheck(name=PLATFORM, status=CheckStatus.OK, detail=f"{len(instances)} instances")

    def _actions(self) -> Mapping[RecommendedAction, Action]:
        broker, fleet = self._app.broker, self._fleet
        book = ConfigBook(broker)
        return {
            RecommendedAction.RESTART_SERVICE: RestartService(fleet, EvidenceCapture(broker, fleet)),
            RecommendedAction.CLEAR_CACHE: ClearCache(broker, self._settings, fleet),
            RecommendedAction.SCALE_UP: ScaleUp(fleet),
            RecommendedAction.SCALE_DOWN: ScaleDown(fleet),
            RecommendedAction.FAILOVER: Failover(book),
            RecommendedAction.ROLLBACK: Rollback(book),
        }
