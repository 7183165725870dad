"""What the gateway tells the fleet of itself."""

from __future__ import annotations

from contracts.backends import LEDGER
from contracts.health import FACT_CONFIG_REVISION, ProcessState
from contracts.settings import GatewaySettings
from gateway.drain import Drain
from messaging.activity import Activity
from messaging.broker import Broker
from messaging.checks import Checks
from messaging.heartbeats import HeartbeatPublisher
from messaging.ledger import DocumentLedger
from messaging.ledger_check import LedgerCheck

SERVICE = "gateway"


class Heartbeats:
    """That it lives, whether it drains, whether the ledger can be used, and by which revision of the configuration it works."""

    def __init__(
        self, settings: GatewaySettings, broker: Broker, ledger: DocumentLedger, *, drain: Drain, activity: Activity
    ) -> None:
        checks = Checks()
        ledger_check = LedgerCheck(broker, ledger, instance=settings.instance)
        checks.add(LEDGER, ledger_check.look, every_s=settings.probe_interval_s)
        self._facts: dict[str, str] = {}
        self._publisher = HeartbeatPublisher(
            broker,
            service=SERVICE,
            settings=settings,
            activity=activity,
            checks=checks,
            state=lambda: ProcessState.DRAINING if drain.begun.is_set() else ProcessState.READY,
            facts=lambda: self._facts,
        )
        self.works = (checks, self._publisher)

    async def last(self) -> None:
        """That it leaves: who falls silent without a word is taken for dead."""
        await self._publisher.publish()

    async def tell(self, revision: int) -> None:
        """By which revision of the configuration it works."""
        self._facts[FACT_CONFIG_REVISION] = str(revision)
        await self._publisher.publish()
