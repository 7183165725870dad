"""The index in a cluster of three real servers, one of which dies."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import stamina

from contracts.errors import TransientError
from contracts.queries import Filters
from contracts.settings import IndexSettings
from tests.support.waiting import until
from tests.support.weaviate_cluster import weaviate_cluster
from tests.support.weaviate_server import WAGGLE_KEY, WeaviateServer, require_binary
from tests.support.weaviate_site import WeaviateSite, site_of
from tests.unit.indexing.rows import EMBEDDER, TENANT, question, row, texts
from workers.indexing.base import Row, VectorIndex
from workers.indexing.factory import build_index

pytestmark = pytest.mark.alone


def at(node: WeaviateServer) -> WeaviateSite:
    return WeaviateSite(url=node.url, grpc_port=node.grpc_port, key=WAGGLE_KEY)


async def opened(settings: IndexSettings) -> VectorIndex:
    index = build_index(settings, EMBEDDER.identity)
    await index.open()
    return index


@stamina.retry(on=TransientError, attempts=None, timeout=90, wait_max=2)
async def written(index: VectorIndex, row: Row) -> None:
    """As a worker does: again while the nodes that are left elect who decides about tenants."""
    await index.upsert([row])


async def test_with_quorum_one_of_three_nodes_may_die_and_catches_up_when_it_is_back(tmp_path: Path) -> None:
    with weaviate_cluster(tmp_path, require_binary()) as nodes:
        site = site_of(nodes[0])
        index, strict = (
            await opened(site.settings("Waggle")),
            await opened(site.settings("Waggle", weaviate_consistency="all")),
        )
        await index.upsert([row(f"old words {i}", ordinal=i) for i in range(20)])
        await index.upsert([row(f"gone words {i}", document_id="gone", ordinal=i) for i in range(20)])

        await asyncio.to_thread(nodes[2].kill)
        await written(index, row("new words", document_id="new"))
        await written(index, row("words of another", tenant="another"))
        assert await index.delete_generation(TENANT, "gone", "g1") == 20
        found = await index.search(TENANT, text="new", vector=question("new words"), limit=1, filters=Filters())
        assert "new words" in texts(found)
        # "All" are those that the cluster still counts: refused until the others have given the dead one up.
        await written(strict, row("words that all must have", document_id="strict"))
        for node in nodes[:2]:
            alone = await opened(at(node).settings("Waggle", weaviate_consistency="one"))
            assert await alone.count_generation(TENANT, "strict", "g1") == 1
            await alone.close()

        await asyncio.to_thread(nodes[2].start)
        returned = await opened(at(nodes[2]).settings("Waggle", weaviate_consistency="one"))

        async def has_caught_up() -> bool:
            new, strictly, gone = [await returned.count_generation(TENANT, d, "g1") for d in ("new", "strict", "gone")]
            return (new, strictly, gone) == (1, 1, 0) and await returned.count_generation("another", "d", "g1") == 1

        await until(has_caught_up, timeout_s=150)
        await strict.upsert([row("words that all must have", document_id="strict")])
        for each in (index, strict, returned):
            await each.close()
