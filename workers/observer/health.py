"""The health of the fleet as this observer sees it, judged whether it leads or not, so that whoever takes over knows since when."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from typing import Final

from contracts.component_health import DependenciesView, HealthView
from contracts.observing import ErrorType, Parameters, RequestKind
from contracts.topology import Topology
from messaging.broker_facts import LOOK_INTERVAL_S
from messaging.clock import BrokerClock
from messaging.observing import Answer, Handler, RefusedError
from observability.alerting import EvaluationThreads
from observability.dependencies import DependencyGraph
from observability.health import BrokerNews, FleetHealth, HealthQuestion, HealthSeries, Observed, changes, last_known
from observability.intake import JUDGE_INTERVAL_S, Intake
from observability.promql import PromQLError
from workers.observer.intake import Series

DAY_MS: Final = 24 * 3600 * 1000
LATELY_S: Final = 3 * LOOK_INTERVAL_S
"""What was seen of the broker longer ago says nothing any more."""
WARM_UP_S: Final = 12.0
"""Before that not everybody has been heard, which is not a change of anybody's health."""


class HealthWatch:
    """Judges every 2 s and writes it to the series. Constructing it reads from them what was true before."""

    def __init__(self, intake: Intake, series: Series, clock: BrokerClock, table: Topology) -> None:
        self._intake = intake
        self._clock = clock
        self._streams: Collection[str] = tuple(stream.name for stream in table.streams)
        self._series = series
        known = last_known(series, at_ms=clock.now_ms(), lookback_ms=DAY_MS)
        self._history = HealthSeries(series, known={name: status for name, (status, _) in known.items()})
        self._health = FleetHealth(clock.now, known=known)

    @property
    def view(self) -> HealthView:
        """As of the last judgement."""
        return self._health.view

    @property
    def graph(self) -> DependencyGraph:
        """Who needs whom, as of the last judgement."""
        return self._health.graph

    async def run(self) -> None:
        """Until cancelled."""
        begun = time.monotonic()
        while True:
            await asyncio.sleep(JUDGE_INTERVAL_S)
            if self._clock.synchronised:
                view = self._health.judge(self._observed())
                if time.monotonic() - begun >= WARM_UP_S:
                    self._history.write(view, time_ms=self._clock.now_ms())

    def handlers(self, threads: EvaluationThreads) -> dict[RequestKind, Handler]:
        """Who answers questions about health; the past is read in `threads`."""

        async def health(parameters: Parameters) -> Answer:
            return await threads.run(lambda: Answer.of(self._asked(parameters)))

        async def dependencies(_: Parameters) -> Answer:
            return Answer.of(self.dependencies())

        return {RequestKind.HEALTH: health, RequestKind.DEPENDENCIES: dependencies}

    def dependencies(self) -> DependenciesView:
        return self._health.dependencies()

    def _asked(self, parameters: Parameters) -> HealthView:
        """With what changed since then, if that is asked for."""
        try:
            since = HealthQuestion.of(parameters).since
            if since is None:
                return self.view
            after_ms, until_ms = round(since.timestamp() * 1000), self._clock.now_ms()
            found = changes(self._series, after_ms=after_ms, until_ms=until_ms) if after_ms < until_ms else ()
        except ValueError as error:
            raise RefusedError(ErrorType.BAD_DATA, str(error)) from error
        except PromQLError as error:
            raise RefusedError(ErrorType.EXECUTION, f"{error}: ask for a shorter time") from error
        return self.view.model_copy(update={"changes": found})

    def _observed(self) -> Observed:
        look = self._intake.broker_look
        is_new = look is not None and time.monotonic() - look.at <= LATELY_S
        return Observed(
            processes=self._intake.processes.seen(),
            expected=self._intake.services.expected,
            broker=BrokerNews(facts=look.facts, streams=self._streams) if look is not None and is_new else None,
            hears=self._intake.processes.hears,
        )
