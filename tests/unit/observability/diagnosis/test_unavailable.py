"""Services and instances that are not heard."""

from __future__ import annotations

from observability.diagnosis.causes import ServiceUnavailable
from tests.unit.observability.diagnosis.finding import found
from tests.unit.observability.diagnosis.recordings import Recording, from_s, healthy


def dead(*instances: str, since_s: float = 3560) -> Recording:
    made = healthy()
    lost: dict[str, int] = {}
    for instance in instances:
        service = instance.rpartition("-")[0]
        lost[service] = lost.get(service, 0) + 1
        made.beat("waggle_up", from_s(since_s, 1, 0), service=service, instance=instance)
    for service, count in lost.items():
        there = made.series[
            next(s for s in made.series if s.metric_name == "waggle_service_alive" and s["service"] == service)
        ]
        before = float(there[1][0])
        made.beat("waggle_service_alive", from_s(since_s, before, before - count), service=service)
    return made


def test_a_service_without_a_living_instance_is_named_once() -> None:
    (finding,) = found(ServiceUnavailable(), dead("retrieve-1", "retrieve-2"))

    assert (finding.subject.component, finding.subject.instance) == ("retrieve", "")
    assert finding.confidence > 0.9
    assert "and 2 should be" in finding.summary


def test_one_dead_instance_is_named_itself_and_surer_once_a_restart_would_be_over() -> None:
    (lasting,) = found(ServiceUnavailable(), dead("retrieve-2"))
    (fresh,) = found(ServiceUnavailable(), dead("retrieve-2", since_s=3590))

    assert lasting.subject.instance == fresh.subject.instance == "retrieve-2"
    assert fresh.confidence < lasting.confidence < 0.95


def test_many_that_are_silent_at_once_make_the_observer_suspect_itself() -> None:
    few = found(ServiceUnavailable(), dead("embed-1", "embed-2"))
    many = found(ServiceUnavailable(), dead("embed-1", "embed-2", "retrieve-1", "generate-1"))

    doubted = [finding for finding in many if finding.subject.component == "embed"]
    assert doubted[0].confidence < 0.6 * few[0].confidence


def test_what_was_stopped_in_order_is_not_missed() -> None:
    made = healthy()
    made.stop("waggle_up", at_s=3000, service="ingest")
    made.beat("waggle_service_alive", from_s(3000, 1, 0), service="ingest")
    made.beat("waggle_service_expected", from_s(3000, 1, 0), service="ingest")

    assert found(ServiceUnavailable(), made) == []


def test_what_is_expected_and_never_came_is_less_sure() -> None:
    made = healthy()
    made.stop("waggle_up", at_s=0, service="ingest")
    made.beat("waggle_service_alive", 0, service="ingest")

    (finding,) = found(ServiceUnavailable(), made)

    assert (finding.subject.component, finding.confidence) == ("ingest", 0.5)


def test_fewer_than_expected_are_still_there() -> None:
    made = healthy()
    made.beat("waggle_service_expected", 5, service="embed")

    assert found(ServiceUnavailable(), made) == []


def test_without_recent_judgements_nothing_is_said() -> None:
    made = dead("retrieve-1", "retrieve-2")
    assert found(ServiceUnavailable(), made, after_s=10) == []
    for name in ("waggle_up", "waggle_service_alive"):
        made.drop(name)
    assert found(ServiceUnavailable(), made) == [], "what is expected says not what there is"


def test_a_restart_that_is_over_is_none() -> None:
    made = healthy()
    made.beat("waggle_up", lambda t: 1.0 - ((t > 3500) & (t < 3560)), service="embed", instance="embed-1")
    made.beat("waggle_process_start_time_seconds", from_s(3560, -1e5, 3560), service="embed", instance="embed-1")

    assert found(ServiceUnavailable(), made) == []


def test_an_instance_that_says_that_it_finishes_nothing_is_named() -> None:
    made = healthy()
    made.beat("waggle_process_stuck", 0, service="embed", instance="embed-1")
    made.beat("waggle_process_stuck", from_s(3590, 0, 1), service="embed", instance="embed-2")

    (finding,) = found(ServiceUnavailable(), made)

    assert (finding.subject.service, finding.subject.instance) == ("embed", "embed-2")
    assert finding.confidence >= 0.6
    assert "finishes none" in finding.summary


def test_an_instance_that_was_stuck_and_is_silent_now_is_named_once() -> None:
    made = dead("embed-2")
    made.beat("waggle_process_stuck", 1, service="embed", instance="embed-2")

    (finding,) = found(ServiceUnavailable(), made)

    assert "missed three heartbeats" in finding.summary
