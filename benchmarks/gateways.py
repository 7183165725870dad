"""Gateways in processes of their own on a broker of their own, with a stand-in for retrieval in this one."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from contracts import topology
from contracts.answers import Completed, Retrieved
from contracts.api_keys import Scope
from contracts.process_settings import ProcessSettings
from contracts.queries import QueryRequest
from contracts.settings import BrokerSettings
from deploy.local.ports import free_port
from messaging.answers import AnswerPublisher
from messaging.api_keys import KeyBook
from messaging.app import WorkerApp
from messaging.broker import Broker
from messaging.delivery import Delivery
from messaging.terminals import Terminals

START_S = 60.0
STOP_S = 30.0


@dataclass(frozen=True)
class GatewayProcess:
    """One that is ready."""

    url: str
    pid: int


@contextmanager
def gateway(nats_url: str, data_dir: Path, settings: Mapping[str, str]) -> Iterator[GatewayProcess]:
    """`waggle gateway` until the end of the block. `settings` are `WAGGLE_` variables."""
    port = free_port()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("WAGGLE_")}
    own = {"WAGGLE_NATS_URL": nats_url, "WAGGLE_DATA_DIR": str(data_dir), "WAGGLE_GATEWAY_PORT": str(port)}
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", "gateway"],
        env={**inherited, "WAGGLE_LOG_LEVEL": "warning", **own, **settings},
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_ready(url, process)
        yield GatewayProcess(url, process.pid)
    finally:
        process.terminate()
        process.wait(STOP_S)


async def key(broker: Broker, tenant: str) -> str:
    """A key that may ask and submit."""
    scopes = (Scope.QUERY, Scope.INGEST, Scope.READ)
    return (await KeyBook(broker).create(name="benchmark", tenant=tenant, scopes=scopes, principal="benchmark")).text


@asynccontextmanager
async def answering(nats_url: str, *, takes_s: float, at_once: int) -> AsyncIterator[None]:
    """A stand-in for retrieve that finds nothing, in so many seconds."""
    app = WorkerApp(ProcessSettings(nats_url=nats_url), service="retrieve")

    @app.consumes(topology.QUERY_WORKERS, QueryRequest, concurrency=at_once)
    async def on_request(request: QueryRequest, _: Delivery) -> None:
        await asyncio.sleep(takes_s)
        tenant, query_id = request.tenant, request.query_id
        await AnswerPublisher(app.broker).retrieved(Retrieved(tenant=tenant, query_id=query_id, passages=()))
        await Terminals(app.broker).end(Completed(tenant=tenant, query_id=query_id))

    life = asyncio.create_task(app.run(handle_signals=False))
    try:
        await app.wait_ready()
        yield
    finally:
        app.stop()
        await life


@asynccontextmanager
async def connected(nats_url: str) -> AsyncIterator[Broker]:
    broker = await Broker.connect(BrokerSettings(nats_url=nats_url), name="benchmark")
    try:
        yield broker
    finally:
        await broker.close()


def _wait_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    """Until it answers and has read its keys and documents; there are no workers, so it never is ready as a whole."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the gateway ended with {process.returncode}")
        try:
            if httpx.get(f"{url}/health/ready", timeout=5, trust_env=False).status_code in {200, 503}:
                return
        except httpx.HTTPError:
            time.sleep(0.1)
    raise RuntimeError(f"the gateway at {url} does not answer")
