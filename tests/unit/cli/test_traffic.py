"""Simulated traffic."""

from __future__ import annotations

import pytest

from cli.traffic.content import invent
from cli.traffic.tally import Tally, percentile


def test_the_same_seed_invents_the_same() -> None:
    assert invent(3, run="a", seed=1) == invent(3, run="a", seed=1)
    assert invent(3, run="a", seed=1).text != invent(3, run="a", seed=2).text


def test_runs_have_documents_of_their_own() -> None:
    assert invent(3, run="a", seed=1).document_id != invent(3, run="b", seed=1).document_id


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.95, 95), (0.99, 99), (1.0, 100)])
def test_a_percentile_is_a_value_that_occurred(share: float, value: int) -> None:
    assert percentile(list(range(1, 101)), share) == value


def test_only_good_requests_have_a_latency() -> None:
    tally = Tally()
    tally.add("question", "ok", 0.010)
    tally.add("question", "failed", 9.0)

    (row,) = tally.rows()

    assert (row.sent, row.p50_ms, row.p99_ms) == (2, 10.0, 10.0)
    assert row.outcomes == {"ok": 1, "failed": 1}


def test_being_told_to_come_back_is_no_failure() -> None:
    tally = Tally()
    tally.add("upload", "refused", 0.0)
    assert tally.failures() == 0

    tally.add("upload", "unreachable", 0.0)
    assert tally.failures() == 1


def test_without_a_good_request_there_is_no_latency() -> None:
    tally = Tally()
    tally.add("upload", "failed", 1.0)

    assert tally.rows()[0].p50_ms is None
