"""High error rate, its commonest code and whose it is."""

from __future__ import annotations

import pytest

from observability.diagnosis.causes import HighErrorRate
from tests.unit.observability.diagnosis.finding import found
from tests.unit.observability.diagnosis.recordings import Recording, from_s, healthy

FROM_S = 3600 - 300


def failing(rate: float, code: str = "retrieval_failed") -> Recording:
    made = healthy()
    made.counter("waggle_queries_total", from_s(FROM_S, 0.0, rate), outcome="failed")
    made.counter("waggle_query_failures_total", from_s(FROM_S, 0.0, rate), code=code)
    return made


@pytest.mark.parametrize(
    ("code", "component"),
    [("retrieval_failed", "retrieve"), ("generation_failed", "generate"), ("internal_error", "gateway")],
)
def test_the_commonest_code_tells_whose_it_is(code: str, component: str) -> None:
    (finding,) = found(HighErrorRate(), failing(2.0, code))

    assert finding.subject.component == component
    assert code in finding.summary
    assert finding.confidence > 0.8
    share = finding.evidence[0]
    assert share.value == pytest.approx(2 / 7, abs=0.01)
    assert share.threshold == 0.05


def test_a_backend_that_is_not_well_is_told() -> None:
    made = failing(2.0)
    made.beat("waggle_backend_up", 0.0, service="retrieve", instance="retrieve-2", backend="index")

    (finding,) = found(HighErrorRate(), made)

    assert "not well: index" in finding.summary
    assert any(each.labels.get("backend") == "index" for each in finding.evidence)


def test_a_code_that_is_new_counts_with_its_first_failures() -> None:
    made = failing(2.0)
    made.begin("waggle_query_failures_total", at_s=3500, code="retrieval_failed")

    (finding,) = found(HighErrorRate(), made)

    assert finding.subject.component == "retrieve"


def test_four_percent_are_not_named() -> None:
    assert found(HighErrorRate(), failing(0.2)) == []


def test_two_failures_of_a_quiet_night_are_not_named() -> None:
    made = failing(0.006)
    made.counter("waggle_queries_total", 0.02, outcome="answered")
    made.counter("waggle_queries_total", 0.0, outcome="no_answer")

    assert found(HighErrorRate(), made) == []


def test_without_codes_it_is_less_sure_and_may_be_anywhere() -> None:
    made = failing(2.0)
    (known,) = found(HighErrorRate(), made)
    made.drop("waggle_query_failures_total")

    (unknown,) = found(HighErrorRate(), made)

    assert 0 < unknown.confidence < 0.8 * known.confidence
    assert (unknown.subject.component, "generate" in unknown.through) == ("gateway", True)


def test_old_and_missing_data_say_nothing() -> None:
    made = failing(2.0)
    assert found(HighErrorRate(), made, after_s=25) == []
    made.drop("waggle_queries_total")
    assert found(HighErrorRate(), made) == []


def test_an_observer_that_began_anew_changes_nothing() -> None:
    made = healthy()
    for outcome, rate in {"answered": 4.9, "no_answer": 0.1, "failed": 0.002}.items():
        made.counter("waggle_queries_total", rate, [3450], outcome=outcome)
    assert found(HighErrorRate(), made) == []

    broken = failing(2.0)
    broken.counter("waggle_queries_total", from_s(FROM_S, 0.0, 2.0), [3450], outcome="failed")
    broken.counter("waggle_queries_total", 4.9, [3450], outcome="answered")
    assert [finding.subject.component for finding in found(HighErrorRate(), broken)] == ["retrieve"]
