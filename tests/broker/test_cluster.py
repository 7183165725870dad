"""Three servers, every stream on all of them: one may die at any moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
import structlog

from contracts import subjects, topology
from contracts.answers import Failed
from contracts.errors import ErrorCode
from contracts.identifiers import digest, new_id
from contracts.queries import QueryRequest
from contracts.topology import Topology
from messaging.batches import FinishedBatches
from messaging.broker import Broker
from messaging.errors import ProvisioningError
from messaging.ledger import DocumentLedger
from messaging.provisioning import provision
from messaging.queries import Queries
from messaging.storage import Storage
from messaging.terminals import Terminals
from tests.broker.cluster_load import People, assert_all_is_done_once, opened, pipeline, serving
from tests.support.clusters import Cluster, connected, connected_to, provisioned
from tests.support.waiting import until

pytestmark = pytest.mark.alone

ALL = [*(s.name for s in topology.STREAMS), *(f"KV_{b.name}" for b in topology.KEY_VALUES), "OBJ_uploads"]
VICTIMS = ("KV_documents", "QUERY")
"""Whose leaders are killed, one after the other."""

log = structlog.get_logger(__name__)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
async def broker(cluster: Cluster, table: Topology) -> AsyncIterator[Broker]:
    async with connected(cluster, replicas=3) as broker:
        await provisioned(broker, table)
        yield broker


async def test_leaders_are_killed_under_load_and_nothing_is_lost_or_done_twice(
    cluster: Cluster, broker: Broker, table: Topology, tmp_path: Path
) -> None:
    async with pipeline(cluster.url, tmp_path, table) as gateway:
        people = People(gateway, broker)
        async with people.at_work():
            await serving(gateway, timeout_s=30)
            for stream in VICTIMS:
                await people.are_busy()
                leader = await cluster.leader_of(broker, stream)
                cluster.servers[leader].kill()
                back_s = await serving(gateway, timeout_s=60)
                log.info("serving again", killed=leader, led=stream, seconds=round(back_s, 1))
                await asyncio.to_thread(cluster.servers[leader].start)
                await cluster.whole(broker, *ALL)
        assert len(people.documents) > 10
        assert len(people.questions) > 10
        async with opened(tmp_path) as index:
            await assert_all_is_done_once(people, index, broker, timeout_s=60)


async def test_replicas_are_everywhere_and_readers_see_every_write_at_once(cluster: Cluster, broker: Broker) -> None:
    for name in ALL:
        config = (await broker.js.stream_info(name)).config
        assert (name, config.num_replicas, config.allow_direct) == (name, 3, False)
        assert config.persist_mode != "async"
    async with AsyncExitStack() as connections:
        readers = [await connections.enter_async_context(connected_to(s.url)) for s in cluster.servers.values()]
        await _read_what_others_write(readers)


async def _read_what_others_write(readers: list[Broker]) -> None:
    ledgers, batches = [DocumentLedger(each) for each in readers], [FinishedBatches(each) for each in readers]
    for n in range(50):
        writer = n % len(readers)
        submitted = await ledgers[writer].submit(
            "t", f"d{n}", generation=new_id(), name="n", sha256=digest("x"), size_bytes=1
        )
        seen = await asyncio.gather(*(ledger.get("t", f"d{n}") for ledger in ledgers))
        assert seen == [submitted.record] * len(ledgers)
        assert await batches[writer].finish("g", n) == n + 1
    assert len(await ledgers[0].get_many("t", [f"d{n}" for n in range(60)])) == 50


async def test_a_replica_that_lags_would_answer_direct_gets(cluster: Cluster, broker: Broker) -> None:
    """Why there are none: whoever finished the last batch would not see that it was the last."""
    config = (await broker.js.stream_info("KV_batches")).config
    await broker.js.update_stream(replace(config, allow_direct=True))
    async with AsyncExitStack() as connections:
        batches = [
            FinishedBatches(await connections.enter_async_context(connected_to(server.url)))
            for server in cluster.servers.values()
        ]
        numbers = count()

        async def unseen() -> bool:
            number = next(numbers)
            return await batches[number % len(batches)].finish(f"direct{number}", 0) == 0

        await until(unseen, timeout_s=60)


async def test_what_a_leader_tells_is_what_was_stored(broker: Broker) -> None:
    storage = Storage(broker)
    subject, before = "rag.ingest.requests.t", await storage.last_sequence("INGEST")
    payload = b"x" * (1024 * 1024 - 4096)
    for n in range(5):
        await broker.publish_bytes(subject, payload + bytes([n]), stream="INGEST", headers={"Number": str(n)})
    found = await storage.following("INGEST", "rag.ingest.requests.*", after=before, limit=3)
    assert [stored.published_headers["Number"] for stored in found] == ["0", "1", "2"]
    assert [stored.data[-1] for stored in found] == [0, 1, 2]
    assert found[-1].pending
    assert not (await storage.following("INGEST", ">", after=before + 2, limit=3))[-1].pending
    since = await storage.following("INGEST", ">", since=found[1].stored_at)
    assert [stored.sequence - before for stored in since] == [2, 3, 4, 5]
    newest = await storage.last("INGEST", subject)
    assert newest is not None
    assert (newest.sequence, newest.data) == (before + 5, payload + bytes([4]))
    assert await storage.count("INGEST", subject) == 5
    assert await storage.at("INGEST", before + 3) is not None
    assert await storage.at("INGEST", before + 6) is None
    assert await storage.last("INGEST", "rag.ingest.requests.nobody") is None


async def test_a_message_that_is_sent_several_times_at_once_is_stored_once_and_no_sender_is_refused(
    broker: Broker,
) -> None:
    storage, subject = Storage(broker), "rag.ingest.requests.twice"
    for number in range(10):
        headers = {subjects.HEADER_MESSAGE_ID: f"twice{number}"}
        acks = await asyncio.gather(
            *(broker.publish_bytes(subject, b"hum", stream="INGEST", headers=headers) for _ in range(8))
        )
        assert len({ack.seq for ack in acks}) == 1
    assert await storage.count("INGEST", subject) == 10


async def test_of_racing_terminals_one_is_stored(broker: Broker) -> None:
    terminals, query_id = Terminals(broker), new_id()
    racing = [
        Failed(tenant="t", query_id=query_id, code=ErrorCode.INTERNAL, message=f"{n}", retryable=True)
        for n in range(20)
    ]
    assert sum(await asyncio.gather(*(terminals.end(each) for each in racing))) == 1
    assert await terminals.find("t", query_id) in racing


async def test_replicas_may_come_later_and_readers_that_are_at_work_notice(tmp_path: Path, table: Topology) -> None:
    with Cluster(tmp_path) as cluster:
        async with connected(cluster) as before, connected(cluster, replicas=3) as after:
            await provisioned(before, table)
            ledger, queries = DocumentLedger(before), Queries(before)
            await ledger.submit("t", "d", generation=new_id(), name="n", sha256=digest("x"), size_bytes=1)
            await queries.ask(QueryRequest(tenant="t", query_id="q", query="Who loses this?"))
            with pytest.raises(ProvisioningError, match=r"QUERY: persist_mode.*holds 1 messages: stop the gateways"):
                await provision(after, table)
            assert await Storage(before).count("QUERY", ">") == 1
            await Storage(before).purge("QUERY", ">")
            done = await provision(after, table)
            assert [line.split(",")[0] for line in done if line.startswith("replaced")] == [
                "replaced stream QUERY",
                "replaced stream GENERATE",
            ]
            await cluster.whole(after, *ALL)
            assert await ledger.get("t", "d") is not None
            assert await provision(after, table) == []
            assert await provision(before, table) == []  # who does not say how many leaves them as they are
