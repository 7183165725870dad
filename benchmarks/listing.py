"""Lists of very many documents: how soon the gateway has them, how long a page takes, and what they take of its memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import psutil
import uvloop

from benchmarks.figures import Figure, percentile
from benchmarks.gateways import GatewayProcess, connected, gateway
from contracts import topology
from contracts.documents import DocumentRecord, Failure, Generation, GenerationState
from contracts.errors import ErrorCode
from contracts.settings import BrokerSettings
from deploy.local.nats_server import NatsServer
from deploy.local.provisioning import provision
from messaging.broker import Broker
from messaging.buckets import Bucket

DOCUMENTS = 100_000
AT_ONCE = 256
FAILED_OF = 1_000
"""One of so many has failed: what a list by state must find among all others."""
ROUNDS = 50
PAGE = 200
CATCH_UP_S = 300.0
CONNECT_S = 20.0
FIRST_PAGE_BAR_MS = "<= 200"
MEMORY_BAR_MIB = "<= 200"
MiB = 1024 * 1024
START = datetime(2026, 1, 1, tzinfo=UTC)
DEVELOPMENT = {"WAGGLE_AUTH": "development"}


def measure() -> list[Figure]:
    """On a broker without any other work; records are written into the ledger as submissions leave them."""
    with TemporaryDirectory(prefix="waggle-bench-") as folder, NatsServer(Path(folder) / "nats") as server:
        provision(BrokerSettings(nats_url=server.url), connect_s=CONNECT_S)
        with gateway(server.url, Path(folder), DEVELOPMENT) as empty:
            idle_mib = _rss_mib(empty)
        uvloop.run(_fill(server.url, DOCUMENTS))
        began = time.perf_counter()
        with gateway(server.url, Path(folder), DEVELOPMENT) as full:
            _wait_for_list(full.url)
            caught_up = Figure(name="list_caught_up", value=time.perf_counter() - began, unit="s")
            pages = _pages(full.url)
            memory = Figure(
                name="list_rss_gateway", value=_rss_mib(full), unit="MiB", baseline=idle_mib, bar=MEMORY_BAR_MIB
            )
        return [caught_up, *pages, memory]


def _pages(url: str) -> list[Figure]:
    """The 95th percentile of a page of 200 documents, whole, over HTTP."""
    middle = _cursor_after(url, DOCUMENTS // 2, state="ready")
    asked: dict[str, dict[str, Any]] = {
        "list_first_page_by_state": {"state": "ready"},
        "list_first_page_of_few": {"state": "failed"},
        "list_first_page": {},
        "list_middle_page_by_state": {"state": "ready", "cursor": middle},
        "list_page_by_name": {"name_prefix": "folder-7/"},
        "list_page_by_metadata": {"metadata": "topic=t3"},
        "list_page_by_time": {"until": (START + timedelta(seconds=DOCUMENTS // 2)).isoformat()},
    }
    with httpx.Client(base_url=url, trust_env=False, timeout=CATCH_UP_S) as http:
        return [_timed(http, name, parameters) for name, parameters in asked.items()]


def _timed(http: httpx.Client, name: str, parameters: dict[str, Any]) -> Figure:
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        items = http.get("/v1/documents", params={**parameters, "limit": PAGE}).raise_for_status().json()["items"]
        times.append(1000 * (time.perf_counter() - began))
        if not items:
            raise RuntimeError(f"{name}: nothing is listed")
    return Figure(name=name, value=percentile(times, 0.95), unit="ms", bar=FIRST_PAGE_BAR_MS)


def _cursor_after(url: str, documents: int, **parameters: str) -> str:
    with httpx.Client(base_url=url, trust_env=False, timeout=CATCH_UP_S) as http:
        cursor: str | None = None
        for _ in range(max(1, documents // PAGE)):
            asked: dict[str, Any] = {**parameters, "limit": PAGE, **({} if cursor is None else {"cursor": cursor})}
            cursor = http.get("/v1/documents", params=asked).raise_for_status().json()["next"] or cursor
        if cursor is None:
            raise RuntimeError("there is one page only")
        return cursor


def _wait_for_list(url: str) -> None:
    deadline = time.monotonic() + CATCH_UP_S
    while httpx.get(f"{url}/v1/documents", params={"limit": 1}, trust_env=False, timeout=30).status_code != 200:
        if time.monotonic() > deadline:
            raise RuntimeError(f"the gateway has not read the ledger within {CATCH_UP_S:.0f} s")
        time.sleep(0.1)


def _rss_mib(process: GatewayProcess) -> float:
    return float(psutil.Process(process.pid).memory_info().rss) / MiB


async def _fill(nats_url: str, documents: int) -> None:
    async with connected(nats_url) as broker:
        records = _records(documents)
        async with asyncio.TaskGroup() as writers:
            for _ in range(AT_ONCE):
                writers.create_task(_write(broker, records))


async def _write(broker: Broker, records: Iterator[DocumentRecord]) -> None:
    bucket = Bucket(broker, topology.DOCUMENTS)
    for record in records:
        await bucket.write(f"{record.tenant}.{record.document_id}", record.model_dump_json().encode(), revision=0)


def _records(documents: int) -> Iterator[DocumentRecord]:
    for n in range(documents):
        failed = n % FAILED_OF == 0
        at = START + timedelta(seconds=n)
        latest = Generation(
            generation=f"g{n}",
            version=1,
            state=GenerationState.FAILED if failed else GenerationState.READY,
            name=f"folder-{n % 10}/document-{n}.txt",
            sha256=f"{n:064x}",
            size_bytes=1000 + n,
            media_type="text/plain",
            metadata={"topic": f"t{n % 20}", "lang": "en"},
            submitted_at=at,
            updated_at=at,
            failure=Failure(code=ErrorCode.EMPTY, message="There is no text in it.") if failed else None,
        )
        yield DocumentRecord(
            document_id=f"d{n}", visible_generation=None if failed else latest.generation, generations=(latest,)
        )
