"""Which rows are over, by what the ledger says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from contracts.documents import DocumentRecord, Failure, Plan
from messaging import generations
from messaging.generations import Submission
from messaging.ledger import Unreadable
from workers.reindexing.standing import Known, is_current, is_over, planned

THEN = datetime(2026, 1, 1, tzinfo=UTC)
KEPT = timedelta(seconds=60)
PLAN = Plan(plan_id="a" * 64, batches=1, chunks=3, characters=10)


def submitted(record: DocumentRecord | None, generation: str) -> DocumentRecord:
    handed_in = Submission(
        tenant="t", document_id="d", generation=generation, name="d", sha256=generation[-1] * 64, size_bytes=1
    )
    planned = generations.submitted(record, handed_in, now=THEN)
    return generations.planned(planned, generation, plan=PLAN, media_type=None, now=THEN)


ONE = generations.flipped(submitted(None, "g1"), "g1", now=THEN)
PENDING = submitted(ONE, "g2")
TWO = generations.flipped(PENDING, "g2", now=THEN)
FAILED = generations.failed(PENDING, "g2", failure=Failure(code="internal_error", message="It broke."), now=THEN)
DELETED = generations.deleted(TWO, now=THEN)


@pytest.mark.parametrize(
    ("record", "generation", "current", "over_at_once", "over_later"),
    [
        (ONE, "g1", True, False, False),
        (PENDING, "g1", True, False, False),
        (PENDING, "g2", True, False, False),
        (TWO, "g1", False, False, True),
        (TWO, "g2", True, False, False),
        (FAILED, "g1", True, False, False),
        (FAILED, "g2", False, True, True),
        (DELETED, "g1", False, True, True),
        (DELETED, "g2", False, True, True),
        (DELETED, "forgotten", False, True, True),
        (TWO, "forgotten", False, False, True),
        (None, "g1", False, False, False),
        (Unreadable(tenant="t", document_id="d", reason="newer"), "g1", False, False, False),
    ],
)
def test_only_what_the_ledger_says_is_over_is_over(
    record: Known, generation: str, current: bool, over_at_once: bool, over_later: bool
) -> None:
    assert is_current(record, generation) is current
    assert is_over(record, generation, now=THEN, kept=KEPT) is over_at_once
    assert is_over(record, generation, now=THEN + KEPT, kept=KEPT) is over_later


def test_how_many_rows_are_planned_is_known_from_the_plan() -> None:
    assert (planned(ONE, "g1"), planned(ONE, "g9"), planned(None, "g1")) == (3, None, None)
