"""A worker's endpoints are told of, and drained as people order it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import nats.errors
import structlog

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
from contracts.message import Message
from messaging.broker import Broker
from messaging.endpoints.orders import EndpointOrders
from messaging.errors import BrokerUnavailableError
from messaging.live import Live, listening

RETRY_S = 1.0
"""How long to wait before the orders are read again that could not be read."""

log = structlog.get_logger(__name__)


class DrainableEndpoints(Protocol):
    """Endpoints that serve the same model, used as one."""

    @property
    def model(self) -> str: ...

    def stats(self) -> Sequence[EndpointStats]:
        """Each as it is now."""
        ...

    def drain(self, url: str) -> None:
        """Send it nothing new; what is under way there finishes."""
        ...

    def undrain(self, url: str) -> None:
        """Use it again."""
        ...


class EndpointOffice:
    """Does to the endpoints of a worker what the kept orders say, and answers requests for a report.

    Word of an order is a plain message, which only says that there is one: what is kept counts, so that all workers
    agree whatever they hear in which order. It is read again whenever the connection was broken off.
    """

    def __init__(
        self,
        broker: Broker,
        endpoints: Mapping[ServedModelKind, DrainableEndpoints],
        *,
        service: str,
        instance: str,
    ) -> None:
        self._broker = broker
        self._endpoints = dict(endpoints)
        self._service = service
        self._instance = instance
        self._orders = EndpointOrders(broker)
        self._heeding = asyncio.Lock()

    async def run(self) -> None:
        """Heed and answer until cancelled."""
        async with (
            listening(self._broker, subjects.ENDPOINT_ORDERS, hear=self._on_order),
            listening(self._broker, subjects.ENDPOINT_REPORTS, hear=self._on_request),
        ):
            while True:
                await self.heed()
                await self._broker.connected_anew()

    async def heed(self) -> None:
        """Drain what is to be drained and use everything else, as it is kept now; waits for a broker that is away."""
        async with self._heeding:  # what was read first is not to be done last
            self._obey(await self._kept())

    async def _kept(self) -> Mapping[str, EndpointOrder]:
        while True:
            try:
                return await self._orders.kept()
            except BrokerUnavailableError as error:
                log.warning("waiting for the broker", reason=str(error))
                await asyncio.sleep(RETRY_S)

    def _obey(self, orders: Mapping[str, EndpointOrder]) -> None:
        for endpoints, stats in self._every():
            order, drained = orders.get(stats.url), stats.state is EndpointState.DRAINING
            by = order.principal if order else None
            if order and order.draining and not drained:
                endpoints.drain(stats.url)
                log.info("endpoint gets nothing new", endpoint=stats.url, by=by, in_flight=stats.in_flight)
            elif drained and not (order and order.draining):
                endpoints.undrain(stats.url)
                log.info("endpoint is used again", endpoint=stats.url, by=by)

    def _every(self) -> Iterator[tuple[DrainableEndpoints, EndpointStats]]:
        for endpoints in self._endpoints.values():
            for stats in endpoints.stats():
                yield endpoints, stats

    async def _on_order(self, message: Live) -> None:
        if _is(EndpointOrder, message):
            await self.heed()
            await self._report(message.reply)

    async def _on_request(self, message: Live) -> None:
        if _is(EndpointReportRequest, message):
            await self._report(message.reply)

    async def _report(self, reply: str) -> None:
        if not reply:
            return
        try:
            for kind, endpoints in self._endpoints.items():
                report = EndpointReport(
                    service=self._service,
                    instance=self._instance,
                    kind=kind,
                    model=endpoints.model,
                    endpoints=tuple(endpoints.stats()),
                )
                await self._broker.nc.publish(reply, report.to_bytes())
        except nats.errors.Error as error:  # whoever asked asks again
            log.warning("endpoints not told", reason=str(error))


def _is(expected: type[Message], message: Live) -> bool:
    try:
        expected.from_bytes(message.data)
    except WaggleError as error:
        log.warning("message left aside", subject=message.subject, reason=str(error))
        return False
    return True
