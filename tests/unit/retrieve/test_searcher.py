from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from contracts.queries import Condition, Filters, QueryRequest, SearchMode
from contracts.settings import Fusion
from tests.unit.retrieve.making import candidate, record, unit
from workers.retrieve.searcher import LEAST_REACH, Searcher


class RecordingIndex:
    """Answers every search with the same rows and remembers what was asked."""

    def __init__(self, *rows) -> None:
        self.rows = rows
        self.searches: list[dict[str, object]] = []

    async def search(self, tenant, *, text, vector, limit, filters, visible=None):
        self.searches.append({"tenant": tenant, "text": text, "vector": vector, "limit": limit, "filters": filters})
        return list(self.rows)


class OpenLedger:
    async def get_many(self, tenant, document_ids):
        return {d: record(d, "g1") for d in document_ids}


@pytest.fixture
def index():
    return RecordingIndex(*(candidate(f"bee {i}", ordinal=i, similarity=0.5, keyword_score=9.0 - i) for i in range(9)))


@pytest.fixture
def encoded():
    return []


@pytest.fixture
def searcher(index, encoded):
    async def encode(_, question):
        encoded.append(question)
        return unit(1, 0)

    return Searcher(encode, index, OpenLedger(), scripts=frozenset({"latin"}))


async def test_a_question_in_a_served_script_is_searched_on_both_sides(searcher, index, encoded):
    found = await searcher.search(QueryRequest(query="Where is the bee?"))
    assert encoded == ["Where is the bee?"]
    assert index.searches[0]["text"] == "Where is the bee?"
    assert index.searches[0]["vector"] is not None
    assert found.encoder_serves_query
    assert len(found.passages) == 5


async def test_a_question_that_the_encoder_understands_nothing_of_is_searched_by_keyword_alone(
    searcher, index, encoded
):
    found = await searcher.search(QueryRequest(query="蜜蜂在哪里？"))
    assert encoded == []
    assert index.searches[0]["vector"] is None
    assert not found.encoder_serves_query


async def test_each_mode_asks_its_side(searcher, index, encoded):
    await searcher.search(QueryRequest(query="蜜蜂", mode=SearchMode.VECTOR))
    await searcher.search(QueryRequest(query="bee", mode=SearchMode.KEYWORD))
    assert [(s["text"], s["vector"] is None) for s in index.searches] == [(None, False), ("bee", True)]
    assert encoded == ["蜜蜂"]


@pytest.mark.parametrize(("top_k", "reach"), [(1, LEAST_REACH), (5, LEAST_REACH), (30, 60)])
async def test_more_is_fetched_than_asked_for(searcher, index, top_k, reach):
    found = await searcher.search(QueryRequest(query="bee", top_k=top_k))
    assert index.searches[0]["limit"] == reach
    assert len(found.passages) == min(top_k, 9)


async def test_tenant_and_filters_reach_the_index(searcher, index):
    filters = Filters(document_ids=("d",), metadata={"year": Condition(any_of=("2024",))})
    await searcher.search(QueryRequest(tenant="acme", query="bee", filters=filters))
    assert (index.searches[0]["tenant"], index.searches[0]["filters"]) == ("acme", filters)


async def test_every_stage_is_timed(searcher):
    found = await searcher.search(QueryRequest(query="bee"))
    assert set(found.timings_ms) == {"encode", "search", "visibility", "rank"}
    assert all(spent >= 0 for spent in found.timings_ms.values())


async def test_nothing_found_is_no_passages(searcher, index):
    index.rows = ()
    assert (await searcher.search(QueryRequest(query="bee"))).passages == ()


class LastFirst:
    """Reranks: the last becomes the first. Remembers what it was asked; leaves it out when told."""

    window = 4

    def __init__(self) -> None:
        self.asked: list[dict[str, object]] = []
        self.left_out = False

    async def scores(self, query, texts, *, left_s, answered):
        self.asked.append({"query": query, "texts": list(texts), "left_s": left_s, "answered": answered})
        return None if self.left_out else np.arange(len(texts), dtype=float)


@pytest.fixture
def reranking():
    return LastFirst()


@pytest.fixture
def reranked(index, reranking):
    async def encode(_, question):
        return unit(1, 0)

    return Searcher(encode, index, OpenLedger(), scripts=frozenset({"latin"}), reranking=reranking)


def ordinals(found):
    return [passage.ordinal for passage in found.passages]


async def test_the_best_candidates_are_reranked_and_the_others_follow(reranked):
    found = await reranked.search(QueryRequest(query="bee", top_k=9))
    assert ordinals(found) == [3, 2, 1, 0, 4, 5, 6, 7, 8]
    scores = [passage.score for passage in found.passages]
    assert scores == sorted(scores, reverse=True)
    assert "rerank" in found.timings_ms
    assert "rerank_skipped" not in found.timings_ms


async def test_a_candidate_beyond_the_top_may_be_reranked_into_it(reranked):
    assert ordinals(await reranked.search(QueryRequest(query="bee", top_k=2))) == [3, 2]


async def test_the_reranker_sees_question_texts_and_what_time_is_left(reranked, reranking, index):
    index.rows = tuple(replace(row, heading="Bees › Dances") for row in index.rows)
    await reranked.search(QueryRequest(query="bee", generate=False), left_s=7.0)
    (asked,) = reranking.asked
    assert (asked["query"], asked["answered"]) == ("bee", False)
    assert asked["texts"][0] == "Bees › Dances\nbee 0"
    assert 6.0 < asked["left_s"] <= 7.0


async def test_what_is_not_reranked_is_told_and_in_its_order(reranked, reranking):
    reranking.left_out = True
    found = await reranked.search(QueryRequest(query="bee", top_k=5))
    assert ordinals(found) == [0, 1, 2, 3, 4]
    assert found.timings_ms["rerank_skipped"] == 1.0


async def test_repeated_texts_stay_last(reranked, index):
    index.rows = tuple(
        candidate(text, ordinal=i, similarity=0.5, keyword_score=9.0 - i) for i, text in enumerate(["a", "b", "a", "c"])
    )
    assert ordinals(await reranked.search(QueryRequest(query="bee"))) == [3, 1, 0, 2]


async def test_a_single_passage_has_one_order(reranked, reranking, index):
    index.rows = index.rows[:1]
    found = await reranked.search(QueryRequest(query="bee"))
    assert ordinals(found) == [0]
    assert reranking.asked == []
    assert "rerank_skipped" not in found.timings_ms


async def test_as_many_candidates_are_asked_of_the_index_as_are_reranked(reranked, reranking, index):
    reranking.window = 50
    await reranked.search(QueryRequest(query="bee"))
    assert index.searches[0]["limit"] == 50


async def test_another_order_counts_from_the_next_search_on(searcher, index):
    question = QueryRequest(query="Where is the bee?")
    before = [passage.score for passage in (await searcher.search(question)).passages]
    searcher.order(fusion=Fusion.RECIPROCAL_RANK, reranking=None)
    by_ranks = [passage.score for passage in (await searcher.search(question)).passages]
    searcher.order(fusion=Fusion.CONVEX, reranking=None)
    assert by_ranks != before
    assert [passage.score for passage in (await searcher.search(question)).passages] == before
