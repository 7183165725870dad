"""One index at two addresses: one server reached over a link that breaks, and another server that is not the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from contracts.errors import TransientError
from contracts.health import AWAY, FACT_INDEX_IN_RESERVE, READY, ProcessState
from contracts.queries import Filters
from contracts.runtime_config import EndpointClass
from contracts.settings import EmbedSettings, IndexSettings
from contracts.topology import Topology
from deploy.local.nats_server import NatsServer
from messaging.broker import Broker
from messaging.configuration import ConfigBook
from messaging.fleet import FleetView
from messaging.index_marks import IndexMark
from messaging.ledger import DocumentLedger
from tests.broker.embedding_stage import Stage
from tests.faults.link import Link, link_to
from tests.support.waiting import until
from tests.support.weaviate_server import WeaviateServer, require_binary
from tests.support.weaviate_site import WeaviateSite, site_of
from tests.support.workers import running
from tests.unit.indexing.rows import EMBEDDER, TENANT, question, row, texts
from workers.embed.worker import build
from workers.encoding.simulated import SimulatedEmbedder
from workers.indexing.entrances import TwoEntrances, WrongEntranceError
from workers.indexing.factory import build_entrances

PRIMARY, STANDBY = EndpointClass.PRIMARY, EndpointClass.STANDBY


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WeaviateServer]:
    with WeaviateServer(tmp_path_factory.mktemp("weaviate"), require_binary()) as server:
        yield server


@pytest.fixture(scope="module")
def site(server: WeaviateServer) -> WeaviateSite:
    return site_of(server)


@pytest.fixture
def collection(site: WeaviateSite) -> Iterator[str]:
    with site.collection() as name:
        yield name


@dataclass(frozen=True)
class Links:
    """Those of the first address."""

    http: Link
    grpc: Link

    async def break_(self) -> None:
        await self.http.refuse()
        await self.grpc.refuse()

    async def restore(self) -> None:
        await self.http.restore()
        await self.grpc.restore()


@pytest.fixture
async def links(server: WeaviateServer) -> AsyncIterator[Links]:
    async with link_to(urlsplit(server.url).port or 0) as http, link_to(server.grpc_port) as grpc:
        yield Links(http, grpc)


def settings(
    site: WeaviateSite, collection: str, links: Links, *, standby: WeaviateSite | None = None
) -> IndexSettings:
    at = standby or site
    return site.settings(
        collection,
        weaviate_url=f"http://127.0.0.1:{links.http.port}",
        weaviate_grpc_port=links.grpc.port,
        weaviate_standby_url=at.url,
        weaviate_standby_grpc_port=at.grpc_port,
        weaviate_timeout_s=5.0,
        weaviate_write_timeout_s=5.0,
    )


@asynccontextmanager
async def opened(
    settings: IndexSettings, *, active: EndpointClass = PRIMARY, mark: str | None = None
) -> AsyncIterator[TwoEntrances]:
    index = build_entrances(settings, EMBEDDER.identity, mark=mark, on_move=lambda _: None)
    assert index is not None
    index.use(active)
    await index.open()
    try:
        yield index
    finally:
        await index.close()


async def found(index: TwoEntrances, words: str) -> set[str]:
    vector = question(words)
    return texts(await index.search(TENANT, text=words, vector=vector, limit=5, filters=Filters()))


async def test_the_other_address_is_used_from_when_it_is_told_so_and_back(
    site: WeaviateSite, collection: str, links: Links
) -> None:
    async with opened(settings(site, collection, links)) as index:
        await index.upsert([row("old words")])
        await index.look_beside()

        await links.break_()
        with pytest.raises(TransientError):
            await index.upsert([row("new words", document_id="new")])
        index.use(STANDBY)
        await index.upsert([row("new words", document_id="new")])
        assert await found(index, "words") == {"old words", "new words"}
        with pytest.raises(TransientError):
            await index.look_beside()

        await links.restore()
        await index.look_beside()
        index.use(PRIMARY)
        assert await found(index, "words") == {"old words", "new words"}


async def test_a_process_may_begin_while_the_first_address_is_away(
    site: WeaviateSite, collection: str, links: Links
) -> None:
    async with opened(settings(site, collection, links)) as index:
        await index.upsert([row("old words")])
        mark = index.mark
    assert mark
    await links.break_()

    async with opened(settings(site, collection, links), active=STANDBY, mark=mark) as index:
        assert await found(index, "words") == {"old words"}
        await links.restore()
        await index.look_beside()


async def test_an_address_of_another_server_is_never_used(
    site: WeaviateSite, collection: str, links: Links, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """It would answer, too: that there are no documents."""
    with WeaviateServer(tmp_path_factory.mktemp("another"), require_binary()) as server:
        other = site_of(server)
        async with opened(settings(site, collection, links, standby=other)) as index:
            await index.upsert([row("old words")])
            with pytest.raises(WrongEntranceError, match="have to be addresses of one cluster"):
                await index.look_beside()
            index.use(STANDBY)
            with pytest.raises(WrongEntranceError, match="WAGGLE_WEAVIATE_STANDBY_URL"):
                await found(index, "words")
            mark = index.mark

        for known in (mark, None):
            with pytest.raises(WrongEntranceError, match="have to be addresses of one cluster"):
                async with opened(settings(site, collection, links, standby=other), active=STANDBY, mark=known):
                    pass
        with other.admin() as admin:
            assert not [name for name in admin.collections.list_all() if name.startswith(collection)]


def worker_settings(
    site: WeaviateSite, collection: str, links: Links, nats_server: NatsServer, data_dir: Path
) -> EmbedSettings:
    given = settings(site, collection, links).model_dump(exclude={"data_dir"})
    return EmbedSettings(
        **given, nats_url=nats_server.url, instance="embed-1", probe_interval_s=5, data_dir=data_dir, log_level="error"
    )


async def test_a_worker_whose_index_is_away_goes_on_at_the_other_address_without_a_restart(
    site: WeaviateSite,
    collection: str,
    links: Links,
    broker: Broker,
    nats_server: NatsServer,
    table: Topology,
    tmp_path: Path,
) -> None:
    own = worker_settings(site, collection, links, nats_server, tmp_path)
    stage, book, fleet = Stage(broker=broker, ledger=DocumentLedger(broker)), ConfigBook(broker), FleetView(broker)
    await fleet.start()

    def reserve() -> str | None:
        return next((m.heartbeat.facts.get(FACT_INDEX_IN_RESERVE) for m in fleet.members() if m.alive), None)

    async with running(build(own, embedder=SimulatedEmbedder, table=table)):
        before = await stage.ingest("before", "old words")
        await until(lambda: stage.is_visible("before", before), timeout_s=30)
        await until(lambda: reserve() == READY, timeout_s=30)

        await links.break_()
        meanwhile = await stage.ingest("meanwhile", "new words")
        await book.change({"active_index": "standby"}, principal="ada", because="the first address is away")
        await until(lambda: stage.is_visible("meanwhile", meanwhile), timeout_s=60)
        await until(lambda: reserve() == AWAY, timeout_s=30)

        await links.restore()
        await until(lambda: reserve() == READY, timeout_s=60)
        await book.change({"active_index": None}, principal="ada", because="it is back")
        after = await stage.ingest("after", "newest words")
        await until(lambda: stage.is_visible("after", after), timeout_s=30)
    await fleet.stop()


async def test_a_worker_that_starts_while_the_first_address_is_away_says_so_and_waits_for_an_order(
    site: WeaviateSite,
    collection: str,
    links: Links,
    broker: Broker,
    nats_server: NatsServer,
    table: Topology,
    tmp_path: Path,
) -> None:
    own = worker_settings(site, collection, links, nats_server, tmp_path)
    stage, book, marks = Stage(broker=broker, ledger=DocumentLedger(broker)), ConfigBook(broker), IndexMark(broker)

    async def is_known() -> bool:
        return await marks.read() is not None

    async with running(build(own, embedder=SimulatedEmbedder, table=table)):
        await until(is_known, timeout_s=30)
    await links.break_()
    fleet = FleetView(broker)
    await fleet.start()

    def says(state: str) -> bool:
        return any(m.alive and m.heartbeat.facts.get(FACT_INDEX_IN_RESERVE) == state for m in fleet.members())

    async def order() -> None:
        await until(lambda: says(READY), timeout_s=60)
        assert [m.heartbeat.state for m in fleet.members() if m.alive] == [ProcessState.STARTING]
        await book.change({"active_index": "standby"}, principal="ada", because="the first address is away")

    ordering = asyncio.create_task(order())
    async with running(build(own, embedder=SimulatedEmbedder, table=table)):
        await ordering
        generation = await stage.ingest("d", "some words")
        await until(lambda: stage.is_visible("d", generation), timeout_s=60)
    await fleet.stop()
