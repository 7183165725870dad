from __future__ import annotations

import pytest

from contracts.queries import Filters, QueryRequest, SearchMode
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
    async def encode(question):
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
    filters = Filters(document_ids=("d",), metadata={"year": ("2024",)})
    await searcher.search(QueryRequest(tenant="acme", query="bee", filters=filters))
    assert (index.searches[0]["tenant"], index.searches[0]["filters"]) == ("acme", filters)


async def test_every_stage_is_timed(searcher):
    found = await searcher.search(QueryRequest(query="bee"))
    assert set(found.timings_ms) == {"encode", "search", "visibility", "rank"}
    assert all(spent >= 0 for spent in found.timings_ms.values())


async def test_nothing_found_is_no_passages(searcher, index):
    index.rows = ()
    assert (await searcher.search(QueryRequest(query="bee"))).passages == ()
