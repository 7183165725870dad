"""The table that lists are read from."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from contracts.documents import DocumentRecord, DocumentState, Generation, GenerationState
from gateway.problems import Problem
from gateway.readmodel import ReadModel
from gateway.selection import Selection
from messaging.ledger import Change

HUGE = urlsafe_b64encode(b"[1" + b"0" * 340 + b', "d"]').decode().rstrip("=")
SURROGATE = urlsafe_b64encode(b'[1, "\\ud800"]').decode().rstrip("=")
START = datetime(2026, 1, 1, tzinfo=UTC)


def record(
    document_id: str,
    *,
    minute: int = 0,
    tenant: str = "t",
    state=GenerationState.SUBMITTED,
    deleted: bool = False,
    name: str | None = None,
    metadata: dict[str, str] | None = None,
) -> DocumentRecord:
    at = START + timedelta(minutes=minute)
    latest = Generation(
        generation="g", version=1, state=state, name=name or document_id, sha256="0" * 64, size_bytes=1,
        submitted_at=at, updated_at=at, metadata=metadata or {},
    )  # fmt: skip
    return DocumentRecord(tenant=tenant, document_id=document_id, generations=(latest,), deleted=deleted)


@pytest.fixture
async def model() -> AsyncIterator[ReadModel]:
    model = ReadModel()
    yield model
    await model.close()


async def fill(model: ReadModel, *records: DocumentRecord, revision: int = 1) -> None:
    await model.apply([Change(revision + n, item) for n, item in enumerate(records)])


async def ids(model: ReadModel, tenant: str = "t", **options) -> list[str]:
    page = await model.page(tenant, Selection(**options), limit=100)
    return [json.loads(item)["document_id"] for item in page.items]


async def test_the_newest_submission_comes_first_and_equal_times_have_an_order(model):
    await fill(model, record("old"), record("new", minute=9), record("b", minute=5), record("a", minute=5))
    assert await ids(model) == ["new", "a", "b", "old"]


async def test_pages_join_without_gap_or_repeat(model):
    await fill(model, *(record(f"d{n:02}", minute=n // 3) for n in range(20)))
    whole, seen, cursor = await ids(model), [], None
    while True:
        page = await model.page("t", Selection(), limit=3, cursor=cursor)
        seen += [json.loads(item)["document_id"] for item in page.items]
        cursor = page.next
        if cursor is None:
            break
    assert seen == whole
    assert len(set(seen)) == 20


async def test_an_older_revision_does_not_undo_a_newer_one(model):
    await fill(model, record("d", state=GenerationState.READY), revision=7)
    await fill(model, record("d"), revision=6)
    assert await ids(model, states=[DocumentState.READY]) == ["d"]
    assert await model.count() == 1


async def test_deleted_documents_are_listed_only_when_asked_for(model):
    await fill(model, record("gone", deleted=True), record("here"))
    assert await ids(model) == ["here"]
    assert await ids(model, states=[DocumentState.DELETED]) == ["gone"]
    assert sorted(await ids(model, states=list(DocumentState))) == ["gone", "here"]


async def test_a_tenant_never_sees_anothers_documents(model):
    await fill(model, record("d", tenant="t"), record("d", tenant="other"))
    assert await ids(model) == ["d"]
    assert await model.count() == 2
    assert await ids(model, tenant="nobody") == []


async def test_a_cleared_model_is_empty_and_takes_lower_revisions_again(model):
    await fill(model, record("d"), revision=100)
    await model.clear()
    assert await ids(model) == []
    await fill(model, record("e"), revision=1)
    assert await ids(model) == ["e"]


@pytest.mark.parametrize(
    "cursor", ["", "x", "e30", "WzEsMiwzXQ", "W1tbW1tb", "bnVsbA", "é", "' OR 1=1 --", HUGE, SURROGATE]
)
@pytest.mark.parametrize("prefix", [None, "a"])
async def test_a_foreign_cursor_is_an_invalid_request(model, cursor, prefix):
    with pytest.raises(Problem) as refused:
        await model.page("t", Selection(name_prefix=prefix), limit=1, cursor=cursor)
    assert refused.value.status == 422


async def test_names_that_begin_alike_come_in_their_order(model):
    names = {"3": "docs/b", "1": "docs/a", "2": "docs/a", "4": "dock", "5": "docs/ü"}
    await fill(model, *(record(id, name=name) for id, name in names.items()))
    assert await ids(model, name_prefix="docs/") == ["1", "2", "3", "5"]
    assert await ids(model, name_prefix="nothing") == []


async def test_pages_in_the_order_of_names_join(model):
    await fill(model, *(record(f"d{n:02}", name=f"a{n % 7}", minute=n) for n in range(20)))
    whole, seen, cursor = await ids(model, name_prefix="a"), [], None
    while True:
        page = await model.page("t", Selection(name_prefix="a"), limit=3, cursor=cursor)
        seen += [json.loads(item)["document_id"] for item in page.items]
        cursor = page.next
        if cursor is None:
            break
    assert (seen, len(set(seen))) == (whole, 20)


async def test_metadata_chooses_and_follows_the_latest_version(model):
    await fill(model, record("a", metadata={"topic": "bees", "lang": "en"}), record("b", metadata={"topic": "bees"}))
    assert await ids(model, metadata={"topic": "bees"}) == ["a", "b"]
    assert await ids(model, metadata={"topic": "bees", "lang": "en"}) == ["a"]
    assert await ids(model, metadata={"topic": "bees"}, name_prefix="b") == ["b"]
    await fill(model, record("a", minute=1, metadata={"topic": "wasps"}), revision=9)
    assert await ids(model, metadata={"topic": "bees"}) == ["b"]
    assert await ids(model, metadata={"topic": "wasps"}) == ["a"]
    await model.clear()
    assert await ids(model, metadata={"topic": "wasps"}) == []


async def test_a_change_of_state_is_seen_in_every_list(model):
    await fill(model, record("a", metadata={"topic": "bees"}))
    await fill(model, record("a", metadata={"topic": "bees"}, state=GenerationState.READY), revision=2)
    for chosen in ({"metadata": {"topic": "bees"}}, {"name_prefix": "a"}, {}):
        assert await ids(model, states=[DocumentState.READY], **chosen) == ["a"]
        assert await ids(model, states=[DocumentState.SUBMITTED], **chosen) == []


async def test_a_span_includes_its_beginning_and_not_its_end(model):
    await fill(model, *(record(f"d{n}", minute=n, metadata={"topic": "bees"}) for n in range(5)))
    span: dict[str, Any] = {"since": START + timedelta(minutes=1), "until": START + timedelta(minutes=3)}
    for chosen in ({}, {"metadata": {"topic": "bees"}}, {"name_prefix": "d"}):
        assert sorted(await ids(model, **span, **chosen)) == ["d1", "d2"]


CHOSEN = [
    {},
    {"states": [DocumentState.FAILED]},
    {"since": START, "until": START},
    {"name_prefix": "a"},
    {"name_prefix": "a", "since": START},
    {"metadata": {"a": "b"}},
    {"metadata": {"a": "b", "c": "d"}, "since": START},
    {"metadata": {"a": "b"}, "name_prefix": "a", "states": [DocumentState.READY]},
]


@pytest.mark.parametrize("chosen", CHOSEN, ids=str)
@pytest.mark.parametrize("with_cursor", [False, True])
async def test_every_list_is_read_from_an_index_in_its_order(model, chosen, with_cursor):
    wanted = Selection(**chosen)
    cursor = wanted.cursor_after(("", "a" if wanted.by_name else 1.0, "id")) if with_cursor else None

    steps = await model.plan("t", wanted, cursor=cursor)

    reads = [n for n, step in enumerate(steps) if step.startswith("SEARCH") and ("INDEX" in step or "KEY" in step)]
    assert len(reads) >= len(wanted.states or [1, 2, 3, 4])
    assert not [step for step in steps if step.startswith("SCAN") and "(subquery" not in step]
    for n, step in enumerate(steps):  # what is sorted is what was read up to a limit, never a whole list
        assert "TEMP B-TREE" not in step or steps[n - 1].startswith("SCAN (subquery")
    if with_cursor:
        assert ("name>" if wanted.by_name else "submitted_at<") in steps[reads[0]]
