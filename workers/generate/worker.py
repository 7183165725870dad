"""Wires the generate queue to the generator."""

from __future__ import annotations

from datetime import datetime

from contracts import topology
from contracts.errors import PermanentError
from contracts.queries import GenerateRequest
from contracts.settings import GenerateSettings
from messaging.app import WorkerApp
from messaging.cancellation import Cancellations
from messaging.delivery import Delivery
from messaging.query_replies import QueryReplies
from workers.generate.base import Generator
from workers.generate.factory import build_generator
from workers.generate.generating import Generating
from workers.generate.guarded import GuardedGenerator

TIME_LIMIT_S = 330.0
"""Above the longest deadline, which ends a generation before."""

_CONSUMERS = {"stable": topology.GENERATE_STABLE_WORKERS, "canary": topology.GENERATE_CANARY_WORKERS}


def build(
    settings: GenerateSettings, *, generator: Generator | None = None, table: topology.Topology | None = None
) -> WorkerApp:
    """The generate worker of the settings' release track.

    `generator` is used instead of the one that the settings name; `table` is the topology where it is not the usual one.
    """
    app = WorkerApp(settings, service="generate", table=table)
    parts = Parts(app, generator or build_generator(settings))
    register(app, parts, _CONSUMERS[settings.track], concurrency=settings.generate_concurrency)
    return app


def register(app: WorkerApp, parts: Parts, consumer: topology.Consumer, *, concurrency: int) -> None:
    """Generate answers; end queries that get none."""
    app.on_startup(parts.start)
    app.on_shutdown(parts.stop)

    async def give_up(request: GenerateRequest, error: PermanentError) -> None:
        await parts.generating.fail(request, error)

    async def expire(request: GenerateRequest, delivery: Delivery) -> None:
        await parts.generating.expire(request, delivery)

    @app.consumes(
        consumer,
        GenerateRequest,
        concurrency=concurrency,
        on_dead_letter=give_up,
        deadline_of=_deadline,
        on_expired=expire,
        time_limit_s=TIME_LIMIT_S,
    )
    async def on_request(request: GenerateRequest, delivery: Delivery) -> None:
        await parts.generating.generate(request, delivery)


class Parts:
    """What the worker is made of; put together once the broker is there."""

    generating: Generating
    cancellations: Cancellations

    def __init__(self, app: WorkerApp, generator: Generator) -> None:
        self._app = app
        self._generator = GuardedGenerator(generator, app.breaker("generator", generator.look))

    async def start(self) -> None:
        broker = self._app.broker
        self.cancellations = Cancellations(broker)
        await self.cancellations.start()
        self.generating = Generating(self._generator, QueryReplies.over(broker), self.cancellations)

    async def stop(self) -> None:
        await self.cancellations.stop()


def _deadline(request: GenerateRequest, _: Delivery) -> datetime:
    return request.deadline
