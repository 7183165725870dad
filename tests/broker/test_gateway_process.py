"""The gateway as a process of its own: memory, figures, signals, exit codes."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import psutil
import pytest

from contracts.queries import QueryRequest
from deploy.local.nats_server import NatsServer
from messaging.broker import Broker
from tests.support.gateways import TEXT, FakeWorkers, Stage, finishing_after
from tests.support.waiting import until

MiB = 1024 * 1024
RUN = (
    "import asyncio, sys; from contracts.settings import GatewaySettings; from gateway.server import serve; "
    "sys.exit(asyncio.run(serve(GatewaySettings.load())))"
)


@dataclass
class Process:
    """A gateway process and a client of it."""

    process: asyncio.subprocess.Process
    http: httpx.AsyncClient

    @property
    def rss_bytes(self) -> int:
        return int(psutil.Process(self.process.pid).memory_info().rss)

    async def stopped(self, by: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(by)
        async with asyncio.timeout(30):
            return await self.process.wait()

    async def takes_nobody(self) -> bool:
        try:
            async with httpx.AsyncClient(base_url=self.http.base_url, trust_env=False) as other:
                await other.get("/health/live")
        except httpx.TransportError:
            return True
        return False


async def launch(**environment: str) -> asyncio.subprocess.Process:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("WAGGLE_")}
    variables = {f"WAGGLE_{key.upper()}": value for key, value in {"auth": "development", **environment}.items()}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", RUN, env={**inherited, **variables}, stderr=asyncio.subprocess.PIPE
    )


@asynccontextmanager
async def gateway_process(nats_url: str, **environment: str) -> AsyncIterator[Process]:
    process = await launch(nats_url=nats_url, gateway_port="0", **environment)
    assert process.stderr is not None
    try:
        async with asyncio.timeout(30):
            while not (found := re.search(rb"http://127\.0\.0\.1:\d+", await process.stderr.readline())):
                assert not process.stderr.at_eof(), "the gateway ended"
        draining = asyncio.create_task(process.stderr.read())
        async with httpx.AsyncClient(base_url=found.group().decode(), timeout=60, trust_env=False) as http:
            yield Process(process, http)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await draining


async def ready(gateway: Process) -> None:
    async def is_ready() -> bool:
        return (await gateway.http.get("/health/ready")).status_code == 200

    await until(is_ready, timeout_s=60)


async def test_a_large_upload_passes_through_without_being_held(broker: Broker, nats_server: NatsServer):
    size = 60 * MiB
    piece = os.urandom(64 * 1024)

    async def form() -> AsyncIterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="f"; filename="large.bin"\r\n\r\n'
        for _ in range(size // len(piece)):
            yield piece
        yield b"\r\n--x--\r\n"

    async with gateway_process(nats_server.url) as gateway:
        await ready(gateway)
        await gateway.http.post("/v1/documents", files={"f": ("warm-up", piece)})
        before, peak, done = gateway.rss_bytes, 0, asyncio.Event()

        async def watch() -> None:
            nonlocal peak
            while not done.is_set():
                peak = max(peak, gateway.rss_bytes)
                await asyncio.sleep(0.02)

        watching = asyncio.create_task(watch())
        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        response = await gateway.http.post("/v1/documents", content=form(), headers=headers)
        accepted = response.json()["items"][0]
        shown = (await gateway.http.get(f"/v1/documents/{accepted['document_id']}")).json()
        async with gateway.http.stream("GET", f"/v1/documents/{accepted['document_id']}/content") as download:
            received = 0
            async for chunk in download.aiter_bytes():
                received += len(chunk)
        done.set()
        await watching
    assert (shown["size_bytes"], received) == (size, size)
    assert peak - before < 20 * MiB, f"grew by {(peak - before) / MiB:.0f} MiB"
    assert peak < 150 * MiB


async def test_sigterm_finishes_what_is_in_hand_and_exits_with_0(broker: Broker, nats_server: NatsServer):
    go_on = asyncio.Event()
    workers = FakeWorkers(broker, finishing_after(go_on))
    await workers.start()
    async with gateway_process(nats_server.url) as gateway:
        await ready(gateway)
        asking = asyncio.create_task(gateway.http.post("/v1/query", json={"query": "Now?"}))
        await until(lambda: bool(workers.questions))
        stopping = asyncio.create_task(gateway.stopped())
        await until(gateway.takes_nobody)
        go_on.set()
        assert (await asking).json()["answer"] == "Finished."
        assert await stopping == 0
    await workers.stop()


class Dictated:
    """An answer whose pieces come when the test says so: the first at once, each of the others after `pieces[n].set()`."""

    TEXTS = ("Bees ", "dance ", "the ", "way.")

    def __init__(self) -> None:
        self.pieces = [asyncio.Event() for _ in self.TEXTS]
        self.pieces[0].set()
        self.said = 0

    async def __call__(self, _: QueryRequest, stage: Stage) -> None:
        await stage.retrieved()
        for number, (piece, text) in enumerate(zip(self.pieces, self.TEXTS, strict=True), start=1):
            await piece.wait()
            await stage.delta(f"1.{number}", text)
            self.said = number
        await stage.completed("Bees dance the way.")


async def told(response: httpx.Response) -> AsyncIterator[str]:
    """The ids of events, and in between what is said to the reader itself, with `: ` in it."""
    async for line in response.aiter_lines():
        if line.startswith((": ", "id: ", "retry: ")):
            yield line.removeprefix("id: ")


async def test_a_stream_that_sigterm_ends_goes_on_at_another_gateway(broker: Broker, nats_server: NatsServer):
    answer = Dictated()
    workers = FakeWorkers(broker, answer)
    await workers.start()
    async with (
        gateway_process(nats_server.url, drain_timeout_s="3") as gateway,
        gateway_process(nats_server.url) as other,
    ):
        await ready(gateway)
        await ready(other)
        seen: list[str] = []
        async with gateway.http.stream("POST", "/v1/query", json={"query": "How?", "stream": True}) as response:
            async for item in told(response):
                seen.append(item)
                if item == "1.1":
                    stopping = asyncio.create_task(gateway.stopped())
                    await until(gateway.takes_nobody)
                    answer.pieces[1].set()
        assert await stopping == 0
        assert (seen[0], seen[-1]) == ("retry: 500", ": stopping, please reconnect")
        assert "end" not in seen
        answer.pieces[2].set()
        await until(lambda: answer.said == 3)  # by now nobody reads

        ids = [item for item in seen if ": " not in item]
        path = f"/v1/queries/{response.headers['waggle-query-id']}/events"
        resumed = other.http.stream("GET", path, headers={"Last-Event-ID": ids[-1]})
        async with asyncio.timeout(60), resumed as response:
            async for item in told(response):
                ids += [] if ": " in item else [item]
                if item == "1.3":
                    answer.pieces[3].set()
    await workers.stop()
    assert ids == ["0.1", "1.1", "1.2", "1.3", "1.4", "end"]


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
async def test_it_also_stops_in_order_while_it_waits_for_a_broker(nats_server: NatsServer, by: signal.Signals):
    nats_server.stop()
    async with gateway_process(nats_server.url) as gateway:
        assert (await gateway.http.get("/v1/documents")).status_code == 503
        assert await gateway.stopped(by) == 0


async def test_figures_are_by_route_template_and_name_no_id(broker: Broker, nats_server: NatsServer):
    async with gateway_process(nats_server.url) as gateway:
        await ready(gateway)
        await gateway.http.post("/v1/documents", json={"name": "a", "text": TEXT, "document_id": "secret-id"})
        for path in ("/v1/documents/secret-id", "/v1/documents/other-id", "/no/such/path", "/no/other"):
            await gateway.http.get(path)
        await gateway.http.request("BREW", "/v1/documents")
        figures = (await gateway.http.get("/metrics")).text
        as_json = (await gateway.http.get("/metrics", headers={"Accept": "application/json"})).json()
        assert (await gateway.http.get("/metrics", params={"format": "xml"})).status_code == 422
    assert "http_server_request_duration_seconds_bucket" in figures
    lines = [line for line in figures.splitlines() if line.startswith("http_server_request_duration_seconds_count")]
    assert any('http_route="/v1/documents/{document_id}"' in line and '"4xx"' in line for line in lines)
    assert sum('http_route="unmatched"' in line for line in lines) == 1
    names = {line.split()[2] for line in figures.splitlines() if line.startswith("# TYPE ")}
    assert names == {family["name"] for family in as_json["metrics"]}
    assert "secret-id" not in figures
    assert "BREW" not in figures
    assert any(line.startswith("waggle_admission_backlog{") and '"retrieve"' in line for line in figures.splitlines())


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"gateway_host": "0.0.0.0"}, "loopback only"),
        ({"gateway_host": "192.0.2.1"}, "loopback only"),
        ({"gateway_host": "example.com"}, "no address of this host"),
        ({"gateway_port": "{taken}"}, "WAGGLE_GATEWAY_PORT"),
    ],
)
async def test_an_address_it_may_not_or_cannot_have_is_refused_with_a_reason(nats_server, environment, said):
    taken = str(nats_server.port)
    process = await launch(nats_url=nats_server.url, **{k: v.format(taken=taken) for k, v in environment.items()})
    _, told = await process.communicate()
    assert process.returncode != 0
    assert said in told.decode()


async def test_wrong_credentials_end_the_process_with_an_error(tmp_path):
    with NatsServer(tmp_path / "locked", extra_config='authorization { user: "a", password: "b" }\n') as server:
        process = await launch(nats_url=server.url, gateway_port="0", nats_user="a", nats_password="wrong")
        async with asyncio.timeout(30):
            _, told = await process.communicate()
    assert process.returncode == 1
    assert "WAGGLE_NATS_PASSWORD" in told.decode()
