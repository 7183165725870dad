"""The table that lists are read from."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from contracts.documents import DocumentRecord, DocumentState, Generation, GenerationState
from gateway.problems import Problem
from gateway.readmodel import ReadModel
from messaging.ledger import Change

HUGE = urlsafe_b64encode(b"[1" + b"0" * 340 + b', "d"]').decode().rstrip("=")
SURROGATE = urlsafe_b64encode(b'[1, "\\ud800"]').decode().rstrip("=")
START = datetime(2026, 1, 1, tzinfo=UTC)


def record(
    document_id: str, *, minute: int = 0, tenant: str = "t", state=GenerationState.SUBMITTED, deleted: bool = False
) -> DocumentRecord:
    at = START + timedelta(minutes=minute)
    latest = Generation(
        generation="g", version=1, state=state, name=document_id, sha256="0" * 64, size_bytes=1, submitted_at=at,
        updated_at=at,
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
    page = await model.page(tenant, limit=options.pop("limit", 100), **options)
    return [json.loads(item)["document_id"] for item in page.items]


async def test_the_newest_submission_comes_first_and_equal_times_have_an_order(model):
    await fill(model, record("old"), record("new", minute=9), record("b", minute=5), record("a", minute=5))
    assert await ids(model) == ["new", "a", "b", "old"]


async def test_pages_join_without_gap_or_repeat(model):
    await fill(model, *(record(f"d{n:02}", minute=n // 3) for n in range(20)))
    whole, seen, cursor = await ids(model), [], None
    while True:
        page = await model.page("t", limit=3, cursor=cursor)
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
async def test_a_foreign_cursor_is_an_invalid_request(model, cursor):
    with pytest.raises(Problem) as refused:
        await model.page("t", limit=1, cursor=cursor)
    assert refused.value.status == 422
