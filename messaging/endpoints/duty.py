"""What a worker does for those who look after its endpoints."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from contracts.endpoint_reports import ServedModelKind
from contracts.health import FACT_ENDPOINTS
from messaging.app import WorkerApp
from messaging.endpoints.office import DrainableEndpoints, EndpointOffice


class EndpointDuty:
    """Tells the endpoints of a worker's models and drains those that people take out; without any it does nothing."""

    def __init__(self, app: WorkerApp) -> None:
        self._app = app
        self._office: EndpointOffice | None = None

    async def take_up(self, endpoints: Mapping[ServedModelKind, DrainableEndpoints]) -> None:
        """Do what was ordered before: an endpoint that is kept drained is not even asked at the start."""
        if not endpoints:
            return
        app = self._app
        app.tell(FACT_ENDPOINTS, str(sum(len(each.stats()) for each in endpoints.values())))
        self._office = EndpointOffice(app.broker, endpoints, service=app.service, instance=app.settings.instance)
        app.rereads("orders about endpoints", self._office.heed)
        await self._office.heed()

    async def run(self) -> None:
        """Heed and tell until cancelled."""
        if self._office is None:
            await asyncio.Event().wait()
        else:
            await self._office.run()
