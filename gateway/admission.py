"""Refuses at the door what would be too late: accepted work is never dropped, so it must not be accepted in vain."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import structlog
from opentelemetry.metrics import CallbackOptions, Meter, Observation

from contracts import topology
from contracts.errors import TransientError
from contracts.runtime_config import RuntimeConfig
from gateway import problems
from gateway.capacity import Reading, StageLoad
from gateway.turns import NotInTimeError, Turns, TurnsEndedError
from messaging.broker import Broker
from messaging.consumers import backlog

STALE_S = 5.0
"""Older readings decide nothing: the broker is away, and says so itself."""
ALWAYS = 8
"""So many may wait at a stage that gets nothing done: a worker that is being replaced must find them."""
SHARE = 0.7
"""Of its time a question may wait so much; the rest is for its answer."""
TURN_SHARE = 0.6
"""As much it may have to wait with its turn, as that is estimated when it comes; it waits a little longer if it has to."""
LEAST_RETRY_S = 1
MOST_RETRY_S = 60
UNKNOWN_RETRY_S = 10
"""When nothing gets done there is nothing to compute from."""
DOCUMENTS_RETRY_S = 30
AHEAD_S = 0.5
"""So much work lies ready for a stage at the broker, where it is done in the order in which it came; all else waits here for its
turn."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class _Stage:
    consumer: topology.Consumer
    load: StageLoad


class Standing(Protocol):
    """What is known of tenants."""

    def weight(self, tenant: str) -> float:
        """Its share, where others have 1."""
        ...

    async def waiting(self) -> Mapping[str, int]:
        """How many documents of each wait to be read; of none while that is not known."""
        ...


class Admission:
    """Lets in what can be done in time, judged by the real backlog of the stages and by how fast they really are; where more is
    asked for, tenants take turns.

    What the broker says is read in the background; a decision costs no round trip.
    """

    def __init__(
        self,
        broker: Broker,
        standing: Standing,
        *,
        most_documents: int,
        poll_s: float,
        meter: Meter,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._broker = broker
        self._standing = standing
        self._built_with = self._most_documents = most_documents
        self._poll_s = poll_s
        self._monotonic = monotonic
        self._retrieve = _Stage(topology.QUERY_WORKERS, StageLoad())
        self._generate = _Stage(topology.GENERATE_STABLE_WORKERS, StageLoad())
        self._ingest = _Stage(topology.INGEST_WORKERS, StageLoad())
        self._stages = (self._retrieve, self._generate, self._ingest)
        self._searches = self._turns(self._retrieve, self._retrieve.load.let_in)
        self._answers = self._turns(self._generate, self._generate.load.coming)
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
            "waggle.admission.turns",
            [self._waiting],
            description="Questions that wait at this gateway for their tenant's turn.",
        )
        meter.create_observable_gauge(
            "waggle.admission.rate", [self._rates], unit="1/s", description="What a stage gets done, as measured."
        )

    async def run(self, leaving: asyncio.Event) -> None:
        """Read the broker's figures every `poll_s` while there is traffic, and call who waits, until cancelled; nobody from when
        this gateway is `leaving` on.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._end_turns(leaving), name="end of turns")
            tasks.create_task(self._read(), name="backlogs")
            tasks.create_task(self._searches.run(), name="turns of searches")
            tasks.create_task(self._answers.run(), name="turns of answers")

    async def _end_turns(self, leaving: asyncio.Event) -> None:
        await leaving.wait()
        self._searches.end()
        self._answers.end()

    async def _read(self) -> None:
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

    async def question(self, tenant: str, deadline_s: float, *, generate: bool) -> None:
        """Let a question in, when it is its tenant's turn. Raises a 429 problem when it could not be answered within its time."""
        self._traffic.set()
        now = self._monotonic()
        if self._is_fresh(now):
            self._require_time(tenant, deadline_s, now, generate=generate)
        ends = now + SHARE * deadline_s
        for stage, turns in self._gates(generate=generate):
            try:
                await turns.turn(tenant, within_s=ends - self._monotonic())
            except NotInTimeError:
                raise self._too_many(stage, SHARE * deadline_s, deadline_s) from None
            except TurnsEndedError:
                raise problems.unavailable("This gateway is about to stop; nothing was accepted.") from None

    def _gates(self, *, generate: bool) -> list[tuple[_Stage, Turns]]:
        """Those of a question, the slowest first."""
        searches = [(self._retrieve, self._searches)]
        return [(self._generate, self._answers), *searches] if generate else searches

    def _turns(self, stage: _Stage, enter: Callable[[], None]) -> Turns:
        return Turns(
            has_room=lambda: self._has_room(stage),
            enter=enter,
            weight_of=self._standing.weight,
            monotonic=self._monotonic,
        )

    def _has_room(self, stage: _Stage) -> bool:
        """Whether a stage would do one more soon. It has while nothing is known of it: then the broker says whether it has."""
        now, rate = self._monotonic(), stage.load.rate
        return not self._is_fresh(now) or rate is None or stage.load.waiting(now) < max(ALWAYS, AHEAD_S * rate)

    def _is_fresh(self, now: float) -> bool:
        return now - self._read_at <= STALE_S

    def _require_time(self, tenant: str, deadline_s: float, now: float, *, generate: bool) -> None:
        stage, wait_s = self._tightest(now, generate=generate)
        if wait_s > SHARE * deadline_s:
            raise self._too_many(stage, wait_s, deadline_s)
        for each, turns in self._gates(generate=generate):
            turn_s = _turn_s(turns, each.load, tenant)
            if turn_s and turn_s + wait_s > TURN_SHARE * deadline_s:
                raise self._too_many(each, turn_s + wait_s, deadline_s)

    def ended(self, *, late: bool) -> None:
        """A question that was let in has ended; `late` when its deadline ended it."""
        self._late += late
        self._in_time += not late

    async def document(self, tenant: str) -> None:
        """Let a document in. Raises a 429 problem when more wait than may, or more of its tenant's than its share where others
        wait as well.
        """
        self._traffic.set()
        now = self._monotonic()
        if self._is_fresh(now):
            waiting, may_wait = await self._documents(tenant, self._ingest.load.backlog(now))
            if waiting >= may_wait:
                raise self._too_many_documents(waiting, may_wait)
        self._ingest.load.let_in()

    async def _documents(self, tenant: str, backlog: float) -> tuple[float, int]:
        """How many wait before a tenant's next document, and how many may: its own and its share, where it is not alone."""
        waiting = await self._standing.waiting()
        others = sum(self._standing.weight(each) for each, number in waiting.items() if number and each != tenant)
        if not others:
            return backlog, self._most_documents
        weight = self._standing.weight(tenant)
        return waiting.get(tenant, 0), max(1, int(self._most_documents * weight / (weight + others)))

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

    def _too_many_documents(self, waiting: float, may_wait: int) -> problems.Problem:
        self._refused.add(1, {"waggle.stage": self._ingest.consumer.durable})
        rate = self._ingest.load.rate
        retry_s = _bounded((waiting - may_wait + 1) / rate) if rate else DOCUMENTS_RETRY_S
        return problems.too_many(
            f"{waiting:.0f} documents wait to be read already: nothing was accepted. Submit again after {retry_s} s.",
            policy="documents",
            allowed=may_wait,
            window_s=DOCUMENTS_RETRY_S,
            retry_after_s=retry_s,
        )

    def _backlogs(self, _: CallbackOptions) -> list[Observation]:
        now = self._monotonic()
        return [Observation(stage.load.backlog(now), _named(stage)) for stage in self._stages]

    def _waiting(self, _: CallbackOptions) -> list[Observation]:
        gates = self._gates(generate=True)
        return [Observation(turns.waiting, _named(stage)) for stage, turns in gates]

    def _rates(self, _: CallbackOptions) -> list[Observation]:
        return [Observation(s.load.rate, _named(s)) for s in self._stages if s.load.rate is not None]


def _named(stage: _Stage) -> dict[str, str]:
    return {"waggle.stage": stage.consumer.durable}


def _turn_s(turns: Turns, load: StageLoad, tenant: str) -> float:
    """How long until a tenant's next question is called."""
    pace = turns.pace if turns.pace is not None else load.rate
    ahead = turns.ahead_of(tenant)
    if not ahead or pace is None:
        return 0.0
    return ahead / pace if pace > 0 else math.inf


def _wait_s(load: StageLoad, before: float, now: float) -> float:
    return load.wait_s(before) if before > ALWAYS or load.is_going(now) else 0.0


def _bounded(seconds: float) -> int:
    return min(MOST_RETRY_S, max(LEAST_RETRY_S, math.ceil(seconds)))
