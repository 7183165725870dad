"""How the stages behind the gateway get on: read from the broker in the background, so that a decision costs no round trip."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from opentelemetry.metrics import CallbackOptions, Meter, Observation

from contracts import topology
from contracts.errors import TransientError
from gateway.capacity import Reading, StageLoad
from gateway.window import Window
from messaging.broker import Broker
from messaging.consumers import backlog

STALE_S = 5.0
"""Older readings decide nothing: the broker is away, and says so itself."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Stage:
    """A consumer, and what is known of its workers."""

    consumer: topology.Consumer
    load: StageLoad
    window: Window | None = None
    """Where questions may not wait as long as their deadlines allow."""

    @property
    def name(self) -> str:
        return self.consumer.durable

    @property
    def labels(self) -> dict[str, str]:
        return {"waggle.stage": self.name}


class Stages:
    """Those that questions and documents go through."""

    def __init__(
        self,
        broker: Broker,
        *,
        poll_s: float,
        max_wait_s: float | None = None,
        meter: Meter,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._broker = broker
        self._poll_s = poll_s
        self._monotonic = monotonic
        self.retrieve = Stage(topology.QUERY_WORKERS, StageLoad(), _window(max_wait_s))
        self.generate = Stage(topology.GENERATE_STABLE_WORKERS, StageLoad(), _window(max_wait_s))
        self.ingest = Stage(topology.INGEST_WORKERS, StageLoad())
        self._all = (self.retrieve, self.generate, self.ingest)
        self._read_at = -math.inf
        self._in_time = self._late = 0
        self._traffic = asyncio.Event()
        meter.create_observable_gauge(
            "waggle.admission.backlog",
            [self._backlogs],
            description="What waits or is in hand at a stage, as estimated.",
        )
        meter.create_observable_gauge(
            "waggle.admission.rate", [self._rates], unit="1/s", description="What a stage gets done, as measured."
        )

    def now(self) -> float:
        """The time of readings, in seconds."""
        return self._monotonic()

    @property
    def are_known(self) -> bool:
        """Whether they were read so lately that it can be decided by that."""
        return self.now() - self._read_at <= STALE_S

    def used(self) -> None:
        """There is traffic: have them read."""
        self._traffic.set()

    def ended(self, *, late: bool) -> None:
        """A question has ended; `late` when its deadline ended it."""
        self._late += late
        self._in_time += not late

    async def run(self) -> None:
        """Read them every `poll_s` while there is traffic, until cancelled."""
        while True:
            await self._traffic.wait()
            self._traffic.clear()
            try:
                await self.look()
            except TransientError as error:
                log.warning("the backlog cannot be read", reason=str(error))
            if any(stage.load.backlog(self.now()) for stage in self._all):
                self._traffic.set()  # it is watched until it is done
            await asyncio.sleep(self._poll_s)

    async def look(self) -> None:
        """Read all of them once. Raises `BrokerUnavailableError`."""
        ended, self._in_time, self._late = (self._in_time, self._late), 0, 0
        useful = ended[0] / sum(ended) if sum(ended) else 1.0
        for stage in self._all:
            found = await backlog(self._broker, stage.consumer)
            reading = Reading(
                at_s=self.now(), waiting=found.waiting, in_flight=found.in_flight, handed_out=found.handed_out
            )
            stage.load.observe(reading, useful=1.0 if stage is self.ingest else useful)
            if stage.window is not None:
                stage.window.observe(reading, stage.load.rate)
        self._read_at = self.now()

    def _backlogs(self, _: CallbackOptions) -> list[Observation]:
        return [Observation(stage.load.backlog(self.now()), stage.labels) for stage in self._all]

    def _rates(self, _: CallbackOptions) -> list[Observation]:
        return [Observation(stage.load.rate, stage.labels) for stage in self._all if stage.load.rate is not None]


def _window(max_wait_s: float | None) -> Window | None:
    return None if max_wait_s is None else Window(max_wait_s=max_wait_s)
