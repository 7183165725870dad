"""What the operator remembers of tokens and of what it began."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from contracts.diagnoses import RecommendedAction as Act
from contracts.recovery import RecoveryCommand
from tests.support.recovery import command
from workers.operator.errors import BegunError, Refusal, RefusedError
from workers.operator.record import MOST_REMEMBERED, OperatorRecord

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
FIRST = OperatorRecord(leases_made_at=NOW)


def order(token: int) -> RecoveryCommand:
    return command(Act.RESTART_SERVICE, "embed-1", "embed", now=NOW, token=token)


def test_the_same_token_and_a_newer_one_are_heeded() -> None:
    record = FIRST.heeding(order(5), NOW).heeding(order(5), NOW).heeding(order(6), NOW)

    assert record.token == 6


def test_an_older_token_is_refused() -> None:
    with pytest.raises(RefusedError, match="older than 5") as refused:
        FIRST.heeding(order(5), NOW).heeding(order(4), NOW)

    assert refused.value.refusal is Refusal.OLDER_TOKEN


def test_with_another_bucket_of_leases_tokens_begin_anew() -> None:
    later = NOW + timedelta(days=1)
    record = FIRST.heeding(order(5), NOW).heeding(order(1), later)

    assert (record.token, record.leases_made_at) == (1, later)


def test_a_command_that_was_begun_is_known() -> None:
    begun = order(5)
    record = OperatorRecord.from_bytes(FIRST.beginning(begun, taken=1, at=NOW).to_bytes())

    record.require_not_begun(order(5))
    with pytest.raises(BegunError):
        record.require_not_begun(begun)


def test_only_so_many_are_remembered() -> None:
    record = FIRST
    for _ in range(MOST_REMEMBERED + 1):
        record = record.beginning(order(5), taken=1, at=NOW)

    assert len(record.begun) == MOST_REMEMBERED
