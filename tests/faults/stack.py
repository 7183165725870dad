"""A whole Waggle under test: a real broker and real processes on free ports, in a folder of their own."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp

from contracts import topology
from contracts.settings import BrokerSettings
from deploy.local import ports
from deploy.local.nats_server import NatsServer
from messaging.broker import Broker
from tests.faults.books import Books
from tests.faults.client import Client
from tests.faults.oracle import Oracle
from tests.faults.plans import Plan, Plans, Strike
from tests.faults.processes import Fleet
from tests.faults.scale import SCALED, Scale
from tests.faults.searcher import Searcher
from tests.faults.verdict import Verdict
from tests.faults.worker import DELIVERIES, GATEWAY, MANNERS_VARIABLE
from tests.support.clusters import Cluster, provisioned
from tests.support.waiting import until

READY_TIMEOUT_S = 60.0
STRUCK_TIMEOUT_S = 30.0
ENCODER_MS = 5
REPLICAS = 3
SERVICES = ("ingest", "embed", "retrieve", "generate")
EVERYBODY = "*"
"""Stands for every service whose manners are not given."""
KEEPERS = ("keeper-1", "keeper-2")
PROCESSES: Mapping[str, str] = {
    **dict.fromkeys(KEEPERS, "keeper"),
    **{f"{service}-1": service for service in SERVICES},
    GATEWAY: GATEWAY,
}
"""Which processes a stack has, by name."""


@dataclass(kw_only=True)
class Stack:
    """Everything that a row may break, and everything that it may ask."""

    scale: Scale
    seed: random.Random
    folder: Path
    server: NatsServer
    broker: Broker
    fleet: Fleet
    plans: Plans
    books: Books
    client: Client
    oracle: Oracle
    searcher: Searcher
    cluster: Cluster | None = None
    """The servers, when there are several; `server` is then one of them."""
    manners: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def index(self) -> Path:
        return self.folder / "index"

    async def start(self, *names: str) -> None:
        """Start these processes and wait until they work."""
        for name in names:
            self.launch(name)
        await self.fleet.ready(*names)
        if GATEWAY in names:
            await self.gateway_ready()

    def launch(self, name: str, service: str | None = None) -> None:
        """Start a process without waiting for it; another one of a service when that is named."""
        service = service or PROCESSES[name]
        manners = ",".join(self.manners.get(service, self.manners.get(EVERYBODY, ())))
        self.fleet.start(name, service, **{MANNERS_VARIABLE: manners})

    async def gateway_ready(self) -> None:
        await until(self.client.ready, timeout_s=READY_TIMEOUT_S, what=self.fleet.log_tail(GATEWAY))

    async def examine(self, *, settle_s: float | None = None) -> Verdict:
        """The oracle's verdict, with what the searcher has seen since the last one.

        `settle_s` is how long all may take to come to rest; by default as long as anything could.
        """
        async with self.searcher.resting():
            verdict = await self.oracle.examine(settle_s=self.scale.settle_s if settle_s is None else settle_s)
        seen, self.searcher.verdict = self.searcher.verdict, Verdict()
        return verdict + seen

    async def struck(self, plan: Plan, *, timeout_s: float = STRUCK_TIMEOUT_S) -> Strike:
        """Wait until a plan has been carried out."""
        await until(lambda: self.plans.strikes(plan), timeout_s=timeout_s, what=f"{plan.point} is reached")
        return self.plans.strikes(plan)[0]

    async def accepted(self, questions: int) -> None:
        """Wait until the broker has taken so many questions in all."""

        async def taken() -> bool:
            return await self.questions() >= questions

        await until(taken, timeout_s=READY_TIMEOUT_S, what=f"{questions} questions are accepted")

    async def questions(self) -> int:
        """How many questions the broker has taken so far."""
        return int((await self.broker.js.stream_info(topology.QUERY.name)).state.last_seq)

    async def connected(self) -> None:
        """Wait until the harness itself has its broker back."""
        await until(lambda: self.broker.is_connected, timeout_s=READY_TIMEOUT_S)

    def deliveries(self) -> list[tuple[str, int, int]]:
        """Every delivery so far: consumer, stream sequence, attempt."""
        try:
            lines = (self.folder / DELIVERIES).read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        fields = (line.split() for line in lines)
        return [(consumer, int(sequence), int(attempt)) for consumer, sequence, attempt in fields]


@asynccontextmanager
async def running(
    *,
    seed: int,
    scale: Scale = SCALED,
    without: tuple[str, ...] = (),
    manners: Mapping[str, tuple[str, ...]] | None = None,
    settings: Mapping[str, str] | None = None,
    clustered: bool = False,
    server: NatsServer | None = None,
) -> AsyncIterator[Stack]:
    """A started stack; afterwards nothing of it is left. `without` names processes that are not started yet.

    `manners` are other ways of single services (`tests.faults.manners`), `settings` further `WAGGLE_` variables. A
    `clustered` one has three servers, and three copies of everything. `server` is one of the row's own, not yet started.
    """
    folder = Path(mkdtemp(prefix="waggle-faults-"))
    served = Cluster(folder / "nats") if clustered else server or NatsServer(folder / "nats")
    try:
        with served:
            connection = BrokerSettings(nats_url=served.url, replicas=REPLICAS if clustered else None)
            broker = await Broker.connect(connection, name="harness", on_closed=lambda: None)
            try:
                await provisioned(broker, scale.table)
                async with (
                    _fleet(folder, served.url, scale, settings or {}) as fleet,
                    _equipped(seed, scale, folder, served, broker, fleet, manners or {}) as stack,
                ):
                    await stack.start(*(name for name in PROCESSES if name not in without))
                    yield stack
            finally:
                await broker.close()
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


@asynccontextmanager
async def _fleet(folder: Path, url: str, scale: Scale, settings: Mapping[str, str]) -> AsyncIterator[Fleet]:
    environment = {
        "WAGGLE_NATS_URL": url,
        "WAGGLE_DATA_DIR": str(folder),
        "WAGGLE_AUTH": "development",
        "WAGGLE_ENCODER": "simulated",
        "WAGGLE_ENCODER_SIMULATED_MS": str(ENCODER_MS),
        "WAGGLE_CHUNK_TOKENS": "32",
        "WAGGLE_CHUNK_OVERLAP_TOKENS": "0",
        "WAGGLE_GATEWAY_PORT": str(ports.free_port()),
        **scale.environment,
        **settings,
    }
    fleet = Fleet(folder, environment)
    supervising = asyncio.create_task(fleet.supervise())
    try:
        yield fleet
    finally:
        supervising.cancel()
        with suppress(asyncio.CancelledError):
            await supervising
        fleet.end_all()


@asynccontextmanager
async def _equipped(
    seed: int,
    scale: Scale,
    folder: Path,
    served: NatsServer | Cluster,
    broker: Broker,
    fleet: Fleet,
    manners: Mapping[str, tuple[str, ...]],
) -> AsyncIterator[Stack]:
    cluster = served if isinstance(served, Cluster) else None
    server = served if isinstance(served, NatsServer) else next(iter(served.servers.values()))
    source, books = random.Random(seed), Books()
    url = f"http://127.0.0.1:{fleet.environment['WAGGLE_GATEWAY_PORT']}"
    async with Client.of(url, books) as client:
        searcher = Searcher(client, random.Random(source.random()))
        searching = asyncio.create_task(searcher.run())
        try:
            yield Stack(
                scale=scale,
                seed=source,
                folder=folder,
                server=server,
                broker=broker,
                fleet=fleet,
                plans=Plans(folder),
                books=books,
                client=client,
                oracle=Oracle(broker, books, folder / "index"),
                searcher=searcher,
                cluster=cluster,
                manners=manners,
            )
        finally:
            searching.cancel()
            with suppress(asyncio.CancelledError):
                await searching
