"""What a record of a backup begins as: nothing is said to be searchable that is not, and nothing else is changed."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from contracts.documents import DocumentRecord, Failure, GenerationState, Plan
from contracts.errors import ErrorCode
from messaging import generations
from messaging.backup.rebuilding import Rebuilding, rebuilding
from messaging.generations import Submission

THEN = datetime(2026, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 2, 1, tzinfo=UTC)
PLAN = Plan(plan_id="a" * 64, batches=1, chunks=1, characters=1)
FAILURE = Failure(code=ErrorCode.CORRUPT, message="It is torn.")


def history(*ends: str) -> DocumentRecord:
    """A document whose submissions ended like this, one after another: ready, failed, planned, submitted or deleted."""
    record: DocumentRecord | None = None
    for number, end in enumerate(ends, 1):
        if end == "deleted":
            assert record is not None
            record = generations.deleted(record, now=THEN)
            continue
        name = f"g{number}"
        submission = Submission(
            tenant="t", document_id="d", generation=name, name="n", sha256=f"{number}" * 64, size_bytes=1
        )
        record = generations.submitted(record, submission, now=THEN)
        if end in {"planned", "ready"}:
            record = generations.planned(record, name, plan=PLAN, media_type="text/plain", now=THEN)
        if end == "ready":
            record = generations.flipped(record, name, now=THEN)
        if end == "failed":
            record = generations.failed(record, name, failure=FAILURE, now=THEN)
    assert record is not None
    return record


def begun(*ends: str, restore_id: str = "r") -> Rebuilding:
    return rebuilding(history(*ends), restore_id=restore_id, now=NOW)


@pytest.mark.parametrize(
    "ends", [("ready",), ("planned",), ("submitted",), ("ready", "ready"), ("failed", "submitted")]
)
def test_what_was_seen_or_on_its_way_is_pending_anew(ends: tuple[str, ...]) -> None:
    old, new = history(*ends), begun(*ends)
    assert new.record.visible_generation is None
    assert new.pending == new.record.latest
    assert new.held_back is None
    assert new.renamed == old.latest.generation != new.record.latest.generation
    assert new.record.latest == old.latest.model_copy(
        update={
            "generation": new.record.pending_generation,
            "state": GenerationState.SUBMITTED,
            "plan": None,
            "updated_at": NOW,
        }
    )
    assert new.record.generations[:-1] == old.generations[:-1]


def test_a_failure_on_top_stays_and_what_is_below_is_pending() -> None:
    old, new = history("ready", "failed"), begun("ready", "failed")
    assert new.record.latest == old.latest
    assert new.pending == new.record.generations[0]
    assert new.stored_as("g1") == new.record.pending_generation
    assert new.stored_as("g2") == "g2"


@pytest.mark.parametrize("last", ["submitted", "planned"])
def test_what_was_on_its_way_on_top_of_a_searchable_one_waits_for_that(last: str) -> None:
    new = begun("ready", last)
    assert new.held_back == history("ready", last).latest
    assert [g.version for g in new.record.generations] == [1]
    assert new.stored_as("g2") is None


@pytest.mark.parametrize("ends", [("failed",), ("ready", "deleted"), ("submitted", "deleted"), ("failed", "deleted")])
def test_what_has_ended_otherwise_is_left_as_it_is(ends: tuple[str, ...]) -> None:
    assert begun(*ends) == Rebuilding(record=history(*ends))


def test_names_are_the_same_each_time_and_others_in_another_restore() -> None:
    assert begun("ready") == begun("ready")
    assert begun("ready").record.pending_generation != begun("ready", restore_id="other").record.pending_generation
