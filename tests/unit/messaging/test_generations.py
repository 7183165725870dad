"""The ledger's rules, one by one and under random histories."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from contracts.documents import TRANSITIONS, DocumentRecord, DocumentState, Failure, GenerationState, Plan
from contracts.errors import ErrorCode
from messaging import generations, succession
from messaging.generations import (
    HISTORY,
    READ_ON,
    RECORD_MAX_BYTES,
    IllegalTransitionError,
    Submission,
    SupersededError,
)

T0 = datetime(2026, 1, 1, tzinfo=UTC)
PLAN = Plan(plan_id="a" * 64, batches=2, chunks=3, characters=10)
OTHER_PLAN = PLAN.model_copy(update={"plan_id": "b" * 64})
BROKEN = Failure(code=ErrorCode.CORRUPT, message="broken")


def later(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def submission(generation: str, *, content: str = "0", metadata: dict[str, str] | None = None) -> Submission:
    return Submission(
        tenant="t",
        document_id="d",
        generation=generation,
        name="a.txt",
        sha256=content * 64,
        size_bytes=1,
        metadata=metadata or {},
    )


def first(generation: str = "g1") -> DocumentRecord:
    return generations.submitted(None, submission(generation), now=T0)


def plan(record: DocumentRecord, generation: str, plan: Plan = PLAN) -> DocumentRecord:
    return generations.planned(record, generation, plan=plan, media_type="text/plain", now=later(1))


def visible(generation: str = "g1") -> DocumentRecord:
    return generations.flipped(plan(first(generation), generation), generation, now=later(2))


def test_a_first_submission_is_pending_and_not_searchable() -> None:
    record = first()
    assert (record.pending_generation, record.searchable_generation, record.latest.version) == ("g1", None, 1)


def test_the_flip_makes_the_pending_generation_searchable() -> None:
    record = visible()
    assert (record.pending_generation, record.searchable_generation) == (None, "g1")
    assert record.state is DocumentState.READY


def test_a_new_submission_leaves_the_visible_generation_searchable_until_it_is_ready() -> None:
    record = generations.submitted(visible(), submission("g2"), now=later(3))
    assert record.searchable_generation == "g1"
    record = generations.flipped(plan(record, "g2"), "g2", now=later(4))
    assert record.searchable_generation == "g2"
    assert succession.replaced_by(record, "g2") == ("g1",)


def test_of_two_racing_submissions_the_later_wins_and_the_other_ends_superseded() -> None:
    record = generations.submitted(first("g1"), submission("g2"), now=later(1))
    with pytest.raises(SupersededError):
        plan(record, "g1")
    assert record.pending_generation == "g2"
    known = record.generation("g1")
    assert known is not None
    assert known.state is GenerationState.SUPERSEDED


def test_the_first_plan_recorded_stays() -> None:
    record = plan(first(), "g1")
    again = plan(record, "g1", OTHER_PLAN)
    assert again == record


def test_a_generation_without_a_plan_cannot_become_ready() -> None:
    with pytest.raises(IllegalTransitionError):
        generations.flipped(first(), "g1", now=later(1))


def test_a_failed_generation_cannot_become_ready() -> None:
    record = generations.failed(plan(first(), "g1"), "g1", failure=BROKEN, now=later(2))
    with pytest.raises(IllegalTransitionError):
        generations.flipped(record, "g1", now=later(3))


def test_a_failure_leaves_what_was_visible() -> None:
    record = generations.submitted(visible(), submission("g2"), now=later(3))
    record = generations.failed(record, "g2", failure=BROKEN, now=later(4))
    assert (record.searchable_generation, record.state) == ("g1", DocumentState.FAILED)


def test_a_late_failure_does_not_undo_success() -> None:
    record = visible()
    assert generations.failed(record, "g1", failure=BROKEN, now=later(9)) == record


def test_deleted_wins_over_a_flip_that_comes_later() -> None:
    record = generations.deleted(plan(first(), "g1"), now=later(2))
    with pytest.raises(SupersededError):
        generations.flipped(record, "g1", now=later(3))
    assert record.searchable_generation is None


def test_after_a_deletion_the_document_can_be_submitted_again_and_its_version_goes_on() -> None:
    record = generations.submitted(generations.deleted(visible(), now=later(3)), submission("g2"), now=later(4))
    assert (record.deleted, record.pending_generation, record.latest.version) == (False, "g2", 2)
    assert record.searchable_generation is None


@pytest.mark.parametrize("change", [{}, {"name": "b.txt"}, {"metadata": {"lang": "en"}}, {"sha256": "1" * 64}])
def test_only_the_same_content_name_and_metadata_is_the_same_run(change: dict[str, Any]) -> None:
    again = replace(submission("g2"), **change)
    assert (generations.same_run(visible(), again) is not None) == (not change)


def test_a_pending_submission_of_the_same_content_is_the_same_run() -> None:
    same = generations.same_run(first(), submission("g2"))
    assert same is not None
    assert same.generation == "g1"


def test_a_failed_submission_of_the_same_content_is_run_again() -> None:
    record = generations.failed(first(), "g1", failure=BROKEN, now=later(1))
    assert generations.same_run(record, submission("g2")) is None


def test_a_submission_supersedes_one_that_failed() -> None:
    record = generations.failed(first(), "g1", failure=BROKEN, now=later(1))
    record = generations.submitted(record, submission("g2"), now=later(2))
    assert [g.state for g in record.generations] == [GenerationState.SUPERSEDED, GenerationState.SUBMITTED]
    assert succession.superseded_by(record, "g2") == ("g1",)


def test_the_latest_submission_is_run_again_when_it_has_failed() -> None:
    failed = generations.failed(first(), "g1", failure=BROKEN, now=later(1))
    record = generations.run_again(failed, "g1", submission("g2"), now=later(2))
    assert (record.pending_generation, record.latest.version) == ("g2", 2)
    assert generations.run_again(record, "g1", submission("g2"), now=later(3)) == record


@pytest.mark.parametrize(
    "meanwhile",
    [
        lambda record: generations.deleted(record, now=later(2)),
        lambda record: generations.submitted(record, submission("g3"), now=later(2)),
    ],
    ids=["deleted", "submitted again"],
)
def test_a_failed_submission_is_not_run_again_over_what_came_after(meanwhile: Any) -> None:
    record = meanwhile(generations.failed(first(), "g1", failure=BROKEN, now=later(1)))
    with pytest.raises(SupersededError):
        generations.run_again(record, "g1", submission("g2"), now=later(4))


def test_what_has_become_ready_is_not_run_again() -> None:
    with pytest.raises(SupersededError):
        generations.run_again(visible(), "g1", submission("g2"), now=later(4))


def test_the_visible_content_submitted_against_another_pending_one_is_run_again() -> None:
    record = generations.submitted(visible(), submission("g2", content="1"), now=later(3))
    assert generations.same_run(record, submission("g3")) is None


def test_a_record_with_large_metadata_stays_below_the_brokers_message_limit() -> None:
    metadata = {f"key{i}": "\U0001f41d" * 1024 for i in range(32)}
    record: DocumentRecord | None = None
    for i in range(12):
        record = generations.submitted(record, submission(f"g{i}", metadata=metadata), now=later(i))
    assert record is not None
    assert len(record.model_dump_json().encode()) <= RECORD_MAX_BYTES


class AnyHistory(RuleBasedStateMachine):
    """Random workers and submitters, late and repeated, against one record."""

    def __init__(self) -> None:
        super().__init__()
        self.record: DocumentRecord = first("g0")
        self.known = ["g0"]
        self.now = T0

    @initialize()
    def begin(self) -> None:
        self.before = self.record

    def apply(self, after: DocumentRecord) -> None:
        self.before, self.record = self.record, after
        self._only_legal_moves()

    def tick(self) -> datetime:
        self.now += timedelta(seconds=60)
        return self.now

    @rule()
    def submit(self) -> None:
        generation = f"g{len(self.known)}"
        self.known.append(generation)
        version, pending = self.record.latest.version, self.record.pending_generation
        self.apply(generations.submitted(self.record, submission(generation), now=self.tick()))
        assert self.record.latest.version == version + 1
        assert self.record.pending_generation == generation
        assert not self.record.deleted
        replaced = self.record.generation(pending) if pending else None
        assert replaced is None or replaced.state is GenerationState.SUPERSEDED

    @rule(pick=st.integers(0, 10**6), which=st.sampled_from([PLAN, OTHER_PLAN]))
    def plan(self, pick: int, which: Plan) -> None:
        generation = self.known[pick % len(self.known)]
        try:
            after = generations.planned(self.record, generation, plan=which, media_type=None, now=self.tick())
        except SupersededError:
            assert generation != self.record.pending_generation
            return
        self.apply(after)
        assert generations.planned(after, generation, plan=which, media_type=None, now=self.tick()) == after

    @rule(pick=st.integers(0, 10**6))
    def flip(self, pick: int) -> None:
        generation, was_visible = self.known[pick % len(self.known)], self.record.visible_generation
        try:
            after = generations.flipped(self.record, generation, now=self.tick())
        except (SupersededError, IllegalTransitionError):
            return
        changed = after != self.record
        self.apply(after)
        assert self.record.searchable_generation == generation
        if changed:
            assert succession.replaced_by(after, generation) == ((was_visible,) if was_visible else ())
        assert generations.flipped(after, generation, now=self.tick()) == after

    @rule(pick=st.integers(0, 10**6))
    def fail(self, pick: int) -> None:
        generation = self.known[pick % len(self.known)]
        visible_before = self.record.searchable_generation
        self.apply(generations.failed(self.record, generation, failure=BROKEN, now=self.tick()))
        assert self.record.searchable_generation == visible_before
        assert self.record.pending_generation != generation

    @rule()
    def delete(self) -> None:
        self.apply(generations.deleted(self.record, now=self.tick()))
        assert self.record.searchable_generation is None
        assert self.record.state is DocumentState.DELETED
        assert generations.deleted(self.record, now=self.tick()) == self.record

    @invariant()
    def at_most_one_is_visible_and_it_is_ready(self) -> None:
        ready = [g.generation for g in self.record.generations if g.state is GenerationState.READY]
        assert ready == ([self.record.visible_generation] if self.record.visible_generation else [])

    @invariant()
    def only_the_pending_one_is_under_way(self) -> None:
        working = {GenerationState.SUBMITTED, GenerationState.PLANNED}
        under_way = [g.generation for g in self.record.generations if g.state in working]
        assert under_way == ([self.record.pending_generation] if self.record.pending_generation else [])

    @invariant()
    def history_is_bounded_and_ordered(self) -> None:
        versions = [g.version for g in self.record.generations]
        assert versions == sorted(set(versions))
        old = [g for g in self.record.generations if g.updated_at + READ_ON <= self.record.latest.submitted_at]
        assert len(old) <= HISTORY + 2

    @invariant()
    def it_can_be_read_back(self) -> None:
        assert DocumentRecord.model_validate_json(self.record.model_dump_json()) == self.record

    def _only_legal_moves(self) -> None:
        for old in self.before.generations:
            new = self.record.generation(old.generation)
            assert new is None or new.state is old.state or new.state in TRANSITIONS[old.state]


AnyHistory.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestAnyHistory = AnyHistory.TestCase
