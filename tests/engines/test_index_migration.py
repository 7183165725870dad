"""An index moves from one engine to the other and is rebuilt there, on a real Weaviate and real files."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from contracts.errors import PermanentError
from contracts.queries import Condition, Filters
from contracts.settings import EmbedSettings, IndexKind
from contracts.topology import Topology
from deploy.local.nats_server import NatsServer
from messaging.broker import Broker
from messaging.ledger import DocumentLedger
from tests.broker.embedding_stage import TENANT, Stage
from tests.support.rebuilding import rebuild
from tests.support.waiting import until
from tests.support.weaviate_site import WeaviateSite
from tests.support.workers import running
from tests.unit.indexing.rows import EMBEDDER, row
from workers.embed.worker import build
from workers.encoding.simulated import SimulatedEmbedder
from workers.indexing.base import VectorIndex
from workers.indexing.factory import build_index, build_site
from workers.indexing.weaviate_site import SUFFIX
from workers.reindexing.checking import Kind
from workers.reindexing.migration import Migrated, migrate

OTHER = SimulatedEmbedder(dimension=64)
BOTH_WAYS = [(IndexKind.LANCEDB, IndexKind.WEAVIATE), (IndexKind.WEAVIATE, IndexKind.LANCEDB)]


@dataclass(frozen=True, kw_only=True)
class House:
    """A broker with documents, and settings that lead to either engine."""

    broker: Broker
    stage: Stage
    settings: EmbedSettings
    table: Topology

    def on(self, kind: IndexKind) -> EmbedSettings:
        return self.settings.model_copy(update={"index": kind})

    def worker(self, kind: IndexKind):
        return running(build(self.on(kind), embedder=lambda: EMBEDDER, table=self.table))

    async def ready(self, document_id: str, *texts: str) -> str:
        generation = await self.stage.ingest(document_id, *texts)
        await until(lambda: self.stage.is_visible(document_id, generation), timeout_s=30)
        return generation

    async def migrate(self, source: IndexKind, target: IndexKind) -> Migrated:
        async with AsyncExitStack() as stack:
            sites = [build_site(self.settings, kind) for kind in (source, target)]
            for site in sites:
                stack.push_async_callback(site.close)
            return await migrate(self.broker, *sites)


@pytest.fixture
def collection(weaviate_site: WeaviateSite) -> Iterator[str]:
    with weaviate_site.collection() as name:
        yield name


@pytest.fixture
async def house(
    broker: Broker,
    nats_server: NatsServer,
    tmp_path: Path,
    weaviate_site: WeaviateSite,
    collection: str,
    table: Topology,
) -> House:
    given = weaviate_site.settings(collection).model_dump(exclude={"index", "index_path", "data_dir"})
    settings = EmbedSettings(
        nats_url=nats_server.url, data_dir=tmp_path, index_path=tmp_path / "index", log_level="error", **given
    )
    return House(
        broker=broker, stage=Stage(broker=broker, ledger=DocumentLedger(broker)), settings=settings, table=table
    )


async def opened(settings: EmbedSettings, embedder: SimulatedEmbedder = EMBEDDER) -> VectorIndex:
    index = build_index(settings, embedder.identity)
    await index.open()
    return index


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.mark.parametrize(("source", "target"), BOTH_WAYS)
async def test_all_rows_move_and_what_came_meanwhile_follows(
    house: House, stack: AsyncExitStack, source: IndexKind, target: IndexKind
) -> None:
    async with house.worker(source):
        first = await house.ready("first", "honey bees 蜜蜂", "two", "three")
        gone = await house.ready("gone", "old words")
        migrated = await house.migrate(source, target)
        assert (migrated.copied.rows, migrated.checked.offenders) == (4, [])
        second = await house.ready("second", "written while workers used the old one")
        await house.stage.ledger.delete(TENANT, "gone")
    async with house.worker(target):
        third = await house.ready("third", "written by workers that use the new one")
        migrated = await house.migrate(source, target)
        assert (migrated.copied.rows, migrated.copied.removed, migrated.checked.amiss) == (1, 1, 0)
        assert migrated.checked.generations[Kind.WHOLE] == 3
    index = await opened(house.on(target))
    stack.push_async_callback(index.close)
    assert await index.count_generation(TENANT, "gone", gone) == 0
    for document_id, generation, rows in (("first", first, 3), ("second", second, 1), ("third", third, 1)):
        assert await index.count_generation(TENANT, document_id, generation) == rows
    assert (await house.migrate(source, target)).copied.rows == 0


@pytest.mark.parametrize(("source", "target"), BOTH_WAYS)
async def test_rows_are_found_after_the_move_as_before(
    house: House, stack: AsyncExitStack, source: IndexKind, target: IndexKind
) -> None:
    before = await opened(house.on(source))
    stack.push_async_callback(before.close)
    await before.upsert(
        [replace(row(f"bees 蜜蜂 {n}", ordinal=n), metadata={"year": f"{2000 + n}"}) for n in range(30)]
    )
    await house.migrate(source, target)
    after = await opened(house.on(target))
    stack.push_async_callback(after.close)
    filters = Filters(metadata={"year": Condition(gte=2010)})
    vector = EMBEDDER.encode_questions(["bees 蜜蜂 17"])[0]
    for text in ("bees", "蜜蜂", None):
        found = [
            {
                candidate.chunk_id: round(candidate.similarity or 0, 4)
                for candidate in await index.search(TENANT, text=text, vector=vector, limit=50, filters=filters)
            }
            for index in (before, after)
        ]
        assert found[0] == found[1]
        assert len(found[0]) == 20


async def test_without_a_source_or_with_another_encoders_target_nothing_is_moved(
    house: House, stack: AsyncExitStack
) -> None:
    with pytest.raises(PermanentError, match="there is no index"):
        await house.migrate(*BOTH_WAYS[0])
    stack.push_async_callback((await opened(house.on(IndexKind.LANCEDB))).close)
    stack.push_async_callback((await opened(house.on(IndexKind.WEAVIATE), OTHER)).close)
    with pytest.raises(PermanentError, match="was made with encoder"):
        await house.migrate(*BOTH_WAYS[0])


async def test_weaviate_is_rebuilt_beside_its_workers(
    house: House, stack: AsyncExitStack, weaviate_site: WeaviateSite, collection: str
) -> None:
    settings = house.on(IndexKind.WEAVIATE)
    reader = await opened(settings)
    stack.push_async_callback(reader.close)
    async with house.worker(IndexKind.WEAVIATE):
        first = await house.ready("first", "one", "two", "three")
        rebuilt = await rebuild(house.broker, settings, EMBEDDER)
        assert (rebuilt.replaced, rebuilt.copied.rows) == (collection, 3)
        second = await house.ready("second", "one", "two")
        again = await rebuild(house.broker, settings, EMBEDDER)
        assert (again.replaced, again.checked.offenders) == (rebuilt.name, [])
        assert await reader.count_generation(TENANT, "first", first) == 3
        assert await reader.count_generation(TENANT, "second", second) == 2
    with weaviate_site.admin() as admin:
        ours = {name for name in admin.collections.list_all() if name.startswith(collection)}
    assert ours == {again.name, f"{collection}{SUFFIX}"}


async def test_weaviate_is_rebuilt_for_another_encoder(house: House, stack: AsyncExitStack) -> None:
    settings = house.on(IndexKind.WEAVIATE)
    async with house.worker(IndexKind.WEAVIATE):
        generation = await house.ready("first", "one", "two", "three")
    rebuilt = await rebuild(house.broker, settings, OTHER)
    assert (rebuilt.encoded, rebuilt.checked.offenders) == (True, [])
    index = await opened(settings, OTHER)
    stack.push_async_callback(index.close)
    assert await index.count_generation(TENANT, "first", generation) == 3
    with pytest.raises(PermanentError, match="waggle index rebuild"):
        await opened(settings)
