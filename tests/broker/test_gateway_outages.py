"""The gateway when its broker is not there, goes away, comes back, or comes back as another one."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from contracts.settings import BrokerSettings
from deploy.local.nats_server import NatsServer
from messaging.broker import Broker
from messaging.provisioning import provision
from tests.support.gateways import TEXT, FakeWorkers, Gateway, Stage, running_gateway
from tests.support.waiting import until

DOCUMENT = {"name": "bees.txt", "text": TEXT}
ROUTES: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "/v1/documents", {"json": DOCUMENT}),
    ("POST", "/v1/documents", {"files": {"f": ("a", b"x")}}),
    ("GET", "/v1/documents", {}),
    ("GET", "/v1/documents/bees", {}),
    ("DELETE", "/v1/documents/bees", {}),
    ("GET", "/v1/documents/bees/events", {}),
    ("GET", "/v1/documents/bees/text", {}),
    ("GET", "/v1/documents/bees/content", {}),
    ("POST", "/v1/query", {"json": {"query": "Anybody?"}}),
    ("POST", "/v1/query", {"json": {"query": "Anybody?", "stream": True}}),
    ("GET", "/v1/queries/q/events", {}),
    ("DELETE", "/v1/queries/q", {}),
    ("GET", "/v1/fleet", {}),
]


@pytest.fixture
async def gateway(broker: Broker, nats_server: NatsServer) -> AsyncIterator[Gateway]:
    async with running_gateway(nats_server.url) as running:
        await running.ready()
        yield running


async def assert_refused_at_once(gateway: Gateway) -> None:
    for method, path, options in ROUTES:
        started = time.monotonic()
        response = await gateway.http.request(method, path, **options)
        assert response.status_code == 503, f"{method} {path}"
        assert response.headers["retry-after"].isdecimal()
        assert response.json()["code"] == "temporarily_unavailable"
        assert time.monotonic() - started < 1, f"{method} {path} waited"
    assert (await gateway.http.get("/health/live")).status_code == 200
    ready = await gateway.http.get("/health/ready")
    assert (ready.status_code, ready.json()["status"]) == (503, "not ready")
    assert ready.headers["retry-after"].isdecimal()


async def test_without_a_broker_everything_is_503_at_once_and_it_comes_up_with_it(nats_server: NatsServer):
    nats_server.stop()
    async with running_gateway(nats_server.url) as gateway:
        await assert_refused_at_once(gateway)
        nats_server.start()
        broker = await Broker.connect(BrokerSettings(nats_url=nats_server.url), name="test", on_closed=lambda: None)
        await provision(broker)
        await gateway.ready()
        assert (await gateway.http.post("/v1/documents", json=DOCUMENT)).status_code == 202
        await broker.close()


async def test_a_killed_broker_is_503_at_once_and_what_was_accepted_is_there_afterwards(gateway, nats_server):
    accepted = (await gateway.http.post("/v1/documents", json=DOCUMENT)).json()["document_id"]
    nats_server.kill()
    await until(lambda: _status(gateway, 503))
    await assert_refused_at_once(gateway)
    nats_server.start()
    await gateway.ready()
    shown = await gateway.http.get(f"/v1/documents/{accepted}")
    assert (shown.status_code, shown.json()["state"]) == (200, "submitted")
    later = (await gateway.http.post("/v1/documents", json=DOCUMENT)).json()["document_id"]

    async def listed() -> bool:
        items = (await gateway.http.get("/v1/documents")).json().get("items", [])
        return {item["document_id"] for item in items} == {accepted, later}

    await until(listed)


async def test_a_broker_that_dies_under_an_upload_gives_503_for_that_file(gateway, nats_server):
    async def upload() -> AsyncIterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\n' + b"x" * 140_000
        nats_server.kill()
        yield b"x" * 100_000 + b"\r\n--x--\r\n"

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    response = await gateway.http.post("/v1/documents", content=upload(), headers=headers)
    assert (response.status_code, response.json()["status"]) == (503, 503)
    assert response.headers["retry-after"].isdecimal()


async def test_an_answer_outlives_a_broker_restart(gateway, broker, nats_server):
    go_on = asyncio.Event()

    async def slow(_, stage: Stage) -> None:
        await go_on.wait()
        await stage.retrieved()
        await stage.completed("Late, but whole.")

    workers = FakeWorkers(broker, slow)
    await workers.start()
    asking = asyncio.create_task(gateway.http.post("/v1/query", json={"query": "Still there?"}))
    await until(lambda: bool(workers.questions))
    async with _reconnected(broker):
        nats_server.restart(crash=True)
    go_on.set()
    response = await asking
    assert (response.status_code, response.json()["answer"]) == (200, "Late, but whole.")
    await workers.stop()


async def test_a_broker_whose_store_was_wiped_leaves_no_ghosts_in_the_list(
    gateway, nats_server, broker, tmp_path: Path
):
    for _ in range(3):
        await gateway.http.post("/v1/documents", json=DOCUMENT)
    await until(lambda: _listed(gateway, 3))
    async with _reconnected(broker):
        nats_server.stop()
        shutil.rmtree(tmp_path / "nats" / "store")
        nats_server.start()
    await provision(broker)
    await gateway.ready()
    await until(lambda: _listed(gateway, 0))


@asynccontextmanager
async def _reconnected(broker: Broker) -> AsyncIterator[None]:
    """Wait at the end until `broker` has a new connection."""
    before = broker.nc.stats["reconnects"]
    yield
    await until(lambda: broker.is_connected and broker.nc.stats["reconnects"] > before)


async def _status(gateway: Gateway, status: int) -> bool:
    return (await gateway.http.get("/v1/fleet")).status_code == status


async def _listed(gateway: Gateway, count: int) -> bool:
    response = await gateway.http.get("/v1/documents")
    return response.status_code == 200 and len(response.json()["items"]) == count
