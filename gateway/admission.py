"""Refuses at the door what would be too late: accepted work is never dropped, so it must not be accepted in vain."""

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
from contracts.runtime_config import RuntimeConfig
from gateway import problems
from gateway.capacity import Reading, StageLoad
from messaging.broker import Broker
from messaging.consumers import backlog

STALE_S = 5.0
"""Older readings decide nothing: the broker is away, and says so itself."""
ALWAYS = 8
"""So many may wait at a stage that gets nothing done: a worker that is being replaced must find them."""
SHARE = 0.7
"""Of its time a question may wait so much; the rest is for its answer."""
LEAST_RETRY_S = 1
MOST_RETRY_S = 60
UNKNOWN_RETRY_S = 10
"""When nothing gets done there is nothing to compute from."""
DOCUMENTS_RETRY_S = 30

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class _Stage:
    consumer: topology.Consumer
    load: StageLoad


class Admission:
    """Lets in what can be done in time, judged by the real backlog of the stages and by how fast they really are.

    What the broker says is read in the background; a decision costs no round trip.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        most_documents: int,
        poll_s: float,
        meter: Meter,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._broker = broker
        self._built_with = self._most_documents = most_documents
        self._poll_s = poll_s
        self._monotonic = monotonic
        self._retrieve = _Stage(topology.QUERY_WORKERS, StageLoad())
        self._generate = _Stage(topology.GENERATE_STABLE_WORKERS, StageLoad())
        self._ingest = _Stage(topology.INGEST_WORKERS, StageLoad())
        self._stages = (self._retrieve, self._generate, self._ingest)
        self._read_at = -math.inf
        self._in_time = self._late = 0
        self._traffic = asyncio.Event()
        self._refused = meter.create_counter(
            "waggle.admission.refused", description="Requests refused because a stage is behind."
        )
        meter.create_observable_gauge(
            "waggle.admission.backlog",
            [self._backlogs],
            description="What waits or is in hand at a stage, as estimated.",
        )
        meter.create_observable_gauge(
            "waggle.admission.rate", [self._rates], unit="1/s", description="What a stage gets done, as measured."
        )

    async def run(self) -> None:
        """Read the broker's figures every `poll_s` while there is traffic, until cancelled."""
        while True:
            await self._traffic.wait()
            self._traffic.clear()
            try:
                await self.look()
            except TransientError as error:
                log.warning("the backlog cannot be read", reason=str(error))
            if any(stage.load.backlog(self._monotonic()) for stage in self._stages):
                self._traffic.set()  # it is watched until it is done
            await asyncio.sleep(self._poll_s)

    async def look(self) -> None:
        """Read all stages once. Raises `BrokerUnavailableError`."""
        ended, self._in_time, self._late = (self._in_time, self._late), 0, 0
        useful = ended[0] / sum(ended) if sum(ended) else 1.0
        for stage in self._stages:
            found = await backlog(self._broker, stage.consumer)
            stage.load.observe(
                Reading(
                    at_s=self._monotonic(),
                    waiting=found.waiting,
                    in_flight=found.in_flight,
                    handed_out=found.handed_out,
                ),
                useful=1.0 if stage is self._ingest else useful,
            )
        self._read_at = self._monotonic()

    def adjust(self, config: RuntimeConfig) -> None:
        """Let in by what is set there from now on, and else as it was built."""
        self._most_documents = config.max_pending_documents or self._built_with

    def question(self, deadline_s: float, *, generate: bool) -> None:
        """Let a question in. Raises a 429 problem when it could not be answered within its time."""
        self._traffic.set()
        now = self._monotonic()
        if now - self._read_at <= STALE_S:
            stage, wait_s = self._tightest(now, generate=generate)
            if wait_s > SHARE * deadline_s:
                raise self._too_many(stage, wait_s, deadline_s)
        self._retrieve.load.let_in()

    def ended(self, *, late: bool) -> None:
        """A question that was let in has ended; `late` when its deadline ended it."""
        self._late += late
        self._in_time += not late

    def document(self) -> None:
        """Let a document in. Raises a 429 problem when more wait than may."""
        self._traffic.set()
        now = self._monotonic()
        waiting = self._ingest.load.backlog(now)
        if now - self._read_at <= STALE_S and waiting >= self._most_documents:
            raise self._too_many_documents(waiting)
        self._ingest.load.let_in()

    def _tightest(self, now: float, *, generate: bool) -> tuple[_Stage, float]:
        """The stage that takes longest for what is before a new question, and how long. All of it is still to come to
        generate, too.
        """
        searched = self._retrieve.load.backlog(now)
        waits = [(self._retrieve, searched)]
        if generate:
            waits.append((self._generate, searched + self._generate.load.backlog(now)))
        return max(((stage, _wait_s(stage.load, before, now)) for stage, before in waits), key=lambda pair: pair[1])

    def _too_many(self, stage: _Stage, wait_s: float, deadline_s: float) -> problems.Problem:
        name = stage.consumer.durable
        self._refused.add(1, {"waggle.stage": name})
        if math.isinf(wait_s):
            retry_s, why = UNKNOWN_RETRY_S, f"Nothing gets done at {name} right now"
        else:
            retry_s = _bounded(wait_s - SHARE * deadline_s)
            why = f"Before this question others wait that take {name} about {wait_s:.0f} s"
        allowed = max(ALWAYS, int((stage.load.rate or 0.0) * SHARE * deadline_s))
        return problems.too_many(
            f"{why}, and it may take {deadline_s:g} s: nothing was accepted. Ask again after {retry_s} s, or allow more time.",
            policy="queries",
            allowed=allowed,
            window_s=max(1, round(deadline_s)),
            retry_after_s=retry_s,
        )

    def _too_many_documents(self, waiting: float) -> problems.Problem:
        self._refused.add(1, {"waggle.stage": self._ingest.consumer.durable})
        rate = self._ingest.load.rate
        retry_s = _bounded((waiting - self._most_documents + 1) / rate) if rate else DOCUMENTS_RETRY_S
        return problems.too_many(
            f"{waiting:.0f} documents wait to be read already: nothing was accepted. Submit again after {retry_s} s.",
            policy="documents",
            allowed=self._most_documents,
            window_s=DOCUMENTS_RETRY_S,
            retry_after_s=retry_s,
        )

    def _backlogs(self, _: CallbackOptions) -> list[Observation]:
        now = self._monotonic()
        return [Observation(stage.load.backlog(now), _named(stage)) for stage in self._stages]

    def _rates(self, _: CallbackOptions) -> list[Observation]:
        return [Observation(s.load.rate, _named(s)) for s in self._stages if s.load.rate is not None]


def _named(stage: _Stage) -> dict[str, str]:
    return {"waggle.stage": stage.consumer.durable}


def _wait_s(load: StageLoad, before: float, now: float) -> float:
    return load.wait_s(before) if before > ALWAYS or load.is_going(now) else 0.0


def _bounded(seconds: float) -> int:
    return min(MOST_RETRY_S, max(LEAST_RETRY_S, math.ceil(seconds)))
