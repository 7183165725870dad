"""Releases that fail beside others that do not."""

from __future__ import annotations

from observability.diagnosis.causes import BadRelease
from tests.unit.observability.diagnosis.finding import found
from tests.unit.observability.diagnosis.recordings import Course, Recording, from_s, healthy, process, work

NEW = {"service": "retrieve", "instance": "retrieve-3"}


def rolled_out(
    *, failing: Course, others_failing: Course = 0.0, version: str = "2", track: str = "stable", since_s: float = 3000
) -> Recording:
    """A third retrieve of another release, ten minutes old."""
    made = healthy()
    process(made, "retrieve", "retrieve-3", backends=("index", "encoder"), version=version, track=track)
    made.beat("waggle_process_start_time_seconds", since_s, **NEW)
    work(made, "retrieve", "retrieve-3", 2.0, 0.2)
    work(made, "retrieve", "retrieve-3", failing, 0.2, outcome="retried", error_type="retried")
    work(made, "retrieve", "retrieve-1", others_failing, 0.2, outcome="retried", error_type="retried")
    for name in {series.metric_name for series in made.series if series.get("instance") == "retrieve-3"}:
        made.begin(name, at_s=since_s, **NEW)
    return made


def test_a_version_that_fails_beside_one_that_does_not_is_named() -> None:
    (finding,) = found(BadRelease(), rolled_out(failing=0.6))

    assert (finding.subject.component, finding.subject.release) == ("retrieve", "2/stable")
    assert finding.confidence > 0.8
    assert "on others" in finding.summary


def test_a_canary_of_the_same_version_is_told_by_its_track() -> None:
    (finding,) = found(BadRelease(), rolled_out(failing=0.6, version="1", track="canary"))

    assert finding.subject.release == "1/canary"


def test_a_release_whose_neighbours_fail_as_well_is_none() -> None:
    assert found(BadRelease(), rolled_out(failing=0.6, others_failing=0.6)) == []


def test_the_older_release_failing_is_no_bad_release() -> None:
    assert found(BadRelease(), rolled_out(failing=0.0, others_failing=1.0)) == []


def test_a_few_failures_are_none() -> None:
    assert found(BadRelease(), rolled_out(failing=0.005)) == []


def test_one_release_alone_is_compared_with_nothing() -> None:
    made = healthy()
    for instance in ("retrieve-1", "retrieve-2"):
        work(made, "retrieve", instance, 1.0, 0.2, outcome="retried", error_type="retried")

    assert found(BadRelease(), made) == []


def test_failures_of_who_had_the_name_before_are_not_the_successors() -> None:
    made = rolled_out(failing=0.0, since_s=3400)
    work(made, "retrieve", "retrieve-3", from_s(3400, 2.0, 0.0), 0.2, outcome="retried", error_type="retried",
         restarts_s=[3400])  # fmt: skip
    work(made, "retrieve", "retrieve-3", 2.0, 0.2, restarts_s=[3400])

    assert found(BadRelease(), made) == []


def test_without_starts_it_is_less_sure() -> None:
    made = rolled_out(failing=0.6, track="canary")
    (known,) = found(BadRelease(), made)
    made.drop("waggle_process_start_time_seconds", service="retrieve")
    (unknown,) = found(BadRelease(), made)

    assert unknown.subject.release == "2/canary"
    assert 0 < unknown.confidence < 0.8 * known.confidence


def test_old_and_missing_data_say_nothing() -> None:
    made = rolled_out(failing=0.6)
    assert found(BadRelease(), made, after_s=25) == []
    made.drop("waggle_process_info", service="retrieve")
    assert found(BadRelease(), made) == []
