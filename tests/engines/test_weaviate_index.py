"""The index as a server, on a real one with API keys and role-based access control."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest

from contracts.documents import CHUNKING_VERSION
from contracts.errors import PermanentError, TransientError
from contracts.identifiers import chunk_id, digest
from contracts.queries import Condition, Filters
from contracts.settings import IndexKind
from tests.support.weaviate_site import WeaviateSite
from tests.unit.indexing.rows import DIMENSION, EMBEDDER, TENANT, question, row, texts
from tests.unit.indexing.vector_index_contract import OpenIndex, VectorIndexContract
from workers.encoding.base import EncoderIdentity, Vector
from workers.indexing import weaviate_collection
from workers.indexing.base import Candidate, Row, VectorIndex, Visible
from workers.indexing.factory import build_index, build_site
from workers.indexing.pointer import in_use
from workers.indexing.weaviate_collection import FORMAT
from workers.indexing.weaviate_site import SUFFIX

SERVER_LIMIT = 10_000
"""Rows that a server returns or deletes in one call, unless it was set otherwise."""


@pytest.fixture
def collection(weaviate_site: WeaviateSite) -> Iterator[str]:
    with weaviate_site.collection() as name:
        yield name


@pytest.fixture
async def open_index(weaviate_site: WeaviateSite, collection: str) -> AsyncIterator[OpenIndex]:
    opened: list[VectorIndex] = []

    async def open_index(identity: EncoderIdentity) -> VectorIndex:
        index = build_index(weaviate_site.settings(collection), identity)
        opened.append(index)
        await index.open()
        return index

    yield open_index
    for index in opened:
        await index.close()


class TestWeaviateIndex(VectorIndexContract):
    """All of the contract."""


async def test_processes_that_start_at_once_agree_on_one_collection(
    weaviate_site: WeaviateSite, collection: str
) -> None:
    indexes = [build_index(weaviate_site.settings(collection), EMBEDDER.identity) for _ in range(4)]
    await asyncio.gather(*(index.open() for index in indexes))
    await indexes[0].upsert([row("some words")])
    assert [await index.count_generation(TENANT, "d", "g1") for index in indexes] == [1] * 4
    await closed(*indexes)


async def test_a_collection_of_an_older_release_gets_what_it_lacks(
    weaviate_site: WeaviateSite, collection: str, open_index: OpenIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    all_of_them = weaviate_collection.properties()
    older = [each for each in all_of_them if each.name not in {"tags", "page"}]
    monkeypatch.setattr(weaviate_collection, "properties", lambda: older)
    await open_index(EMBEDDER.identity)
    monkeypatch.undo()
    newer = [build_index(weaviate_site.settings(collection), EMBEDDER.identity) for _ in range(3)]
    await asyncio.gather(*(index.open() for index in newer))
    await newer[0].upsert([replace(row("some words"), metadata={"lang": "en"})])
    (found,) = await search(newer[1], "words", filters=Filters(metadata={"lang": Condition(any_of=("en",))}))
    assert found.page == 1
    await closed(*newer)


async def test_the_collection_records_how_it_was_made(
    weaviate_site: WeaviateSite, collection: str, open_index: OpenIndex
) -> None:
    await open_index(replace(EMBEDDER.identity, precision="bfloat16"))
    site = build_site(weaviate_site.settings(collection), IndexKind.WEAVIATE)
    await site.open()
    recorded = await site.recorded(await in_use(site) or "")
    await site.close()
    assert recorded == {
        "encoder": "simulated",
        "dimension": str(DIMENSION),
        "format": FORMAT,
        "passage_prompt": "",
        "precision": "bfloat16",
        "chunking": CHUNKING_VERSION,
    }


async def test_a_collection_of_somebody_else_is_left_alone(
    weaviate_site: WeaviateSite, collection: str, open_index: OpenIndex
) -> None:
    with weaviate_site.admin() as admin:
        admin.collections.create(collection, description="not ours")
    with pytest.raises(PermanentError, match="WAGGLE_WEAVIATE_COLLECTION"):
        await open_index(EMBEDDER.identity)


async def test_a_collection_of_somebody_else_in_place_of_the_pointers_is_left_alone(
    weaviate_site: WeaviateSite, collection: str, open_index: OpenIndex
) -> None:
    with weaviate_site.admin() as admin:
        admin.collections.create(f"{collection}{SUFFIX}", description="not ours")
    with pytest.raises(PermanentError, match=rf"{SUFFIX}.*WAGGLE_WEAVIATE_COLLECTION"):
        await open_index(EMBEDDER.identity)


async def test_the_rows_are_there_but_what_names_them_is_not(
    weaviate_site: WeaviateSite, collection: str, open_index: OpenIndex
) -> None:
    """As after a restore of one collection alone: an empty index beside it would hide what is there."""
    site = build_site(weaviate_site.settings(collection), IndexKind.WEAVIATE)
    await site.open()
    name = site.fresh()
    index = site.index(name, EMBEDDER.identity)
    await index.open()
    assert await site.names() == [name]
    with pytest.raises(PermanentError, match=rf"{name}.*restore the collection {collection}{SUFFIX}"):
        await open_index(EMBEDDER.identity)
    await index.close()
    await site.close()


async def test_tenants_of_any_name_are_kept_apart(open_index: OpenIndex) -> None:
    index = await open_index(EMBEDDER.identity)
    tenants = ["a", "A", "-", "_", "a" * 63, "a" * 64, "a" * 65, "a" * 127 + "b", "a" * 128]
    for number, tenant in enumerate(tenants):
        await index.upsert([row(f"words {number}", tenant=tenant)])
    assert await index.census() == {(tenant, "d", "g1"): 1 for tenant in tenants}
    for number, tenant in enumerate(tenants):
        assert texts(await search(index, "words", tenant=tenant)) == {f"words {number}"}


async def test_searches_find_what_brute_force_finds_filtered_or_not(open_index: OpenIndex) -> None:
    index = await open_index(EMBEDDER.identity)
    rows = [
        replace(row(f"text {i} {'odd' if i % 2 else 'even'}", document_id=f"d{i % 7}", ordinal=i), metadata=labels(i))
        for i in range(1_500)
    ]
    await index.upsert(rows)
    await index.upsert([row(f"text {i} odd", tenant="other", ordinal=i) for i in range(200)])
    await index.delete_generation(TENANT, "d3", "g1")
    left = [each for each in rows if each.document_id != "d3"]
    exactly = {"kind": "1", "lang": "en"}
    cases = [
        (Filters(), left),
        (Filters(document_ids=("d1", "d2")), [r for r in left if r.document_id in {"d1", "d2"}]),
        (
            Filters(metadata={"kind": Condition(any_of=("1", "2"))}),
            [r for r in left if r.metadata["kind"] in {"1", "2"}],
        ),
        (
            Filters(metadata={"kind": Condition(any_of=("1",)), "lang": Condition(any_of=("en",))}),
            [r for r in left if r.metadata == exactly],
        ),
    ]
    for chosen, among in cases:
        for asked in ("text 17 odd", "something else", "another question"):
            vector = question(asked)
            found = await index.search(TENANT, text=None, vector=vector, limit=12, filters=chosen)
            assert [c.chunk_id for c in found] == [r.chunk_id for r in nearest(vector, among)[:12]]
        odd = await index.search(TENANT, text="odd", vector=None, limit=2_000, filters=chosen)
        assert {c.chunk_id for c in odd} == {r.chunk_id for r in among if "odd" in r.text}


async def test_more_rows_may_be_asked_for_than_a_server_returns(open_index: OpenIndex) -> None:
    index = await open_index(EMBEDDER.identity)
    await index.upsert([row("words")])
    found = await index.search(
        TENANT, text="words", vector=question("words"), limit=2 * SERVER_LIMIT, filters=Filters()
    )
    assert len(found) == 1


async def test_white_space_at_the_ends_of_a_value_counts(open_index: OpenIndex) -> None:
    index = await open_index(EMBEDDER.identity)
    values = ["x", "x ", " x", "x\u00a0", "x\n"]
    await index.upsert([replace(row("words", document_id=f"d{n}"), metadata={"k": v}) for n, v in enumerate(values)])
    for value in values:
        (found,) = await search(index, "words", filters=Filters(metadata={"k": Condition(any_of=(value,))}))
        assert found.metadata == {"k": value}


async def test_conditions_of_many_tags_and_several_hundred_named_documents_hold(open_index: OpenIndex) -> None:
    index = await open_index(EMBEDDER.identity)
    keys = [f"key{i}" for i in range(16)]
    await index.upsert([replace(row("words", generation=g), metadata=dict.fromkeys(keys, "449")) for g in ("g1", "g2")])
    filters = Filters(metadata=dict.fromkeys(keys, Condition(any_of=tuple(str(i) for i in range(450)))))
    named = {(f"d{i}", f"g{i}") for i in range(400)} | {(f"e{i}", None) for i in range(100)} | {("d", "g2")}
    (found,) = await search(index, "words", filters=filters, visible=Visible(generations=frozenset(named)))
    assert found.generation == "g2"


async def test_more_rows_than_a_server_deletes_at_once_are_deleted(open_index: OpenIndex) -> None:
    index = await open_index(EMBEDDER.identity)
    vectors = np.random.default_rng(1).standard_normal((SERVER_LIMIT + 50, DIMENSION)).astype(np.float32)
    first = row("words")
    await index.upsert(
        [
            replace(
                first,
                chunk_id=chunk_id(TENANT, "d", "g1", i),
                ordinal=i,
                embedding=replace(first.embedding, vector=vector / np.linalg.norm(vector)),
            )
            for i, vector in enumerate(vectors)
        ]
    )
    await index.upsert([row("words", generation="g2")])
    assert await index.delete_generation(TENANT, "d", "g1") == SERVER_LIMIT + 50
    assert await index.census() == {(TENANT, "d", "g2"): 1}


async def test_no_row_is_left_out_when_others_are_written_again_between_two_pages(
    open_index: OpenIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row that is written again gets another place: pages that are counted off from the beginning would shift."""
    monkeypatch.setattr("workers.indexing.weaviate.WHOLE_ROWS", 4)
    index = await open_index(EMBEDDER.identity)
    rows = [row(f"words {i}", ordinal=i) for i in range(14)]
    await index.upsert(rows)
    read = set[int]()
    async for each in index.rows(TENANT, "d", "g1"):
        if not read:
            await index.upsert(rows[:8])
        read.add(each.ordinal)
    assert read == set(range(14))


async def test_rows_of_megabytes_are_written_and_read_in_messages_that_a_server_takes(
    open_index: OpenIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a large encoder and chunks of many sentences: two hundred of them would be a message of 400 MB."""
    index = await open_index(EMBEDDER.identity)
    sentences = np.ones((60_000, DIMENSION), dtype=np.float32)
    rows = [row(f"words {i}", ordinal=i) for i in range(45)]
    await index.upsert([replace(each, embedding=replace(each.embedding, sentences=sentences)) for each in rows])
    sizes = [(each.ordinal, len(each.embedding.sentences)) async for each in index.rows(TENANT, "d", "g1")]
    assert sorted(sizes) == [(i, len(sentences)) for i in range(45)]


async def test_more_rows_than_a_server_returns_are_all_read(
    open_index: OpenIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, number in (("MOST_ROWS", 6), ("PAGE_ROWS", 5), ("WHOLE_ROWS", 3)):
        monkeypatch.setattr(f"workers.indexing.weaviate.{name}", number)
    index = await open_index(EMBEDDER.identity)
    await index.upsert([row(f"words {i}", document_id=d, ordinal=i) for i in range(9) for d in "de"])
    assert sorted([each.ordinal async for each in index.rows(TENANT, "d", "g1")]) == list(range(9))


async def test_a_census_reads_on_beyond_one_page(open_index: OpenIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.indexing.weaviate.PAGE_ROWS", 3)
    index = await open_index(EMBEDDER.identity)
    await index.upsert([row(f"words {i}", document_id=f"d{i % 2}", ordinal=i) for i in range(10)])
    assert await index.census() == {(TENANT, "d0", "g1"): 5, (TENANT, "d1", "g1"): 5}


async def test_embeddings_are_found_behind_many_rows_of_the_same_text(
    open_index: OpenIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.indexing.weaviate.PAGE_ROWS", 3)
    index = await open_index(EMBEDDER.identity)
    await index.upsert([row("the same", generation=f"g{i}") for i in range(8)] + [row("another", ordinal=1)])
    wanted = {digest("the same"), digest("another")}
    assert set(await index.embeddings(TENANT, "d", [*wanted, digest("unknown")])) == wanted


async def test_a_chunk_that_is_refused_is_named_and_the_others_are_stored(open_index: OpenIndex) -> None:
    index = await open_index(EMBEDDER.identity)
    good = row("good words")
    await index.upsert([good])
    long = np.ones(DIMENSION + 1, dtype=np.float32)
    bad = replace(row("bad", ordinal=1), embedding=replace(good.embedding, vector=long))
    worse = replace(bad, chunk_id=row("", ordinal=3).chunk_id, ordinal=3)
    for rows in ([row("more words", ordinal=2), bad], [bad], [bad, worse]):
        with pytest.raises(PermanentError, match=f"{bad.chunk_id} of document d"):
            await index.upsert(rows)
    assert await index.count_generation(TENANT, "d", "g1") == 2


async def test_a_tenant_that_was_removed_is_made_again(
    weaviate_site: WeaviateSite, collection: str, open_index: OpenIndex
) -> None:
    index = await open_index(EMBEDDER.identity)
    await index.upsert([row("words")])
    with weaviate_site.admin() as admin:
        admin.collections.use(collection).tenants.remove([TENANT])
    assert await index.count_generation(TENANT, "d", "g1") == 0
    await index.upsert([row("words")])
    assert await index.count_generation(TENANT, "d", "g1") == 1


async def test_a_collection_that_was_removed_is_missed_until_somebody_makes_it_again(
    weaviate_site: WeaviateSite, collection: str, open_index: OpenIndex
) -> None:
    index = await open_index(EMBEDDER.identity)
    await index.upsert([row("words")])
    with weaviate_site.admin() as admin:
        admin.collections.delete(collection)
    for call in (
        lambda: index.upsert([row("words")]),
        lambda: search(index, "words"),
        lambda: index.count_generation(TENANT, "d", "g1"),
        lambda: index.delete_generation("default", "none", "none"),
    ):
        with pytest.raises(TransientError, match="WAGGLE_WEAVIATE_COLLECTION"):
            await call()
    await open_index(EMBEDDER.identity)
    await index.upsert([row("words")])
    assert texts(await search(index, "words")) == {"words"}


async def test_a_server_that_takes_no_writes_is_told_from_one_that_does(
    weaviate_site: WeaviateSite, collection: str, open_index: OpenIndex
) -> None:
    index = await open_index(EMBEDDER.identity)
    await index.upsert([row("words")])
    assert await index.delete_generation("default", "none", "none") == 0
    set_shard(weaviate_site, collection, "READONLY")
    with pytest.raises(TransientError, match="did not store"):
        await index.upsert([row("more words", ordinal=1)])
    with pytest.raises(TransientError, match="read-only"):
        await index.delete_generation(TENANT, "d", "g1")
    with pytest.raises(TransientError):  # the embed worker's look, which holds its messages
        await index.delete_generation("default", "none", "none")
    assert await index.count_generation(TENANT, "d", "g1") == 1
    set_shard(weaviate_site, collection, "READY")
    assert await index.delete_generation("default", "none", "none") == 0


@pytest.mark.parametrize("level", ["one", "quorum", "all"])
async def test_every_level_of_consistency_reads_and_writes(
    weaviate_site: WeaviateSite, collection: str, level: str
) -> None:
    index = build_index(weaviate_site.settings(collection, weaviate_consistency=level), EMBEDDER.identity)
    await index.open()
    await index.upsert([row("some words")])
    assert len(await search(index, "words")) == 1
    assert await index.delete_generation(TENANT, "d", "g1") == 1
    await index.close()


async def search(index: VectorIndex, text: str, *, tenant: str = TENANT, **options: Any) -> list[Candidate]:
    options = {"filters": Filters()} | options
    return await index.search(tenant, text=text, vector=question(text), limit=10, **options)


async def closed(*indexes: VectorIndex) -> None:
    for index in indexes:
        await index.close()


def nearest(vector: Vector, rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=lambda r: -float(r.embedding.vector @ vector))


def labels(number: int) -> dict[str, str]:
    return {"kind": str(number % 5), "lang": "en" if number % 3 else "zh"}


def set_shard(site: WeaviateSite, collection: str, status: Literal["READY", "READONLY"]) -> None:
    with site.admin() as admin:
        admin.collections.use(collection).config.update_shards(status, [TENANT])
