"""`waggle endpoints`, as people run it, with a generate worker on a real broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from contracts.answers import Completed
from contracts.endpoint_reports import EndpointOrder
from contracts.generator_settings import GeneratorKind
from contracts.settings import GenerateSettings
from contracts.topology import Topology
from deploy.local.nats_server import NatsServer
from messaging.broker import Broker
from messaging.endpoints import EndpointOrders
from tests.broker.test_endpoint_draining import PATIENT_S, answered
from tests.support.chat_servers import MODEL, ChatServer, chat_servers, waits_for
from tests.support.commands import Command
from tests.support.waiting import until
from tests.support.workers import running
from workers.generate.worker import build


@pytest.fixture
def endpoints(nats_server: NatsServer, tmp_path: Path) -> Command:
    environment = {"WAGGLE_NATS_URL": nats_server.url, "WAGGLE_DATA_DIR": str(tmp_path / "data"), "LOGNAME": "ada"}
    return Command("endpoints", environment=environment)


@pytest.fixture
async def servers() -> AsyncIterator[list[ChatServer]]:
    async with chat_servers(2) as started:
        yield started


@pytest.fixture
async def app(
    nats_server: NatsServer, broker: Broker, table: Topology, servers: Sequence[ChatServer], tmp_path: Path
) -> AsyncIterator[None]:
    settings = GenerateSettings(
        nats_url=nats_server.url,
        data_dir=tmp_path,
        instance="one",
        generator=GeneratorKind.OPENAI,
        generator_endpoints=", ".join(server.url for server in servers),
        generator_model=MODEL,
        generator_first_token_timeout_s=PATIENT_S,
    )
    async with running(build(settings, table=table)):
        yield


async def test_an_endpoint_is_drained_and_used_again(
    app: None, broker: Broker, endpoints: Command, servers: list[ChatServer]
) -> None:
    first, second = servers
    release = asyncio.Event()
    for server in servers:
        server.always = waits_for(release, "Bees dance.")
    asked = asyncio.create_task(answered(broker))
    await until(lambda: first.in_flight + second.in_flight == 1)
    busy, idle = (first, second) if first.in_flight else (second, first)

    listed, unknown = await asyncio.gather(endpoints("ls", "--json"), endpoints("drain", "http://nobody.example/v1"))
    assert listed.code == 0
    assert {item["url"]: (item["instance"], item["state"], item["in_flight"]) for item in listed.json["items"]} == {
        busy.url: ("one", "healthy", 1),
        idle.url: ("one", "healthy", 0),
    }
    assert (listed.json["drained"], listed.json["silent"], listed.json["without"]) == ([], [], 0)
    assert unknown.code == 2
    assert "no worker that answered has an endpoint http://nobody.example/v1" in unknown.err
    assert all(server.url in unknown.err for server in servers)

    ran = await endpoints("drain", busy.url + "/", "--wait", "0.3")
    assert ran.code == 1
    assert f"{busy.url} gets nothing new from 1 worker; 1 request under way there." in ran.out
    assert f"{busy.url} is not known to be idle after 0.3 s (one: 1)" in ran.err
    assert not asked.done()

    waiting = asyncio.create_task(endpoints("drain", busy.url, "--wait", str(PATIENT_S)))
    shown = await endpoints("ls")
    assert (shown.code, f"{busy.url} is drained by ada@" in shown.err) == (0, True)
    assert any(busy.url in line and "draining" in line and " one " in line for line in shown.out.splitlines())
    assert not waiting.done()
    release.set()
    ran = await waiting
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == f"{busy.url} is drained: nothing is under way there in 1 worker.\n"
    assert isinstance(await asked, Completed)

    ran = await endpoints("undrain", busy.url, "--json")
    assert ran.code == 0
    (item,) = ran.json["items"]
    assert (ran.json["url"], ran.json["draining"], ran.json["behind"], item["state"]) == (
        busy.url,
        False,
        [],
        "healthy",
    )
    kept = await EndpointOrders(broker).kept()
    assert kept[busy.url].principal.startswith("ada@")


async def test_who_has_no_endpoint_left_is_told_and_a_lost_one_may_be_forgotten(
    app: None, broker: Broker, endpoints: Command, servers: list[ChatServer]
) -> None:
    orders, lost = EndpointOrders(broker), "http://long-gone.example/v1"
    await orders.keep(EndpointOrder(url=lost, draining=True, principal="eve"))
    ran, _ = await asyncio.gather(*(endpoints("drain", server.url, "--json") for server in servers))
    assert (ran.code, ran.json["draining"], ran.json["silent"]) == (0, True, [])

    shown = await endpoints("ls")
    assert shown.code == 0
    assert "one has no endpoint left that is not drained: its questions wait." in shown.err
    assert f"{lost} is drained by eve" in shown.err
    assert "`waggle endpoints undrain` forgets it" in shown.err

    assert (await endpoints("undrain", lost)).out == f"{lost} is used again by 0 workers.\n"
    listed = await endpoints("ls", "--json")
    assert {kept["url"] for kept in listed.json["drained"]} == {server.url for server in servers}


async def test_without_endpoints_it_is_said_why(
    nats_server: NatsServer, broker: Broker, table: Topology, endpoints: Command, tmp_path: Path
) -> None:
    nobody, refused = await asyncio.gather(endpoints("ls"), endpoints("undrain", "http://a/v1"))
    assert (nobody.code, "No worker runs that could have endpoints" in nobody.out) == (0, True)
    assert (refused.code, "No worker runs that could have endpoints" in refused.err) == (2, True)
    async with running(build(GenerateSettings(nats_url=nats_server.url, data_dir=tmp_path), table=table)):
        shown, listed = await asyncio.gather(endpoints("ls"), endpoints("ls", "--json"))
    assert "No worker has endpoints (1 worker without any)" in shown.out
    assert "WAGGLE_GENERATOR=openai" in shown.out
    assert listed.json == {"items": [], "drained": [], "silent": [], "without": 1}
