"""What no user may do, tried for real: each of the platform's processes has its own business and no other's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from contracts import subjects, topology
from contracts.settings import BrokerSettings
from contracts.topology import Topology
from deploy.nats.grants import PLACES, stream_of
from deploy.nats.users import PLATFORM, SERVICES
from messaging.broker import Broker
from messaging.errors import ConnectionRefusedByBrokerError
from messaging.provisioning import provision
from tests.support.nats_users import TENANTS, Connections, Guarded, connections, guarded, refused
from tests.support.topologies import brisk

ALL = [user.name for user in PLATFORM]
PROCESSES = [user.name for user in SERVICES]
PROGRAMS = [f"{kind}-{tenant}" for tenant in TENANTS for kind in ("publisher", "asker")]
STREAMS = [stream_of(place) for place in PLACES]
OWNERS = {
    "ingest": {"ingest"},
    "embed": {"embed"},
    "purge": {"embed"},
    "retrieve": {"retrieve"},
    "generate-stable": {"generate"},
    "generate-canary": {"generate"},
    "keeper-advisories": {"keeper"},
    "operator": {"operator"},
}
"""Whose consumer is whose; the admin's commands may use any."""

PUBLISHERS = {
    subjects.ingest_request("acme"): {"gateway", "ingest", "keeper", "admin"},
    subjects.embed_request("acme"): {"ingest", "keeper", "admin"},
    subjects.embed_purge("acme"): {"gateway", "ingest", "embed", "keeper", "admin"},
    subjects.query_request("acme"): {"gateway", "keeper", "admin"},
    subjects.generate_request("acme"): {"gateway", "retrieve", "keeper", "admin"},
    subjects.answer("acme", "q"): {"retrieve", "generate", "admin"},
    subjects.terminal("acme", "q"): {"gateway", "retrieve", "generate", "keeper", "admin"},
    subjects.cancel("acme", "q"): {"gateway", "keeper", "admin"},
    f"{subjects.EVENTS}.document.ready.acme": {"gateway", "ingest", "embed", "keeper", "admin"},
    f"{subjects.EVENTS}.query.completed.acme": {"gateway", "retrieve", "generate", "keeper", "admin"},
    f"{subjects.EVENTS}.reconcile.replayed.acme": {"keeper", "admin"},
    subjects.dead_letter("INGEST", "1-1"): {"ingest", "keeper", "admin"},
    subjects.dead_letter("GENERATE", "1-1"): {"generate", "keeper", "admin"},
    subjects.dead_letter("OPS", "1-1"): {"operator", "admin"},
    f"{subjects.ALERTS}.critical.Down": {"observer", "admin"},
    f"{subjects.NOTIFICATIONS}.mail": {"observer", "admin"},
    f"{subjects.RECOVERY_COMMANDS}.service.embed": {"observer"},
    subjects.recovery_decision("i"): {"observer", "admin"},
    subjects.recovery_result("c"): {"operator", "admin"},
    subjects.recovery_approval("d"): {"gateway", "admin"},
    subjects.CONFIG_CHANGES: {"gateway", "operator", "admin"},
    subjects.control("embed", "embed-1"): {"operator", "admin"},
    subjects.CENSUS: {"keeper", "admin"},
    subjects.CONDENSE: {"retrieve", "admin"},
    subjects.ENCODE: {"gateway", "admin"},
    subjects.ENDPOINT_ORDERS: {"admin"},
    f"{subjects.OBSERVER_REQUESTS}.alerts": {"gateway", "admin"},
    subjects.health("embed", "embed-1"): {"embed", "admin"},
    subjects.metrics("gateway", "gateway-1"): {"gateway", "admin"},
    "$KV.documents.acme.d": {"gateway", "ingest", "embed", "keeper", "admin"},
    "$KV.batches.g.1": {"embed", "admin"},
    "$KV.apikeys.key.k": {"gateway", "admin"},
    "$KV.tenants.acme": {"gateway", "admin"},
    "$KV.limits.tenant.acme": {"gateway", "admin"},
    "$KV.alerts.state.x": {"observer", "admin"},
    "$KV.silences.s": {"gateway", "admin"},
    "$KV.config.runtime.current": {"gateway", "operator", "admin"},
    "$KV.config.recovery.pause": {"gateway", "admin"},
    "$KV.config.recovery.operator": {"operator", "admin"},
    "$KV.config.endpoints.e": {"admin"},
    "$KV.leases.observer": {"gateway", "keeper", "observer", "admin"},
    "$O.uploads.C.x": {"gateway", "ingest", "keeper", "admin"},
    "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.EMBED.embed": set(),
}

READERS = {
    "KV_apikeys": {"gateway", "admin"},
    "KV_documents": {"gateway", "ingest", "embed", "retrieve", "keeper", "admin"},
    "OBJ_uploads": {"gateway", "ingest", "embed", "keeper", "admin"},
    "KV_alerts": {"gateway", "observer", "admin"},
    "KV_cache": {"embed", "retrieve", "admin"},
    "ANSWERS": {"gateway", "admin"},
    "TERMINALS": {"gateway", "retrieve", "generate", "keeper", "admin"},
    "DLQ": {"gateway", "embed", "keeper", "admin"},
    "EVENTS": {"gateway", "keeper", "admin"},
}


@pytest.fixture(scope="module")
def guarded_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    with guarded(tmp_path_factory.mktemp("users")) as broker:
        yield broker


@pytest.fixture
async def users(guarded_broker: Guarded) -> AsyncIterator[Connections]:
    async with connections(guarded_broker) as opened:
        await provision(await opened.of("admin"), brisk())
        yield opened


async def may(users: Connections, who: list[str], operation: str, subject: str) -> set[str]:
    """Who of them is not refused."""
    return {name for name in who if not await refused(await users.of(name), operation, subject)}


@pytest.mark.parametrize("subject", PUBLISHERS)
async def test_only_those_whose_business_it_is_publish(users: Connections, subject: str) -> None:
    assert await may(users, [*ALL, "asker-globex", "publisher-globex"], "publish", subject) == PUBLISHERS[subject]


@pytest.mark.parametrize("consumer", topology.CONSUMERS, ids=lambda consumer: consumer.durable)
async def test_only_its_workers_take_from_a_consumer_and_settle(
    users: Connections, consumer: topology.Consumer
) -> None:
    stream, durable = consumer.stream.name, consumer.durable
    takers = await may(users, [*ALL, *PROGRAMS], "publish", f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}")
    assert takers - {"admin"} == OWNERS[durable]
    settlers = await may(users, [*ALL, *PROGRAMS], "publish", f"$JS.ACK.{stream}.{durable}.1.1.1.1.0")
    assert settlers == OWNERS[durable]


@pytest.mark.parametrize("stream", READERS)
async def test_only_those_who_need_it_read_what_is_stored(users: Connections, stream: str) -> None:
    everyone = [*ALL, *PROGRAMS]
    whole = await may(users, everyone, "publish", f"$JS.API.DIRECT.GET.{stream}")
    one = await may(users, everyone, "publish", f"$JS.API.DIRECT.GET.{stream}.a.b.c")
    led = await may(users, everyone, "publish", f"$JS.API.STREAM.MSG.GET.{stream}")
    assert (whole, one, led - {"provision"}) == (READERS[stream],) * 3


@pytest.mark.parametrize("verb", ["STREAM.CREATE", "STREAM.UPDATE", "STREAM.DELETE"])
async def test_streams_are_the_business_of_people_and_what_was_lost_of_the_keeper(
    users: Connections, verb: str
) -> None:
    makers = {"provision", "admin", "keeper"} if verb == "STREAM.CREATE" else {"provision"}
    # The admin may delete, and would: what is asked here is done.
    asked = [name for name in (*ALL, *PROGRAMS) if name not in makers]
    for place in STREAMS:
        assert await may(users, [n for n in asked if n != "admin"], "publish", f"$JS.API.{verb}.{place}") == set()
    assert await may(users, [*PROCESSES, *PROGRAMS], "publish", f"$JS.API.{verb}.SOMETHING") == set()


async def test_consumers_are_made_by_people_and_by_the_keeper_only_as_the_table_has_them(users: Connections) -> None:
    everybody = [*PROCESSES, *PROGRAMS]
    made = "$JS.API.CONSUMER.CREATE.INGEST.ingest.rag.ingest.requests.*"
    assert await may(users, everybody, "publish", made) == {"keeper"}
    for request in (
        "CONSUMER.CREATE.INGEST.mine.rag.ingest.requests.*",
        "CONSUMER.CREATE.KV_apikeys.mine",
        "CONSUMER.CREATE.ANSWERS",
        "CONSUMER.DURABLE.CREATE.INGEST.ingest",
        "CONSUMER.DELETE.INGEST.mine",
        "CONSUMER.PAUSE.INGEST.ingest",
        "STREAM.SNAPSHOT.KV_apikeys",
        "STREAM.RESTORE.KV_apikeys",
        "STREAM.NAMES",
        "STREAM.LIST",
    ):
        assert await may(users, everybody, "publish", f"$JS.API.{request}") == set(), request
    assert await may(users, everybody, "publish", "$JS.API.CONSUMER.DELETE.INGEST.ingest") == {"keeper"}


@pytest.mark.parametrize("name", [*ALL, *PROGRAMS])
async def test_nobody_hears_everything_nor_what_others_are_answered(users: Connections, name: str) -> None:
    broker = await users.of(name)
    others = [f"_INBOX_{other}.>" for other in (*ALL, *PROGRAMS) if other != name]
    for subject in (">", "*.>", "*.*", "_INBOX.>", "$SYS.>", *others):
        assert await refused(broker, "subscribe", subject), subject
    assert not await refused(broker, "subscribe", f"_INBOX_{name}.x")


async def test_the_gateway_alone_hears_answers_and_retrieve_their_ends(users: Connections) -> None:
    answers, ends = subjects.answer("acme", "*"), subjects.answer_end("acme", "*")
    assert await may(users, ALL, "subscribe", answers) == {"gateway", "admin"}
    assert await may(users, ALL, "subscribe", ends) == {"gateway", "retrieve", "admin"}


async def test_commands_are_heard_by_nobody_beside_those_who_give_and_get_them(users: Connections) -> None:
    commands = f"{subjects.RECOVERY_COMMANDS}.>"
    assert await may(users, [*ALL, *PROGRAMS], "subscribe", commands) == {"observer", "admin"}


async def test_an_unknown_client_is_not_let_in(guarded_broker: Guarded) -> None:
    with pytest.raises(ConnectionRefusedByBrokerError):
        await Broker.connect(BrokerSettings(nats_url=guarded_broker.server.url), name="nobody", on_closed=lambda: None)


async def test_provision_makes_the_furniture_and_writes_nothing_into_it(tmp_path: Path, table: Topology) -> None:
    with guarded(tmp_path) as fresh:
        async with connections(fresh) as opened:
            made = await provision(await opened.of("provision"), table)
            again = await provision(await opened.of("provision"), table)
            wrote = [p for p in PUBLISHERS if not await refused(await opened.of("provision"), "publish", p)]
    assert len(made) == len(STREAMS) + len(table.consumers)
    assert again == []
    assert wrote == []
