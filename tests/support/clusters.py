"""Three real NATS servers as one cluster, whose members may be killed and started again."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Self

from contracts.errors import WaggleError
from contracts.settings import BrokerSettings
from contracts.topology import Topology
from deploy.local.nats_server import NatsServer
from messaging.broker import Broker
from messaging.provisioning import provision
from tests.support.waiting import until

NAMES = ("n1", "n2", "n3")
ELECTION_S = 30.0


class Cluster:
    """The servers by name."""

    def __init__(self, directory: Path) -> None:
        ports = _free_ports(2 * len(NAMES))
        routes = ", ".join(f'"nats://127.0.0.1:{port}"' for port in ports[: len(NAMES)])
        self.servers = {
            name: NatsServer(
                directory / name,
                port=ports[len(NAMES) + n],
                extra_config=f"server_name: {name}\n"
                f'cluster {{ name: hive, listen: "127.0.0.1:{ports[n]}", routes: [{routes}] }}\n',
            )
            for n, name in enumerate(NAMES)
        }

    @property
    def url(self) -> str:
        """All of them, as `WAGGLE_NATS_URL` has them."""
        return ",".join(server.url for server in self.servers.values())

    def __enter__(self) -> Self:
        for server in self.servers.values():
            server.start()
        return self

    def __exit__(self, *_: object) -> None:
        for server in self.servers.values():
            server.kill()

    async def leader_of(self, broker: Broker, stream: str) -> str:
        """The name of the server that leads a stream."""
        info = await broker.js.stream_info(stream)
        assert info.cluster is not None
        assert info.cluster.leader is not None
        return str(info.cluster.leader)

    async def whole(self, broker: Broker, *streams: str) -> None:
        """Wait until all replicas of these streams are there and have caught up."""

        async def current() -> bool:
            try:
                clusters = [(await broker.js.stream_info(stream)).cluster for stream in streams]
            except Exception:  # noqa: BLE001  (an election is under way)
                return False
            return all(
                c is not None and c.leader and c.replicas and all(r.current and not r.offline for r in c.replicas)
                for c in clusters
            )

        await until(current, timeout_s=ELECTION_S)


def connected(cluster: Cluster, *, replicas: int | None = None) -> AbstractAsyncContextManager[Broker]:
    """A connection to whichever member answers."""
    return connected_to(cluster.url, replicas=replicas)


@asynccontextmanager
async def connected_to(url: str, *, replicas: int | None = None) -> AsyncIterator[Broker]:
    broker = await Broker.connect(BrokerSettings(nats_url=url, replicas=replicas), name="test", on_closed=lambda: None)
    try:
        yield broker
    finally:
        await broker.close()


async def provisioned(broker: Broker, table: Topology) -> None:
    """Provision, waiting until the members have found each other."""

    async def done() -> bool:
        try:
            await provision(broker, table)
        except WaggleError:
            return False
        return True

    await until(done, timeout_s=ELECTION_S)


def _free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports
