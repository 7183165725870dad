"""Deliveries that fail where nobody waits for an answer, and whose they are."""

from __future__ import annotations

import pytest

from observability.diagnosis.causes import FailingWork, PoisonMessage
from tests.unit.observability.diagnosis.finding import found
from tests.unit.observability.diagnosis.recordings import Recording, from_s, healthy, work

FROM_S = 3600 - 120


def failing(consumer: str = "embed", *, rate: float = 4.0, again: float = 60.0, outcome: str = "retried") -> Recording:
    """Of 2 embed messages a second, so many more fail since a while ago."""
    made = healthy()
    service = {"embed": "embed", "purge": "embed", "ingest": "ingest", "retrieve": "retrieve"}[consumer]
    stream = {"ingest": "INGEST", "retrieve": "QUERY"}.get(consumer, "EMBED")
    course = from_s(FROM_S, 0.0, rate)
    work(made, consumer, f"{service}-1", course, 0.1, outcome=outcome, error_type=outcome)
    made.gauge("waggle_consumer_redelivered", from_s(FROM_S, 0.0, again), stream=stream, consumer=consumer)
    return made


@pytest.mark.parametrize(("consumer", "service"), [("embed", "embed"), ("purge", "embed"), ("ingest", "ingest")])
def test_the_consumer_and_its_service_are_named(consumer: str, service: str) -> None:
    (finding,) = found(FailingWork(), failing(consumer))

    assert (finding.subject.component, finding.subject.consumer) == (service, consumer)
    assert consumer in finding.summary
    assert finding.confidence > 0.8


def test_a_backend_that_is_not_well_is_told() -> None:
    made = failing()
    made.beat("waggle_backend_up", 0.0, service="embed", instance="embed-2", backend="encoder")

    (finding,) = found(FailingWork(), made)

    assert "not well: encoder" in finding.summary


def test_a_series_that_is_new_counts() -> None:
    made = failing()
    made.begin("messaging_process_duration_seconds_count", at_s=FROM_S, waggle_outcome="retried")

    assert [each.subject.consumer for each in found(FailingWork(), made)] == ["embed"]


def test_one_message_that_fails_again_and_again_is_poison_not_this() -> None:
    made = failing(rate=1.0, again=1.0)

    assert found(FailingWork(), made) == []


def test_bad_documents_that_are_given_up_at_once_are_not_this() -> None:
    assert found(FailingWork(), failing("ingest", again=0.0, outcome="dead_lettered")) == []


def test_messages_that_come_again_because_it_is_too_early_for_them_are_not_this() -> None:
    made = healthy()
    work(made, "purge", "embed-1", from_s(FROM_S, 0.0, 4.0), 0.1, outcome="postponed")
    made.gauge("waggle_consumer_redelivered", 60.0, stream="EMBED", consumer="purge")

    assert found(FailingWork(), made) == []


def test_many_that_are_in_hand_for_a_long_time_are_not_this() -> None:
    made = healthy()
    made.gauge("waggle_consumer_redelivered", 60.0, stream="EMBED", consumer="embed")

    assert found(FailingWork(), made) == []


def test_questions_are_judged_by_their_ends() -> None:
    assert found(FailingWork(), failing("retrieve")) == []


def test_four_percent_are_not_named() -> None:
    assert found(FailingWork(), failing(rate=0.08)) == []


def test_it_is_over_two_minutes_after_the_last_failure() -> None:
    made = healthy()
    work(
        made,
        "embed",
        "embed-1",
        lambda t: 4.0 * ((t > 3000) & (t < 3460)),
        0.1,
        outcome="retried",
        error_type="retried",
    )
    made.gauge("waggle_consumer_redelivered", from_s(3000, 0.0, 60.0), stream="EMBED", consumer="embed")

    assert found(FailingWork(), made) == []


def test_old_and_missing_data_say_nothing() -> None:
    assert found(FailingWork(), failing(), after_s=25) == []
    made = failing()
    made.drop("waggle_consumer_redelivered")
    assert found(FailingWork(), made) == []


def test_it_is_no_poison() -> None:
    made = failing()
    assert found(PoisonMessage(), made) == []
