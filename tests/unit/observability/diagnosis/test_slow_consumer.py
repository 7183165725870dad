"""Consumers and instances that have become slow."""

from __future__ import annotations

from observability.diagnosis.causes import SlowConsumer
from tests.unit.observability.diagnosis.finding import found
from tests.unit.observability.diagnosis.recordings import Recording, from_s, healthy, work

EMBED = {"stream": "EMBED", "consumer": "embed"}


def slow(*instances: str, seconds: float = 3.0, waiting: float = 50.0) -> Recording:
    """Messages take longer on some instances since five minutes ago."""
    made = healthy()
    made.gauge("waggle_consumer_pending", from_s(3300, 0, waiting), **EMBED)
    for instance in instances:
        work(made, "embed", instance, 1.0, from_s(3280, 0.3, seconds))
    return made


def test_a_consumer_that_takes_several_times_as_long_as_before_is_named() -> None:
    (finding,) = found(SlowConsumer(), slow("embed-1", "embed-2"))

    assert (finding.subject.component, finding.subject.instance) == ("embed", "")
    assert finding.confidence > 0.8
    assert "takes 3 s, and took 0.3 s" in finding.summary


def test_one_instance_that_is_slower_than_the_others_is_named_itself() -> None:
    made = healthy()
    made.gauge("waggle_consumer_pending", 50.0, **EMBED)
    work(made, "embed", "embed-2", 1.0, 3.0)

    (finding,) = found(SlowConsumer(), made)

    assert (finding.subject.instance, finding.subject.consumer) == ("embed-2", "embed")
    assert "on others 0.3 s" in finding.summary


def test_twice_as_long_is_none() -> None:
    assert found(SlowConsumer(), slow("embed-1", "embed-2", seconds=0.6)) == []


def test_where_nothing_waits_nobody_minds() -> None:
    assert found(SlowConsumer(), slow("embed-1", "embed-2", waiting=0.0)) == []


def test_a_few_messages_are_none() -> None:
    made = slow()
    for instance in ("embed-1", "embed-2"):
        work(made, "embed", instance, 0.01, from_s(3280, 0.3, 3.0))

    assert found(SlowConsumer(), made) == []


def test_without_a_past_it_is_compared_with_nothing() -> None:
    made = slow("embed-1", "embed-2")
    for ending in ("bucket", "sum", "count"):
        made.begin(f"messaging_process_duration_seconds_{ending}", at_s=3200)

    assert found(SlowConsumer(), made) == []


def test_a_restart_changes_nothing() -> None:
    made = slow()
    for instance in ("embed-1", "embed-2"):
        work(made, "embed", instance, 1.0, 0.3, restarts_s=[3450])

    assert found(SlowConsumer(), made) == []


def test_old_data_says_nothing() -> None:
    assert found(SlowConsumer(), slow("embed-1", "embed-2"), after_s=25) == []
