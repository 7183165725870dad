"""Asks all workers how their endpoints do, and has them drained."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import nats.errors
import structlog
from nats.aio.msg import Msg

from contracts import subjects
from contracts.endpoint_reports import (
    EndpointOrder,
    EndpointReport,
    EndpointReportRequest,
    EndpointState,
    EndpointStats,
    ServedModelKind,
)
from contracts.errors import WaggleError
from contracts.health import FACT_ENDPOINTS, HEARTBEAT_INTERVAL_S
from contracts.message import Message
from messaging.broker import Broker
from messaging.endpoints.orders import EndpointOrders
from messaging.errors import BrokerUnavailableError
from messaging.fleet import FleetView
from messaging.replies import Replies

GATHER_S = 1.0
"""How long reports are waited for. It ends before when all have answered that are known to have endpoints."""
LISTEN_S = HEARTBEAT_INTERVAL_S + 0.5
"""How long to listen before it is known who runs: every process has told of itself by then."""

SERVICES = frozenset({"embed", "retrieve", "generate"})
"""Workers of these may have endpoints."""
_NO_RESPONDERS = "503"

WorkerKey = tuple[str, str]
"""Service and instance."""
Reports = dict[tuple[str, str, ServedModelKind], EndpointReport]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class EndpointSurvey:
    """What all workers said of their endpoints at one time.

    `silent` are those that run and have endpoints, and did not tell of all of them; `without` counts workers that could have
    some and have none.
    """

    reports: tuple[EndpointReport, ...]
    silent: tuple[WorkerKey, ...]
    without: int

    @property
    def urls(self) -> tuple[str, ...]:
        """Every endpoint of any worker."""
        return tuple(sorted({stats.url for report in self.reports for stats in report.endpoints}))

    def of(self, url: str) -> list[tuple[EndpointReport, EndpointStats]]:
        """An endpoint as each worker has it."""
        return [(report, stats) for report in self.reports for stats in report.endpoints if stats.url == url]

    def workers(self, url: str) -> int:
        """How many workers ask an endpoint, for one model or two."""
        return len({(report.service, report.instance) for report, _ in self.of(url)})

    def in_flight(self, url: str) -> int:
        """How many requests are under way there, as far as workers have answered."""
        return sum(stats.in_flight for _, stats in self.of(url))

    def is_drained(self, url: str) -> bool:
        """Whether all workers are known to send it nothing new, and nothing is under way there."""
        drained = all(stats.state is EndpointState.DRAINING for _, stats in self.of(url))
        return drained and not self.silent and self.in_flight(url) == 0


class EndpointDesk:
    """Construct it with `open`, which listens to heartbeats."""

    def __init__(self, broker: Broker, fleet: FleetView, *, gather_s: float = GATHER_S) -> None:
        self.orders = EndpointOrders(broker)
        self._broker = broker
        self._fleet = fleet
        self._replies = Replies(broker)
        self._gather_s = gather_s

    @classmethod
    @asynccontextmanager
    async def open(
        cls, broker: Broker, *, listen_s: float = LISTEN_S, gather_s: float = GATHER_S
    ) -> AsyncIterator[EndpointDesk]:
        """A desk that knows who runs; that takes `listen_s`."""
        fleet = FleetView(broker)
        await fleet.start()
        try:
            await asyncio.sleep(listen_s)
            yield cls(broker, fleet, gather_s=gather_s)
        finally:
            await fleet.stop()

    async def survey(self) -> EndpointSurvey:
        """How all endpoints do. Raises `BrokerUnavailableError`."""
        return await self._asked(subjects.ENDPOINT_REPORTS, EndpointReportRequest())

    async def order(self, order: EndpointOrder) -> EndpointSurvey:
        """Keep an order and tell it; how all endpoints do after it. Raises `BrokerUnavailableError`.

        A worker that does not hear of it does it when it is connected again, or starts.
        """
        await self.orders.keep(order)
        return await self._asked(subjects.ENDPOINT_ORDERS, order)

    async def _asked(self, subject: str, message: Message) -> EndpointSurvey:
        if not self._broker.is_connected:
            raise BrokerUnavailableError("not connected to the broker, the workers cannot be asked")
        try:
            reports = await self._gathered(subject, message)
        except (nats.errors.Error, OSError) as error:
            raise BrokerUnavailableError(f"the workers cannot be asked: {error}") from error
        return EndpointSurvey(
            reports=tuple(report for _, report in sorted(reports.items())),
            silent=tuple(sorted(self._missing(reports))),
            without=self._without(reports),
        )

    async def _gathered(self, subject: str, message: Message) -> Reports:
        reports: Reports = {}
        with await self._replies.expected() as (inbox, replies):
            await self._broker.nc.publish(subject, message.to_bytes(), reply=inbox)
            try:
                async with asyncio.timeout(self._gather_s):
                    while not self._with_endpoints() or self._missing(reports):
                        reply = await replies.get()
                        if _nobody_is_there(reply):
                            break
                        if (report := _report(reply)) is not None:
                            reports[report.service, report.instance, report.kind] = report
            except TimeoutError:
                pass  # those that are missing are told as silent
        return reports

    def _missing(self, reports: Reports) -> set[WorkerKey]:
        """The workers of which more endpoints are known than they have told."""
        told = Counter[WorkerKey]()
        for report in reports.values():
            told[report.service, report.instance] += len(report.endpoints)
        return {worker for worker, count in self._with_endpoints().items() if told[worker] < count}

    def _with_endpoints(self) -> dict[WorkerKey, int]:
        """How many endpoints each worker has that lives."""
        return {
            worker: int(facts[FACT_ENDPOINTS]) if facts[FACT_ENDPOINTS].isdecimal() else 1
            for worker, facts in self._living().items()
            if FACT_ENDPOINTS in facts
        }

    def _without(self, reports: Reports) -> int:
        could = {worker for worker in self._living() if worker[0] in SERVICES}
        have = self._with_endpoints().keys() | {(report.service, report.instance) for report in reports.values()}
        return len(could - have)

    def _living(self) -> dict[WorkerKey, Mapping[str, str]]:
        """What workers tell of themselves that live."""
        beats = [member.heartbeat for member in self._fleet.members() if member.alive]
        return {(beat.service, beat.instance): beat.facts for beat in beats}


def _nobody_is_there(reply: Msg) -> bool:
    return (reply.headers or {}).get("Status") == _NO_RESPONDERS


def _report(reply: Msg) -> EndpointReport | None:
    try:
        return EndpointReport.from_bytes(reply.data)
    except WaggleError as error:
        log.warning("a report of endpoints cannot be read", reason=str(error))
        return None
