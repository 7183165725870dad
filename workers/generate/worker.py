"""Wires the generate queue to the generator."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import datetime

from contracts import topology
from contracts.endpoint_reports import ServedModelKind
from contracts.errors import PermanentError
from contracts.health import FACT_MODEL, FACT_PARAMETERS, FACT_PROMPT_VERSION
from contracts.queries import GenerateRequest
from contracts.runtime_config import RuntimeConfig
from contracts.settings import GenerateSettings
from messaging.app import WorkerApp
from messaging.cancellation import Cancellations
from messaging.condensing import condense_office
from messaging.configuration import ConfigDuty
from messaging.delivery import Delivery
from messaging.endpoints import EndpointDuty
from messaging.query_replies import QueryReplies
from messaging.stage_durations import StageDurations
from workers.generate.base import Generator
from workers.generate.factory import build_generator, concurrency
from workers.generate.generating import Generating
from workers.generate.guarded import GuardedGenerator
from workers.generate.measures import Measures

TIME_LIMIT_S = 330.0
"""Above the longest deadline, which ends a generation before."""

PROBE_TIMEOUT_S = 30.0
"""Of eight tokens, while others are generated."""

_CONSUMERS = {"stable": topology.GENERATE_STABLE_WORKERS, "canary": topology.GENERATE_CANARY_WORKERS}


def build(
    settings: GenerateSettings, *, generator: Generator | None = None, table: topology.Topology | None = None
) -> WorkerApp:
    """The generate worker of the settings' release track.

    `generator` is used instead of the one that the settings name; `table` is the topology where it is not the usual one.
    """
    app = WorkerApp(settings, service="generate", table=table)
    parts = Parts(app, settings, lambda: generator or build_generator(settings))
    register(app, parts, _CONSUMERS[settings.track], settings)
    return app


def register(app: WorkerApp, parts: Parts, consumer: topology.Consumer, settings: GenerateSettings) -> None:
    """Generate answers; end queries that get none; put questions of conversations in full."""
    app.on_startup(parts.start)
    app.on_shutdown(parts.stop)
    app.background("generator", parts.run)
    app.background("condensing", parts.condense)
    app.background("endpoints", parts.endpoints.run)
    app.background("config", parts.config.run)

    async def give_up(request: GenerateRequest, error: PermanentError) -> None:
        await parts.generating.fail(request, error)

    async def expire(request: GenerateRequest, delivery: Delivery) -> None:
        await parts.generating.expire(request, delivery)

    @app.consumes(
        consumer,
        GenerateRequest,
        concurrency=concurrency(settings),
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

    def __init__(self, app: WorkerApp, settings: GenerateSettings, build_generator: Callable[[], Generator]) -> None:
        self._app = app
        self._settings = settings
        self._build_generator = build_generator
        self._breaker = app.breaker("generator", self._look)
        app.probe(self._breaker, self._probe, timeout_s=PROBE_TIMEOUT_S)
        self._opened = AsyncExitStack()
        self.endpoints = EndpointDuty(app)
        self.config = ConfigDuty(app)

    async def start(self) -> None:
        broker = self._app.broker
        self._generator = GuardedGenerator(self._build_generator(), self._breaker)
        self._opened.push_async_callback(self._generator.close)
        if (endpoints := self._generator.endpoints) is not None:
            await self.endpoints.take_up({ServedModelKind.GENERATOR: endpoints})
        await self._generator.start(self._app.meter)
        identity = self._generator.identity
        self._app.tell(FACT_MODEL, identity.model)
        self._app.tell(FACT_PARAMETERS, identity.parameters)
        if identity.prompt_version is not None:
            self._app.tell(FACT_PROMPT_VERSION, identity.prompt_version)
        self.cancellations = Cancellations(broker)
        self._opened.push_async_callback(self.cancellations.stop)
        await self.cancellations.start()
        meter, by_endpoints = self._app.meter, self._generator.endpoints is not None
        self.generating = Generating(
            self._generator,
            QueryReplies.over(broker),
            self.cancellations,
            Measures(meter, provider=self._settings.generator.value, by_endpoints=by_endpoints),
            StageDurations(meter),
        )
        await self.config.take_up(self._adjust)
        await self._breaker.check()  # a generator starts without its endpoints, and nobody has asked it yet

    async def stop(self) -> None:
        await self._opened.aclose()

    def _adjust(self, config: RuntimeConfig) -> None:
        self._generator.adjust(config)
        self._app.tell(FACT_PARAMETERS, self._generator.identity.parameters)

    async def run(self) -> None:
        """Look after the generator; what it raises ends this process, whose last heartbeats tell why."""
        try:
            await self._generator.run()
        except Exception as error:
            self._breaker.open(error)
            raise

    async def _look(self) -> None:
        await self._generator.look()

    async def _probe(self) -> None:
        await self._generator.probe()

    async def condense(self) -> None:
        """Answer requests to put a question in full, if there is a model that can."""
        if self._generator.identity.prompt_version is None:
            await asyncio.Event().wait()
        await condense_office(
            self._app.broker,
            self._generator.condense,
            service=self._app.service,
            concurrency=self._settings.condense_concurrency,
        ).run()


def _deadline(request: GenerateRequest, _: Delivery) -> datetime:
    return request.deadline
