"""What every `VectorIndex` must do. An adapter's test class inherits it and provides `open_index`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import numpy as np
import pytest

from contracts.errors import PermanentError
from contracts.identifiers import chunk_id, digest
from contracts.queries import Filters
from tests.unit.indexing.filter_contract import FilterContract
from tests.unit.indexing.rows import DIMENSION, EMBEDDER, NASTY, TENANT, question, row, texts
from workers.encoding.base import EncoderIdentity, Passage, PassageEmbedding
from workers.indexing.base import Candidate, VectorIndex, Visible

OpenIndex = Callable[[EncoderIdentity], Awaitable[VectorIndex]]
"""Opens the one index of a test, as another process would; closed by the fixture."""

EVERYTHING = Filters()


async def by_keyword(index: VectorIndex, text: str, *, tenant: str = TENANT, **options) -> list[Candidate]:
    return await index.search(tenant, text=text, vector=None, limit=10, filters=EVERYTHING, **options)


class VectorIndexContract(FilterContract):
    """Rows that are written are found at once, once, by their tenant only; what is deleted is gone."""

    @pytest.fixture
    async def index(self, open_index: OpenIndex) -> VectorIndex:
        return await open_index(EMBEDDER.identity)

    async def test_what_was_written_comes_back_whole(self, index: VectorIndex) -> None:
        written = replace(row("honey bees dance on the comb", ordinal=3), heading="Bees › Dances", metadata={"k": "v"})
        await index.upsert([written])
        (found,) = await by_keyword(index, "dance")
        assert (found.chunk_id, found.document_id, found.generation) == (written.chunk_id, "d", "g1")
        assert (found.text, found.name, found.heading) == (written.text, "d.txt", "Bees › Dances")
        assert (found.start, found.end, found.page, found.ordinal) == (30, 30 + len(written.text), 4, 3)
        assert (found.metadata, found.sentences) == ({"k": "v"}, written.sentences)
        assert (found.sentence_vectors * written.embedding.sentences).sum(axis=1) == pytest.approx(1, abs=2e-3)

    async def test_a_page_and_a_heading_may_be_missing(self, index: VectorIndex) -> None:
        await index.upsert([replace(row("plain text"), page=None, heading=None, sentences=())])
        (found,) = await by_keyword(index, "plain")
        assert (found.page, found.heading, found.sentences) == (None, None, ())

    async def test_an_empty_index_finds_nothing(self, index: VectorIndex) -> None:
        assert await index.search(TENANT, text="bees", vector=question("x"), limit=5, filters=EVERYTHING) == []
        assert await index.count_generation(TENANT, "d", "g1") == 0
        assert await index.embeddings(TENANT, "d", [digest("x")]) == {}

    async def test_a_census_counts_every_generation_of_every_tenant(self, index: VectorIndex) -> None:
        assert await index.census() == {}
        await index.upsert(
            [row("one"), row("two", ordinal=1), row("new", generation="g2"), row("theirs", tenant="other")]
        )
        await index.delete_generation(TENANT, "d", "g2")
        await index.upsert([row("three", document_id="e")])
        assert await index.census() == {(TENANT, "d", "g1"): 2, (TENANT, "e", "g1"): 1, ("other", "d", "g1"): 1}

    async def test_writing_nothing_is_harmless(self, index: VectorIndex) -> None:
        await index.upsert([])
        assert await index.embeddings(TENANT, "d", []) == {}

    async def test_upserting_the_same_chunk_twice_keeps_the_last(self, index: VectorIndex) -> None:
        await index.upsert([row("first words")])
        await index.upsert([row("second words"), row("third words")])
        assert texts(await by_keyword(index, "words")) == {"third words"}
        assert await index.count_generation(TENANT, "d", "g1") == 1

    async def test_writers_that_race_over_the_same_chunks_leave_each_once(self, open_index: OpenIndex) -> None:
        writers = [await open_index(EMBEDDER.identity) for _ in range(3)]
        for attempt in range(5):
            rows = [row(f"text {attempt} {i}", document_id=f"d{attempt}", ordinal=i) for i in range(8)]
            await asyncio.gather(*(writer.upsert(rows) for writer in writers))
            assert await writers[0].count_generation(TENANT, f"d{attempt}", "g1") == 8

    async def test_they_do_so_in_an_index_that_was_optimized_and_while_it_is(self, open_index: OpenIndex) -> None:
        writers = [await open_index(EMBEDDER.identity) for _ in range(3)]
        await writers[0].upsert([row("words", document_id=f"old{i}") for i in range(4)])
        await writers[0].optimize()
        for attempt in range(5):
            rows = [row(f"text {attempt} {i}", document_id=f"d{attempt}", ordinal=i) for i in range(4)]
            await asyncio.gather(*(writer.upsert(rows) for writer in writers), writers[0].optimize())
            assert await writers[0].count_generation(TENANT, f"d{attempt}", "g1") == 4

    async def test_a_write_is_seen_by_other_processes_at_once(self, open_index: OpenIndex) -> None:
        writer, reader = await open_index(EMBEDDER.identity), await open_index(EMBEDDER.identity)
        await writer.upsert([row("fresh news")])
        assert texts(await by_keyword(reader, "news")) == {"fresh news"}
        await writer.delete_generation(TENANT, "d", "g1")
        assert await by_keyword(reader, "news") == []

    async def test_new_words_are_found_before_and_after_optimizing(self, index: VectorIndex) -> None:
        await index.upsert([row("known words", ordinal=0)])
        await index.optimize()
        await index.upsert([row("an aardvark appears", ordinal=1)])
        assert texts(await by_keyword(index, "aardvark")) == {"an aardvark appears"}
        await index.optimize()
        assert texts(await by_keyword(index, "aardvark")) == {"an aardvark appears"}

    async def test_optimizing_twice_and_at_once_is_harmless(self, index: VectorIndex) -> None:
        await index.upsert([row("some words", ordinal=i) for i in range(4)])
        await asyncio.gather(index.optimize(), index.optimize())
        assert await index.count_generation(TENANT, "d", "g1") == 4

    @pytest.mark.parametrize(
        ("text", "asked"),
        [
            ("The bees were dancing in the hive.", "Dance of the bee?"),
            ("蜜蜂用舞蹈告诉同伴花蜜的方向。", "舞蹈"),
            ("使用BERT模型编码", "bert 模型"),
        ],
    )
    async def test_words_are_found_in_their_forms_and_chinese_without_spaces(
        self, index: VectorIndex, text: str, asked: str
    ) -> None:
        others = ["Concrete hardens for 28 days.", "混凝土的养护时间为二十八天。"]
        await index.upsert([row(t, ordinal=i) for i, t in enumerate([text, *others])])
        assert texts(await by_keyword(index, asked)) == {text}

    @pytest.mark.parametrize("asked", ["", "   ", "?!", "a'b\" OR +x -y (", "* : ^ ~", "the of and", *NASTY])
    async def test_no_question_breaks_keyword_search(self, index: VectorIndex, asked: str) -> None:
        await index.upsert([row("nothing of that kind")])
        await by_keyword(index, asked)

    async def test_the_nearest_vector_is_found_with_its_cosine(self, index: VectorIndex) -> None:
        await index.upsert([row(f"text {i}", ordinal=i) for i in range(20)])
        found = await index.search(TENANT, text=None, vector=question("text 7"), limit=1, filters=EVERYTHING)
        assert [(c.text, c.keyword_score) for c in found] == [("text 7", None)]
        assert found[0].similarity == pytest.approx(1.0, abs=1e-5)

    async def test_both_sides_are_merged_and_every_hit_has_its_cosine(self, index: VectorIndex) -> None:
        rows = [row("apples and pears", ordinal=0), row("bread and butter", ordinal=1), row("tea", ordinal=2)]
        await index.upsert(rows)
        asked = question("bread and butter")
        found = await index.search(TENANT, text="apples", vector=asked, limit=1, filters=EVERYTHING)
        by_text = {candidate.text: candidate for candidate in found}
        assert set(by_text) == {"apples and pears", "bread and butter"}
        assert by_text["bread and butter"].keyword_score is None
        assert (by_text["apples and pears"].keyword_score or 0) > 0
        expected = float(rows[0].embedding.vector @ asked)
        assert by_text["apples and pears"].similarity == pytest.approx(expected, abs=1e-5)

    async def test_a_row_found_by_both_sides_comes_once(self, index: VectorIndex) -> None:
        await index.upsert([row("apples and pears")])
        (found,) = await index.search(
            TENANT, text="apples", vector=question("apples and pears"), limit=5, filters=EVERYTHING
        )
        assert found.similarity == pytest.approx(1.0, abs=1e-5)
        assert found.keyword_score is not None

    async def test_without_a_question_vector_there_is_no_cosine(self, index: VectorIndex) -> None:
        await index.upsert([row("apples")])
        (found,) = await by_keyword(index, "apples")
        assert found.similarity is None

    async def test_a_tenant_never_finds_another_tenants_chunk(self, index: VectorIndex) -> None:
        await index.upsert([row("the secret", tenant="other"), row("the secret", tenant=TENANT)])
        for tenant, others in ((TENANT, 1), ("other", 1), ("third", 0)):
            found = await index.search(
                tenant, text="secret", vector=question("the secret"), limit=9, filters=EVERYTHING
            )
            assert len(found) == others
            assert {c.chunk_id for c in found} <= {chunk_id(tenant, "d", "g1", 0)}

    async def test_another_tenants_rows_do_not_use_up_the_limit(self, index: VectorIndex) -> None:
        await index.upsert([row("the same text", tenant="other", ordinal=i) for i in range(30)])
        await index.upsert([row("the same text too")])
        found = await index.search(TENANT, text="same", vector=question("the same text"), limit=3, filters=EVERYTHING)
        assert texts(found) == {"the same text too"}

    async def test_deleting_and_reuse_are_bound_to_the_tenant(self, index: VectorIndex) -> None:
        await index.upsert([row("the secret", tenant="other")])
        assert await index.delete_generation(TENANT, "d", "g1") == 0
        assert await index.count_generation(TENANT, "d", "g1") == 0
        assert await index.embeddings(TENANT, "d", [digest("the secret")]) == {}
        assert await index.count_generation("other", "d", "g1") == 1

    async def test_deleting_a_generation_tells_how_many_rows_and_leaves_the_others(self, index: VectorIndex) -> None:
        await index.upsert([row(f"one {i}", ordinal=i) for i in range(3)])
        await index.upsert([row("two", generation="g2"), row("three", document_id="e")])
        assert await index.delete_generation(TENANT, "d", "g1") == 3
        assert await index.delete_generation(TENANT, "d", "g1") == 0
        assert await index.count_generation(TENANT, "d", "g2") == 1
        assert await index.count_generation(TENANT, "e", "g1") == 1

    async def test_embeddings_of_a_documents_texts_are_found_by_digest(self, index: VectorIndex) -> None:
        kept, other = row("kept text"), row("kept text", document_id="e")
        await index.upsert([kept, other])
        found = await index.embeddings(TENANT, "d", [digest("kept text"), digest("unknown")])
        assert set(found) == {digest("kept text")}
        np.testing.assert_allclose(found[digest("kept text")].vector, kept.embedding.vector, atol=1e-6)
        assert found[digest("kept text")].sentences.shape == (2, DIMENSION)

    async def test_an_embedding_that_is_stored_again_does_not_change(self, index: VectorIndex) -> None:
        await index.upsert([row("kept text")])
        once = (await index.embeddings(TENANT, "d", [digest("kept text")]))[digest("kept text")]
        await index.upsert([replace(row("kept text"), embedding=once)])
        twice = (await index.embeddings(TENANT, "d", [digest("kept text")]))[digest("kept text")]
        np.testing.assert_array_equal(once.sentences, twice.sentences)

    async def test_a_search_can_be_bound_to_documents(self, index: VectorIndex) -> None:
        await index.upsert([row("same words", document_id=d) for d in ("a", "b", "c")])
        found = await index.search(
            TENANT, text="words", vector=question("x"), limit=9, filters=Filters(document_ids=("a", "c"))
        )
        assert {c.document_id for c in found} == {"a", "c"}

    async def test_named_documents_are_found_only_in_the_generation_named_with_them(self, index: VectorIndex) -> None:
        for document_id in ("a", "b", "c"):
            await index.upsert([row("same words", document_id=document_id, generation=g) for g in ("g1", "g2")])
        visible = Visible(generations=frozenset({("a", "g1"), ("b", "g2"), ("c", None)}))
        found = await index.search(
            TENANT, text="words", vector=question("same words"), limit=9, filters=EVERYTHING, visible=visible
        )
        assert {(c.document_id, c.generation) for c in found} == {("a", "g1"), ("b", "g2")}

    async def test_documents_that_are_not_named_are_found_in_any_generation(self, index: VectorIndex) -> None:
        await index.upsert([row("same words", document_id=d, generation=g) for d in ("a", "b") for g in ("g1", "g2")])
        found = await by_keyword(index, "words", visible=Visible(generations=frozenset({("a", "g2")})))
        assert {(c.document_id, c.generation) for c in found} == {("a", "g2"), ("b", "g1"), ("b", "g2")}

    async def test_a_hundred_documents_can_be_named(self, index: VectorIndex) -> None:
        await index.upsert([row("same words", generation="g2")])
        named = {(f"d{i}", f"g{i}") for i in range(100)} | {("d", "g2")}
        found = await by_keyword(index, "words", visible=Visible(generations=frozenset(named)))
        assert [c.generation for c in found] == ["g2"]

    @pytest.mark.parametrize(
        "other",
        [
            EncoderIdentity(model="another", dimension=DIMENSION),
            EncoderIdentity(model=EMBEDDER.identity.model, dimension=DIMENSION * 2),
        ],
    )
    async def test_another_encoder_may_not_use_the_index(self, open_index: OpenIndex, other: EncoderIdentity) -> None:
        await open_index(EMBEDDER.identity)
        with pytest.raises(PermanentError, match="ENCODER_MODEL"):
            await open_index(other)

    async def test_another_passage_prompt_may_not_use_the_index(self, open_index: OpenIndex) -> None:
        await open_index(EMBEDDER.identity)
        with pytest.raises(PermanentError, match="ENCODER_PASSAGE_PROMPT"):
            await open_index(replace(EMBEDDER.identity, passage_prompt="passage: "))

    async def test_an_encoder_that_computes_in_another_precision_may_use_the_index(self, open_index: OpenIndex) -> None:
        await open_index(replace(EMBEDDER.identity, precision="bfloat16"))
        again = await open_index(replace(EMBEDDER.identity, precision="float32"))
        await again.upsert([row("some words")])

    async def test_the_rows_of_a_generation_come_back_to_be_written_again(self, index: VectorIndex) -> None:
        plain = replace(row("plain text", ordinal=1), page=None, heading=None, sentences=(), metadata={})
        none = EMBEDDER.encode_passages([Passage(text="plain text")])[0]
        assert isinstance(none, PassageEmbedding)
        written = [
            replace(
                row("honey bees 蜜蜂", ordinal=0), heading="Bees › 蜜蜂", metadata={"k": "v ", "date": "2024-05-01"}
            ),
            replace(plain, embedding=none),
        ]
        await index.upsert([*written, row("other", generation="g2"), row("theirs", tenant="other")])
        once = sorted([each async for each in index.rows(TENANT, "d", "g1")], key=lambda each: each.ordinal)
        assert [replace(each, embedding=none) for each in once] == [replace(each, embedding=none) for each in written]
        await index.delete_generation(TENANT, "d", "g1")
        await index.upsert(once)
        twice = sorted([each async for each in index.rows(TENANT, "d", "g1")], key=lambda each: each.ordinal)
        for first, second, original in zip(once, twice, written, strict=True):
            np.testing.assert_array_equal(first.embedding.vector, second.embedding.vector)
            np.testing.assert_array_equal(first.embedding.sentences, second.embedding.sentences)
            np.testing.assert_allclose(first.embedding.vector, original.embedding.vector, atol=1e-6)

    async def test_many_rows_are_read_page_by_page(self, index: VectorIndex) -> None:
        await index.upsert([row(f"text {i}", ordinal=i) for i in range(1_234)])
        assert sorted([each.ordinal async for each in index.rows(TENANT, "d", "g1")]) == list(range(1_234))

    async def test_a_generation_without_rows_has_none(self, index: VectorIndex) -> None:
        assert [each async for each in index.rows(TENANT, "d", "g1")] == []
        await index.upsert([row("text", generation="g2")])
        assert [each async for each in index.rows(TENANT, "d", "g1")] == []
