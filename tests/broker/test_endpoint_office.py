"""Orders about endpoints: how they are kept, and done by a worker's office."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

from contracts import topology
from contracts.endpoint_reports import EndpointOrder, EndpointState, EndpointStats, ServedModelKind
from contracts.topology import Topology
from messaging.broker import Broker
from messaging.endpoints import EndpointOffice, EndpointOrders
from messaging.errors import BrokerUnavailableError
from tests.support.clusters import ELECTION_S, Cluster, connected, provisioned
from tests.support.waiting import until

A, B = "http://a/v1", "http://b/v1"


async def test_the_last_of_many_orders_at_once_is_kept(broker: Broker) -> None:
    orders = EndpointOrders(broker)
    people = [EndpointOrder(url=A, draining=bool(n % 2), principal=f"person-{n}") for n in range(6)]
    await asyncio.gather(*map(orders.keep, people))
    assert (await orders.kept())[A] in people
    last = EndpointOrder(url=A, draining=False, principal="the last")
    await orders.keep(last)
    other = EndpointOrder(url=B, draining=True)
    await orders.keep(other)
    assert await orders.kept() == {A: last, B: other}


async def test_orders_survive_the_loss_of_a_server_of_a_cluster(tmp_path: Path, table: Topology) -> None:
    stream = f"KV_{topology.CONFIG.name}"
    wanted = EndpointOrder(url=A, draining=True)
    with Cluster(tmp_path) as cluster:
        async with connected(cluster, replicas=3) as broker:
            await provisioned(broker, table)
            await cluster.whole(broker, stream)
            orders = EndpointOrders(broker)
            await orders.keep(wanted)
            assert await orders.kept() == {wanted.url: wanted}
            cluster.servers[await cluster.leader_of(broker, stream)].kill()

            async def are_read() -> bool:
                with suppress(BrokerUnavailableError):
                    return await orders.kept() == {wanted.url: wanted}
                return False

            await until(are_read, timeout_s=ELECTION_S)


class Scripted:
    """Endpoints that note what is done to them."""

    model = "m"

    def __init__(self) -> None:
        self.done: list[tuple[str, str]] = []
        self.draining = False

    def stats(self) -> list[EndpointStats]:
        return [
            EndpointStats(
                url=A,
                state=EndpointState.DRAINING if self.draining else EndpointState.HEALTHY,
                weight=1,
                standby=False,
                requests=0,
                failures=0,
                in_flight=0,
                last_error="",
                latency_s=None,
            )
        ]

    def drain(self, url: str) -> None:
        self.draining = True
        self.done.append(("drain", url))

    def undrain(self, url: str) -> None:
        self.draining = False
        self.done.append(("undrain", url))


async def test_an_office_does_only_what_is_not_done_yet(broker: Broker) -> None:
    endpoints, orders = Scripted(), EndpointOrders(broker)
    office = EndpointOffice(broker, {ServedModelKind.GENERATOR: endpoints}, service="generate", instance="one")
    for draining in (False, True, True, False, False):
        await orders.keep(EndpointOrder(url=A, draining=draining))
        await office.heed()
    assert endpoints.done == [("drain", A), ("undrain", A)]
