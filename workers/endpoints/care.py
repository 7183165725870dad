"""What a worker does about its pools beside asking them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Protocol

from contracts.endpoint_reports import ServedModelKind
from messaging.app import WorkerApp
from messaging.endpoints import EndpointDuty
from workers.endpoints.figures import measure_together
from workers.endpoints.pool import EndpointPool


class Pooled(Protocol):
    """A model behind a pool, in whichever event loop."""

    @property
    def pool(self) -> EndpointPool: ...

    async def failed(self) -> None:
        """As `EndpointPool.failed`."""
        ...


class EndpointCare:
    """Tells figures and states of a worker's endpoints, and drains those that people take out."""

    def __init__(self, app: WorkerApp) -> None:
        self._app = app
        self._duty = EndpointDuty(app)
        self._models: tuple[Pooled, ...] = ()

    async def begin(self, models: Mapping[ServedModelKind, Pooled]) -> None:
        """From now on, before the first request: an endpoint that is kept drained is not asked at all."""
        self._models = tuple(models.values())
        measure_together(self._app.meter, [model.pool.figures for model in self._models])
        await self._duty.take_up({kind: model.pool for kind, model in models.items()})

    async def run(self) -> None:
        """Heed and tell until cancelled. Raises what ends the probes of a pool, which only a defect does."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._duty.run(), name="duty")
            for model in self._models:
                tasks.create_task(model.failed(), name=f"end of the probes for {model.pool.purpose.operation}")
