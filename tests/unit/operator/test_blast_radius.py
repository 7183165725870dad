"""How much may be taken away within a window."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from contracts.diagnoses import RecommendedAction as Act
from contracts.recovery import RecoveryCommand
from tests.support.recovery import command
from workers.operator.blast_radius import WINDOW, Footprint, require_within_radius
from workers.operator.errors import RefusedError
from workers.operator.record import OperatorRecord

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)


def restart(name: str) -> RecoveryCommand:
    return command(Act.RESTART_SERVICE, name, name.partition("-")[0], now=NOW)


def fewer(service: str) -> RecoveryCommand:
    return command(Act.SCALE_DOWN, service, service, now=NOW, replicas=1)


def allowed(
    new: RecoveryCommand, *before: RecoveryCommand, of_service: int, of_all: int, taken: int = 1, ago=0.0
) -> bool:
    record = OperatorRecord(leases_made_at=NOW)
    for each in before:
        record = record.beginning(each, taken=1, at=NOW - timedelta(seconds=ago))
    footprint = Footprint(taken=taken, of_service=of_service, of_all=of_all)
    try:
        require_within_radius(new, footprint, record.begun, now=NOW)
    except RefusedError:
        return False
    return True


@pytest.mark.parametrize("running", [0, 1, 4, 9])
def test_the_first_one_is_always_allowed(running: int) -> None:
    assert allowed(restart("embed-1"), of_service=running, of_all=running)


@pytest.mark.parametrize(("running", "second"), [(2, False), (9, False), (10, True)])
def test_a_second_one_is_allowed_where_it_is_a_fifth(running: int, second: bool) -> None:
    assert allowed(restart("embed-2"), restart("embed-1"), of_service=running, of_all=100) is second


def test_another_service_counts_for_the_whole_fleet() -> None:
    assert not allowed(restart("ingest-1"), restart("embed-1"), of_service=3, of_all=9)
    assert allowed(restart("ingest-1"), restart("embed-1"), of_service=3, of_all=10)


def test_the_same_instance_again_is_no_other_one() -> None:
    assert allowed(restart("embed-1"), restart("embed-1"), of_service=2, of_all=2)
    assert allowed(restart("ingest-1"), restart("embed-1"), restart("embed-1"), of_service=2, of_all=10)


def test_a_service_that_is_scaled_down_again_loses_another_one() -> None:
    assert not allowed(fewer("embed"), fewer("embed"), of_service=3, of_all=100)


def test_several_at_once_are_counted_each() -> None:
    assert not allowed(fewer("embed"), of_service=10, of_all=100, taken=3)
    assert allowed(fewer("embed"), of_service=10, of_all=100, taken=2)


def test_what_is_over_is_forgotten() -> None:
    assert allowed(restart("embed-2"), restart("embed-1"), of_service=2, of_all=2, ago=WINDOW.total_seconds())


def test_what_takes_nothing_away_is_always_allowed() -> None:
    more = command(Act.SCALE_UP, "embed", "embed", now=NOW, replicas=3)

    assert allowed(more, restart("embed-1"), of_service=1, of_all=1, taken=0)
