"""The gateway's door: what keys, limits and admission add, how many readers it bears, and what it does under too much load."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import psutil
import uvloop

from benchmarks.client import Asker
from benchmarks.figures import Figure, against, percentile
from benchmarks.gateways import GatewayProcess, answering, connected, gateway, key
from benchmarks.query import pairs
from contracts.answers import Completed, Delta
from contracts.settings import BrokerSettings
from deploy.local.nats_server import NatsServer
from deploy.local.provisioning import provision
from messaging.answers import AnswerPublisher
from messaging.broker import Broker
from messaging.terminals import Terminals

PAIRS = 1500
READERS = 200
DELTAS = 300
TAKES_S = 0.1
AT_ONCE = 2
CAPACITY = AT_ONCE / TAKES_S
"""Questions a second of the stand-in."""
UNLOADED = 60
OVERLOAD_S = 20.0
SETTLE_S = 5.0
"""Of that, until the gateway knows how fast the stage is."""
FEW = 60
CONNECT_S = 20.0

DEVELOPMENT = {"WAGGLE_AUTH": "development"}
GUARDED = {
    "WAGGLE_AUTH": "keys",
    "WAGGLE_KEY_RATE_LIMIT": "1000000/10s,6000000/m",
    "WAGGLE_TENANT_RATE_LIMIT": "1000000/10s,6000000/m",
    "WAGGLE_ADDRESS_RATE_LIMIT": "1000000/10s,6000000/m",
}


def measure() -> list[Figure]:
    """All of it, on a broker without any other work."""
    with TemporaryDirectory(prefix="waggle-bench-") as folder, NatsServer(Path(folder) / "nats") as server:
        provision(BrokerSettings(nats_url=server.url), connect_s=CONNECT_S)
        return uvloop.run(_measure(server.url, Path(folder)))


async def _measure(nats_url: str, folder: Path) -> list[Figure]:
    async with connected(nats_url) as broker:
        return [
            *await _added(broker, nats_url, folder),
            *await _readers(broker, nats_url, folder),
            *await _overload(nats_url, folder),
            *await _turns(broker, nats_url, folder),
        ]


async def _added(broker: Broker, nats_url: str, folder: Path) -> list[Figure]:
    """The same question to a gateway that asks for a key and counts, and to one that does neither, in turns."""
    with gateway(nats_url, folder, DEVELOPMENT) as plain, gateway(nats_url, folder, GUARDED) as guarded:
        async with (
            answering(nats_url, takes_s=0, at_once=4),
            Asker.connected(plain.url) as without,
            _asker(guarded, await key(broker, "acme")) as shown,
        ):

            async def ask(asker: Asker, question: str) -> None:
                await asker.ask(question, generate=False)

            ours, bare = await pairs(
                lambda question: ask(shown, question),
                lambda question: ask(without, question),
                itertools.cycle(["How reliable are the swarm warnings?"]),
                count=PAIRS,
            )
    added = percentile(ours, 0.5) - percentile(bare, 0.5)
    return [
        Figure(name="door_added_p50", value=added, unit="ms", bar="<= 0.5"),
        against("door_p50", percentile(ours, 0.5), percentile(bare, 0.5), unit="ms"),
        against("door_p95", percentile(ours, 0.95), percentile(bare, 0.95), unit="ms"),
    ]


async def _readers(broker: Broker, nats_url: str, folder: Path) -> list[Figure]:
    """Many who read one long answer at once, each to its end."""
    tenant, query_id = "default", "benchmark-readers"
    publisher = AnswerPublisher(broker)
    await publisher.delta(Delta(tenant=tenant, query_id=query_id, id="1.1", text="begin "))
    await publisher.flush(tenant, query_id)
    with gateway(nats_url, folder, DEVELOPMENT) as running:
        process = psutil.Process(running.pid)
        async with httpx.AsyncClient(
            base_url=running.url, timeout=120, trust_env=False, limits=httpx.Limits(max_connections=None)
        ) as http:
            before = process.memory_info().rss
            began = [asyncio.Event() for _ in range(READERS)]
            reading = [asyncio.create_task(_read(http, query_id, event)) for event in began]
            await asyncio.gather(*(event.wait() for event in began))
            for number in range(2, DELTAS + 1):
                await publisher.delta(Delta(tenant=tenant, query_id=query_id, id=f"1.{number}", text=f"word{number} "))
                await publisher.flush(tenant, query_id)
            grown = process.memory_info().rss - before
            await Terminals(broker).end(Completed(tenant=tenant, query_id=query_id, answer="whole"))
            read = await asyncio.gather(*reading)
    lost = sum(DELTAS + 1 - events for events in read)
    return [
        Figure(name="door_reader_memory", value=grown / READERS / 1024, unit="KiB"),
        Figure(name="door_readers_lost_events", value=lost, unit="events", bar="<= 0"),
    ]


async def _read(http: httpx.AsyncClient, query_id: str, began: asyncio.Event) -> int:
    """How many different events came."""
    seen = set[str]()
    async with http.stream("GET", f"/v1/queries/{query_id}/events") as response:
        async for line in response.aiter_lines():
            if line.startswith("id:"):
                seen.add(line)
                began.set()
    return len(seen)


async def _overload(nats_url: str, folder: Path) -> list[Figure]:
    """Five times as many questions as the stage can do, where none may wait long."""
    settings = DEVELOPMENT | {"WAGGLE_MAX_WAIT_S": "0.02"}
    with gateway(nats_url, folder, settings) as running:
        async with answering(nats_url, takes_s=TAKES_S, at_once=AT_ONCE), _plenty(running) as http:
            unloaded = Outcomes()
            for _ in range(UNLOADED):
                await unloaded.ask(http)
            outcomes = Outcomes()
            await _flood(http, outcomes, OVERLOAD_S)
    return [
        against(
            "door_overload_accepted_p95",
            percentile(outcomes.answered_ms, 0.95),
            percentile(unloaded.answered_ms, 0.95),
            unit="ms",
            bar="<= 1.5",
        ),
        Figure(name="door_overload_refused_p95", value=percentile(outcomes.refused_ms, 0.95), unit="ms", bar="<= 20"),
        Figure(name="door_overload_refused_p99", value=percentile(outcomes.refused_ms, 0.99), unit="ms", bar="<= 20"),
        against(
            "door_overload_accepted_rate",
            len(outcomes.answered_ms) / (OVERLOAD_S - SETTLE_S),
            CAPACITY,
            unit="1/s",
            bar=">= 0.8",
        ),
    ]


async def _turns(broker: Broker, nats_url: str, folder: Path) -> list[Figure]:
    """One tenant asks five times as much as can be done; another one asks now and then."""
    with gateway(nats_url, folder, {"WAGGLE_AUTH": "keys"}) as running:
        async with (
            answering(nats_url, takes_s=TAKES_S, at_once=AT_ONCE),
            _plenty(running, await key(broker, "bulk")) as bulk,
            _plenty(running, await key(broker, "few")) as few,
        ):
            alone, beside, flood = Outcomes(), Outcomes(), Outcomes()
            for _ in range(FEW):
                await alone.ask(few)
            flooding = asyncio.create_task(_flood(bulk, flood, 600))
            await flood.is_refused.wait()
            for _ in range(FEW):
                await beside.ask(few)
            flooding.cancel()
            await asyncio.gather(flooding, return_exceptions=True)
    return [
        against("door_few_beside_bulk_p50", percentile(beside.answered_ms, 0.5), percentile(alone.answered_ms, 0.5), unit="ms"),
        against("door_bulk_to_few_p50", percentile(flood.answered_ms, 0.5), percentile(beside.answered_ms, 0.5), unit="ms", bar=">= 3"),
        Figure(name="door_few_refused", value=len(beside.refused_ms), unit="questions", bar="<= 0"),
    ]  # fmt: skip


@dataclass
class Outcomes:
    """How long questions took that were answered, and such that were refused, in ms."""

    answered_ms: list[float] = field(default_factory=list)
    refused_ms: list[float] = field(default_factory=list)
    is_refused: asyncio.Event = field(default_factory=asyncio.Event)

    async def ask(self, http: httpx.AsyncClient, *, counts: bool = True) -> None:
        started = time.perf_counter()
        body = {"query": "How?", "generate": False, "deadline_s": 20}
        status = (await http.post("/v1/query", json=body)).status_code
        took_ms = (time.perf_counter() - started) * 1000
        if status not in {200, 429, 503}:
            raise RuntimeError(f"a question was answered {status}")
        if status != 200:
            self.is_refused.set()
        if counts:
            (self.answered_ms if status == 200 else self.refused_ms).append(took_ms)


async def _flood(http: httpx.AsyncClient, outcomes: Outcomes, lasts_s: float) -> None:
    """Ask evenly, whatever comes back; the first seconds do not count where it lasts longer."""
    began = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        while (since := time.perf_counter() - began) < lasts_s:
            tasks.create_task(outcomes.ask(http, counts=since > SETTLE_S))
            await asyncio.sleep(1 / CAPACITY / 5)


@asynccontextmanager
async def _plenty(running: GatewayProcess, secret: str | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """As many connections as it takes, with a key that the gateway knows."""
    headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    async with httpx.AsyncClient(
        base_url=running.url,
        headers=headers,
        timeout=60,
        trust_env=False,
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=None),
    ) as http:
        while (await http.get("/v1/nothing")).status_code != 404:  # noqa: ASYNC110  (nobody tells when a key is known)
            await asyncio.sleep(0.1)
        yield http


@asynccontextmanager
async def _asker(running: GatewayProcess, secret: str) -> AsyncIterator[Asker]:
    async with _plenty(running, secret), Asker.connected(running.url, key=secret) as asker:
        yield asker
