"""What people have ordered about endpoints, kept in the bucket `config`."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from contracts import topology
from contracts.endpoint_reports import EndpointOrder
from contracts.errors import WaggleError
from contracts.identifiers import derived_id
from messaging.broker import Broker
from messaging.buckets import Bucket, Entry

PREFIX = "endpoints"

log = structlog.get_logger(__name__)


class EndpointOrders:
    """One key for each endpoint that was ever drained, with the newest order; the bucket's history says who came before.

    Everything raises `BrokerUnavailableError` when the broker is away.
    """

    def __init__(self, broker: Broker) -> None:
        self._bucket = Bucket(broker, topology.CONFIG)

    async def keep(self, order: EndpointOrder) -> None:
        """Have `order` count from now on. Raises `StaleRevisionError` when others order something else all the time."""
        await self._bucket.overwrite(_key(order.url), order.to_bytes())

    async def kept(self) -> Mapping[str, EndpointOrder]:
        """The newest order about each endpoint, by its address. One that cannot be read is as good as none."""
        newest = await self._bucket.newest(f"{PREFIX}.*")
        orders = [order for entry in newest.values() if (order := _read(entry)) is not None]
        return {order.url: order for order in orders}


def _key(url: str) -> str:
    """Addresses hold characters that keys may not."""
    return f"{PREFIX}.{derived_id(url)}"


def _read(entry: Entry) -> EndpointOrder | None:
    if entry.value is None:
        return None
    try:
        order = EndpointOrder.from_bytes(entry.value)
    except WaggleError as error:
        log.warning("not an order about an endpoint", key=entry.key, reason=str(error))
        return None
    return order if _key(order.url) == entry.key else None
