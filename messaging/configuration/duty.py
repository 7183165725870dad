"""What a worker does to work by the current revision."""

from __future__ import annotations

from contracts.health import FACT_CONFIG_REVISION
from messaging.app import WorkerApp
from messaging.configuration.following import Apply, ConfigFollower


class ConfigDuty:
    """Follows the configuration and says in the heartbeats, at once, by which revision the worker works."""

    def __init__(self, app: WorkerApp) -> None:
        self._app = app
        self._follower: ConfigFollower | None = None

    async def take_up(self, apply: Apply) -> None:
        """Have what is set applied before the first message comes. To be called when all it changes was made."""
        self._follower = ConfigFollower(self._app.broker, apply, tell=self._tell, meter=self._app.meter)
        await self._follower.begin()

    async def run(self) -> None:
        """Follow until cancelled. Raises `RuntimeError` when it was not taken up."""
        if self._follower is None:
            raise RuntimeError("take the duty up first, in a start-up hook")
        await self._follower.run()

    async def _tell(self, number: int) -> None:
        self._app.tell(FACT_CONFIG_REVISION, str(number))
        await self._app.beat()
