"""The fleet's series as the observer has them: gathered, kept, shown, and asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from contracts.errors import PermanentError
from contracts.observing import LONGEST_WAIT_S, RequestKind
from contracts.settings import ObserverSettings
from contracts.topology import Topology
from messaging.app import WorkerApp
from messaging.heartbeats import release
from messaging.observing import Handler
from observability.alerting import EvaluationThreads
from observability.dependencies import DependencyGraph
from observability.figures import FigureError, KeyFigures
from observability.promql.memory import MOST_SAMPLES
from observability.querying import QueryApi, QueryLimits
from observability.series import SeriesLimits, SeriesStore, StoreMetrics, StoreSettings
from workers.observer.fleet import FleetIntake
from workers.observer.intake import Heard
from workers.observer.series_answers import figure_handler, metrics_handler, series_handlers

FOLDER = "observer"


class FleetWatch:
    """Gathers what the fleet tells, in memory and on disk. It runs whether the observer leads or not, so that whoever takes
    over knows the past.

    Constructing it reads what was kept, which may take seconds: do it in a thread. Raises `PermanentError` for settings that
    do not fit.
    """

    def __init__(self, app: WorkerApp, settings: ObserverSettings, *, table: Topology | None = None) -> None:
        self._app = app
        self._figures = _figures(settings)
        self.series = SeriesStore(
            settings.data_dir / FOLDER / settings.instance,
            now_ms=app.broker.clock.now_ms,
            settings=_store_settings(settings),
        )
        self._metrics = StoreMetrics(app.meter, self.series.figures)
        self.fleet = FleetIntake(
            app.broker, self.series, service=app.service, settings=settings, meter=app.meter, table=table
        )

    @property
    def graph(self) -> DependencyGraph:
        """Who needs whom, by the topology and the heartbeats."""
        return self.fleet.health.graph

    def heard(self) -> Heard:
        """The processes as they were last heard, and what waits for them."""
        return self.fleet.heard()

    async def run(self) -> None:
        """Until cancelled; what is not on disk yet is written then."""
        self.series.start()
        try:
            await self.fleet.run()
        finally:
            await asyncio.to_thread(self.series.close)

    def handlers(self) -> Mapping[RequestKind, Handler]:
        """Who answers questions about series and figures. They have threads of their own: no question holds up a rule."""
        threads = EvaluationThreads()
        now_ms = self._app.broker.clock.now_ms
        api = QueryApi(
            self.series,
            metadata=self.fleet.metadata,
            now_ms=now_ms,
            version=release(),
            limits=QueryLimits(timeout_s=LONGEST_WAIT_S),
        )
        return {
            **series_handlers(api, threads),
            RequestKind.FIGURES: figure_handler(self._figures, self.series, threads, now_ms=now_ms),
            **self.fleet.health.handlers(threads),
            RequestKind.FLEET_METRICS: metrics_handler(self.fleet.rendered, threads),
        }


def _figures(settings: ObserverSettings) -> KeyFigures:
    try:
        return KeyFigures.configured(settings)
    except FigureError as error:
        raise PermanentError(f"WAGGLE_FIGURE_THRESHOLDS: {error}") from error


def _store_settings(settings: ObserverSettings) -> StoreSettings:
    return StoreSettings(
        memory_ms=int(settings.series_memory_s * 1000),
        disk_ms=int(settings.series_disk_s * 1000),
        disk_bytes=settings.series_disk_bytes,
        limits=SeriesLimits(in_all=settings.series_most),
        most_samples=max(MOST_SAMPLES, int(settings.series_memory_s)),
    )
