"""Two generate workers with the same endpoints, and the desk that drains them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from contracts import subjects, topology
from contracts.answers import Completed
from contracts.endpoint_reports import EndpointOrder, EndpointState, EndpointStats
from contracts.endpoints import Balance
from contracts.generator_settings import GeneratorKind
from contracts.health import FACT_ENDPOINTS, Heartbeat, ProcessState
from contracts.message import utc_now
from contracts.settings import GenerateSettings
from contracts.topology import Topology
from deploy.local.nats_server import NatsServer
from messaging.answers import AnswerReader, AnyEvent
from messaging.app import WorkerApp
from messaging.broker import Broker
from messaging.buckets import Bucket
from messaging.endpoints import EndpointDesk
from messaging.fleet import FleetView
from messaging.live import Live, listening
from tests.broker.answering_stage import TENANT, generate_request
from tests.broker.test_generate_worker import publish
from tests.support.chat_servers import MODEL, ChatServer, chat_servers, waits_for
from tests.support.heartbeats import breaker_state
from tests.support.outages import crash
from tests.support.subscriptions import known_to_broker
from tests.support.waiting import until
from tests.support.workers import running
from workers.generate.worker import build

DRAINING, HEALTHY = EndpointState.DRAINING, EndpointState.HEALTHY
NAMES = ("one", "two")
PATIENT_S = 250.0
"""A question may wait for a whole test on a busy machine."""


@pytest.fixture(autouse=True)
def beating_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("messaging.running.BEAT_INTERVAL_S", 0.1)


@pytest.fixture
async def servers() -> AsyncIterator[list[ChatServer]]:
    async with chat_servers(2) as started:
        yield started


@pytest.fixture
def settings(nats_server: NatsServer, servers: Sequence[ChatServer], tmp_path: Path) -> GenerateSettings:
    return GenerateSettings(
        nats_url=nats_server.url,
        data_dir=tmp_path,
        generator=GeneratorKind.OPENAI,
        generator_endpoints=", ".join(server.url for server in servers),
        generator_model=MODEL,
        generator_balance=Balance.ROUND_ROBIN,
        generator_first_token_timeout_s=PATIENT_S,
    )


@asynccontextmanager
async def workers(settings: GenerateSettings, table: Topology, *names: str) -> AsyncIterator[list[WorkerApp]]:
    """Running workers that hear orders."""
    async with AsyncExitStack() as stack:
        apps = [build(settings.model_copy(update={"instance": name}), table=table) for name in names]
        for app in apps:
            await stack.enter_async_context(running(app))
            await known_to_broker(app.broker)
        yield apps


async def known(desk: EndpointDesk, *names: str) -> None:
    """Wait until the desk has heard that these workers have endpoints, and they answer."""

    async def all_answer() -> bool:
        survey = await desk.survey()
        return [report.instance for report in survey.reports] == list(names) and not survey.silent

    await until(all_answer)


async def answered(broker: Broker) -> AnyEvent:
    """The end of a question that may take its time."""
    request = generate_request(broker, left_s=PATIENT_S)
    async with AnswerReader(broker).open(TENANT, request.query_id) as stream:
        await publish(broker, request)
        *_, end = [event async for event in stream.events(timeout_s=PATIENT_S)]
    return end


async def answers(broker: Broker, count: int) -> None:
    """Ask so many questions at once; each is answered."""
    for end in await asyncio.gather(*(answered(broker) for _ in range(count))):
        assert isinstance(end, Completed)
        assert end.model == MODEL


def order(server: ChatServer, *, draining: bool, by: str = "ada") -> EndpointOrder:
    return EndpointOrder(url=server.url, draining=draining, principal=by)


async def states(desk: EndpointDesk, server: ChatServer) -> list[EndpointState]:
    return [stats.state for _, stats in (await desk.survey()).of(server.url)]


async def test_a_drained_endpoint_gets_nothing_new_and_what_is_under_way_finishes(
    settings: GenerateSettings, table: Topology, broker: Broker, desk: EndpointDesk, servers: list[ChatServer]
) -> None:
    first, second = servers
    release = asyncio.Event()
    first.always = waits_for(release, "Bees dance.")
    async with workers(settings, table, *NAMES):
        await known(desk, *NAMES)
        under_way = asyncio.create_task(answers(broker, 4))
        await until(lambda: len(first.chats) + len(second.chats) == 4 and not second.in_flight)
        held = first.in_flight
        assert held > 0

        survey = await desk.order(order(first, draining=True))
        assert [stats.state for _, stats in survey.of(first.url)] == [DRAINING, DRAINING]
        assert [stats.state for _, stats in survey.of(second.url)] == [HEALTHY, HEALTHY]
        assert (survey.in_flight(first.url), survey.is_drained(first.url)) == (held, False)
        await answers(broker, 4)
        assert (len(first.chats), first.in_flight) == (held, held)

        release.set()
        await under_way

        async def is_drained() -> bool:
            return (await desk.survey()).is_drained(first.url)

        await until(is_drained)
        assert len(first.chats) == held

        survey = await desk.order(order(first, draining=False))
        assert [stats.state for _, stats in survey.of(first.url)] == [HEALTHY, HEALTHY]
        await answers(broker, 4)
        assert len(first.chats) > held


async def test_a_report_tells_what_became_of_the_requests(
    settings: GenerateSettings, table: Topology, broker: Broker, desk: EndpointDesk, servers: list[ChatServer]
) -> None:
    url = servers[1].url
    settings = settings.model_copy(
        update={
            "generator_endpoints": f"{servers[0].url};weight=3, {url};standby",
            "generator_balance": Balance.LEAST_CONNECTIONS,
        }
    )
    async with workers(settings, table, "one"):
        await known(desk, "one")
        await servers[0].stop()
        await answers(broker, 1)
        (report,) = (await desk.survey()).reports
    failed, standby = report.endpoints
    assert (report.service, report.instance, report.model) == ("generate", "one", MODEL)
    assert (failed.weight, failed.standby, failed.failures, failed.latency_s) == (3, False, failed.requests, None)
    assert "cannot be reached" in failed.last_error
    assert standby.latency_s
    assert standby.latency_s > 0
    assert standby.requests >= 1  # a worker that was slow to say that it works on it is given it again
    assert standby == EndpointStats(
        url=url,
        state=HEALTHY,
        weight=1,
        standby=True,
        requests=standby.requests,
        failures=0,
        in_flight=0,
        last_error="",
        latency_s=standby.latency_s,
    )


async def test_a_worker_that_starts_later_does_not_even_introduce_itself_there(
    settings: GenerateSettings, table: Topology, broker: Broker, desk: EndpointDesk, servers: list[ChatServer]
) -> None:
    first, second = servers
    await desk.order(order(first, draining=True))
    async with workers(settings, table, "one"):
        await known(desk, "one")
        await answers(broker, 4)
        assert (first.requests, len(second.chats)) == ([], 4)
        await desk.order(order(first, draining=False))
        await answers(broker, 4)
        assert len(first.chats) == 2


async def test_a_worker_that_missed_an_order_learns_of_it_when_it_is_connected_again(
    settings: GenerateSettings,
    table: Topology,
    broker: Broker,
    desk: EndpointDesk,
    servers: list[ChatServer],
    nats_server: NatsServer,
) -> None:
    async with workers(settings, table, "one") as (app,):
        await known(desk, "one")
        await desk.orders.keep(order(servers[0], draining=True))  # and tell nobody
        assert await states(desk, servers[0]) == [HEALTHY]
        await crash(nats_server, broker, app.broker)

        async def is_drained() -> bool:
            return await states(desk, servers[0]) == [DRAINING]

        await until(is_drained, timeout_s=60)


async def test_what_is_kept_counts_and_not_what_is_heard(
    settings: GenerateSettings, table: Topology, broker: Broker, desk: EndpointDesk, servers: list[ChatServer]
) -> None:
    """Two people order at once: a worker may hear the earlier order last."""
    async with workers(settings, table, "one"):
        await known(desk, "one")
        await desk.order(order(servers[0], draining=True))
        late = order(servers[0], draining=False)
        await broker.nc.request(subjects.ENDPOINT_ORDERS, late.to_bytes(), timeout=5)
        assert await states(desk, servers[0]) == [DRAINING]


async def test_noise_is_left_aside(
    settings: GenerateSettings, table: Topology, broker: Broker, desk: EndpointDesk, servers: list[ChatServer]
) -> None:
    stranger = EndpointOrder(url="http://nobody.example/v1", draining=True)
    told: list[bytes] = []

    async def hear(message: Live) -> None:
        told.append(message.data)

    async with workers(settings, table, *NAMES), listening(broker, "somewhere", hear=hear):
        await known(desk, *NAMES)
        for subject in (subjects.ENDPOINT_ORDERS, subjects.ENDPOINT_REPORTS):
            for noise in (b"", b"{", b"\xff", b'{"url": "", "draining": 1}', b'{"schema_version": 99}'):
                await broker.nc.publish(subject, noise, reply="somewhere")
                await broker.nc.publish(subject, noise)
        await desk.order(stranger)
        await known_to_broker(broker)
        await known(desk, *NAMES)
        for server in servers:
            assert await states(desk, server) == [HEALTHY, HEALTHY]
        await answers(broker, 2)
    assert told == []


async def test_a_kept_order_that_cannot_be_read_drains_nothing(
    settings: GenerateSettings, table: Topology, broker: Broker, desk: EndpointDesk, servers: list[ChatServer]
) -> None:
    bucket = Bucket(broker, topology.CONFIG)
    await bucket.write("endpoints.noise", b"{", revision=0)
    await bucket.write("endpoints.elsewhere", order(servers[1], draining=True).to_bytes(), revision=0)
    await desk.orders.keep(order(servers[0], draining=True))
    async with workers(settings, table, "one"):
        await known(desk, "one")
        assert await states(desk, servers[0]) == [DRAINING]
        assert await states(desk, servers[1]) == [HEALTHY]


async def test_a_worker_without_endpoints_says_nothing_and_is_counted(
    nats_server: NatsServer, table: Topology, broker: Broker, desk: EndpointDesk, tmp_path: Path
) -> None:
    app = build(GenerateSettings(nats_url=nats_server.url, data_dir=tmp_path), table=table)
    async with running(app):

        async def is_heard() -> bool:
            survey = await desk.survey()
            assert (survey.reports, survey.silent) == ((), ())
            return survey.without == 1

        await until(is_heard)


async def test_a_worker_that_runs_and_does_not_answer_is_told(
    settings: GenerateSettings, table: Topology, broker: Broker, servers: list[ChatServer]
) -> None:
    """What is under way there is not known, so that nothing counts as drained."""
    beat = Heartbeat(
        service="generate",
        instance="mute",
        host="h",
        version="1",
        pid=1,
        started_at=utc_now(),
        state=ProcessState.READY,
        in_flight=1,
        progress=0,
        rss_bytes=1,
        cpu_s=0.0,
        facts={FACT_ENDPOINTS: "2"},
    )
    async with (
        EndpointDesk.open(broker, listen_s=0, gather_s=0.5) as desk,
        workers(settings, table, "one"),
    ):
        await broker.nc.publish(subjects.health("generate", "mute"), beat.to_bytes())
        await known_to_broker(broker)
        survey = await desk.order(order(servers[0], draining=True))
    assert [report.instance for report in survey.reports] == ["one"]
    assert survey.silent == (("generate", "mute"),)
    assert (survey.in_flight(servers[0].url), survey.is_drained(servers[0].url)) == (0, False)


async def test_with_all_drained_a_question_waits_until_one_is_used_again(
    settings: GenerateSettings, table: Topology, broker: Broker, desk: EndpointDesk, servers: list[ChatServer]
) -> None:
    view = FleetView(broker)
    await view.start()
    async with workers(settings, table, "one"):
        await known(desk, "one")
        for server in servers:
            await desk.order(order(server, draining=True))
        asked = asyncio.create_task(answered(broker))
        await until(lambda: breaker_state(view, "generator") == "open")
        await desk.order(order(servers[1], draining=False))
        end = await asked
    await view.stop()
    assert isinstance(end, Completed)
    assert [len(server.chats) for server in servers] == [0, 1]
