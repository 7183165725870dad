"""High response time, and the stage that owns it."""

from __future__ import annotations

import pytest

from observability.diagnosis.causes import HighResponseTime
from tests.unit.observability.diagnosis.finding import found
from tests.unit.observability.diagnosis.recordings import STAGES, Recording, from_s, healthy

SLOW_FROM_S = 3600 - 360


def slow(stage: str, seconds: float, *, whole: float) -> Recording:
    """One stage takes longer since six minutes ago, and with it the question."""
    made = healthy()
    service, usual = STAGES[stage]
    who = {"service": service, "instance": f"{service}-1", "waggle_stage": stage}
    made.histogram("waggle_query_stage_duration_seconds", 5.0, from_s(SLOW_FROM_S, usual, seconds), **who)
    made.histogram("waggle_query_duration_seconds", 5.0, from_s(SLOW_FROM_S, 1.1, whole))
    return made


@pytest.mark.parametrize(("stage", "service"), [("search", "retrieve"), ("generate", "generate")])
def test_the_stage_that_became_slower_owns_the_time(stage: str, service: str) -> None:
    (finding,) = found(HighResponseTime(), slow(stage, 8.0, whole=9.0))

    assert (finding.subject.component, finding.subject.service) == (service, service)
    assert stage in finding.summary
    assert finding.confidence > 0.8
    p95 = finding.evidence[0]
    assert p95.value is not None
    assert (p95.value > 5, p95.threshold, p95.unit) == (True, 5.0, "s")


def test_a_stage_that_always_takes_most_is_not_taken_for_the_one_that_became_slower() -> None:
    made = slow("search", 4.0, whole=7.0)
    who = {"service": "generate", "instance": "generate-1", "waggle_stage": "generate"}
    made.histogram("waggle_query_stage_duration_seconds", 5.0, 4.5, **who)

    (finding,) = found(HighResponseTime(), made)

    assert finding.subject.service == "retrieve"


def test_time_between_the_stages_is_nobodys_stage() -> None:
    made = healthy()
    made.histogram("waggle_query_duration_seconds", 5.0, from_s(SLOW_FROM_S, 1.1, 9.0))

    (finding,) = found(HighResponseTime(), made)

    assert (finding.subject.component, finding.subject.service) == ("gateway", "")
    assert "between the stages" in finding.summary
    assert "retrieve" in finding.through


def test_time_between_the_stages_is_of_the_service_that_is_waited_for() -> None:
    made = healthy()
    made.histogram("waggle_query_duration_seconds", 5.0, from_s(SLOW_FROM_S, 1.1, 9.0))
    made.gauge("waggle_consumer_pending", from_s(SLOW_FROM_S, 0.0, 40.0), stream="QUERY", consumer="retrieve")
    made.gauge("waggle_consumer_pending", 900.0, stream="EMBED", consumer="embed")

    (finding,) = found(HighResponseTime(), made)

    assert (finding.subject.component, finding.subject.service) == ("retrieve", "retrieve")
    assert "waiting for retrieve, as 40 do now" in finding.summary


def test_what_was_slow_until_a_minute_ago_is_over() -> None:
    over_s = 3600 - 80
    made = healthy()
    made.histogram(
        "waggle_query_duration_seconds",
        5.0,
        lambda times: from_s(SLOW_FROM_S, 1.1, 9.0)(times) * (times < over_s) + 1.1,
    )

    assert found(HighResponseTime(), made) == []


def test_four_seconds_are_not_named() -> None:
    assert found(HighResponseTime(), slow("search", 3.0, whole=4.0)) == []


def test_a_few_questions_are_not_named() -> None:
    made = slow("search", 8.0, whole=9.0)
    made.histogram("waggle_query_duration_seconds", 0.02, 9.0)

    assert found(HighResponseTime(), made) == []


def test_without_stages_it_is_less_sure_and_blames_none() -> None:
    made = slow("search", 8.0, whole=9.0)
    (known,) = found(HighResponseTime(), made)
    for ending in ("bucket", "sum", "count"):
        made.drop(f"waggle_query_stage_duration_seconds_{ending}")

    (unknown,) = found(HighResponseTime(), made)

    assert unknown.subject.service == ""
    assert 0 < unknown.confidence < 0.8 * known.confidence


def test_what_is_older_than_two_intervals_is_no_evidence() -> None:
    made = slow("search", 8.0, whole=9.0)

    assert found(HighResponseTime(), made, after_s=15)
    assert found(HighResponseTime(), made, after_s=25) == []


def test_counters_that_begin_anew_change_nothing() -> None:
    made = healthy()
    made.histogram("waggle_query_duration_seconds", 5.0, 1.1, [3400])
    assert found(HighResponseTime(), made) == []

    slower = slow("search", 8.0, whole=9.0)
    slower.histogram("waggle_query_duration_seconds", 5.0, from_s(SLOW_FROM_S, 1.1, 9.0), [3500])
    assert [finding.subject.service for finding in found(HighResponseTime(), slower)] == ["retrieve"]
