"""What the ledger's record says about a batch."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from contracts.documents import Chunk, DocumentRecord, EmbedRequest, Generation, GenerationState, Plan
from contracts.errors import TransientError
from workers.embed.progress import Standing, standing

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PLAN = Plan(plan_id="a" * 64, batches=1, chunks=1, characters=1)
REQUEST = EmbedRequest(
    document_id="d",
    generation="g1",
    plan_id="a" * 64,
    batch=0,
    name="n",
    chunks=(Chunk(ordinal=0, text="t", start=0, end=1),),
)


def record(state: GenerationState, *, plan: Plan | None = PLAN, **changes: Any) -> DocumentRecord:
    generation = Generation(
        generation="g1",
        version=1,
        state=state,
        name="n",
        sha256="b" * 64,
        size_bytes=1,
        submitted_at=NOW,
        updated_at=NOW,
        plan=plan,
    )
    return DocumentRecord(document_id="d", generations=(generation,), **changes)


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (record(GenerationState.PLANNED, pending_generation="g1"), Standing.CURRENT),
        (record(GenerationState.READY, visible_generation="g1"), Standing.FINISHED),
        (record(GenerationState.SUPERSEDED), Standing.VOID),
        (record(GenerationState.FAILED), Standing.VOID),
        (record(GenerationState.SUPERSEDED, deleted=True), Standing.VOID),
    ],
)
def test_a_batch_stands_as_its_generation_does(seen: DocumentRecord, expected: Standing) -> None:
    assert standing(REQUEST, seen) is expected


def test_a_batch_of_another_plan_is_foreign() -> None:
    other = REQUEST.model_copy(update={"plan_id": "c" * 64})
    assert standing(other, record(GenerationState.PLANNED, pending_generation="g1")) is Standing.FOREIGN


def test_a_generation_that_is_forgotten_is_void() -> None:
    other = REQUEST.model_copy(update={"generation": "g0"})
    assert standing(other, record(GenerationState.PLANNED, pending_generation="g1")) is Standing.VOID


@pytest.mark.parametrize("seen", [None, record(GenerationState.SUBMITTED, plan=None, pending_generation="g1")])
def test_what_the_ledger_does_not_say_yet_is_asked_again(seen: DocumentRecord | None) -> None:
    with pytest.raises(TransientError):
        standing(REQUEST, seen)
