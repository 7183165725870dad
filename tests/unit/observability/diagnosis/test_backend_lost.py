"""Backends that are lost, to all or to one."""

from __future__ import annotations

from observability.diagnosis.causes import BackendConnectionLost
from tests.unit.observability.diagnosis.finding import found
from tests.unit.observability.diagnosis.recordings import BEAT_S, Recording, from_s, healthy

EVERYBODY = (("retrieve", "retrieve-1"), ("retrieve", "retrieve-2"), ("embed", "embed-1"), ("embed", "embed-2"))


def without(backend: str, who: tuple[tuple[str, str], ...] = EVERYBODY, *, since_s: float = 3500) -> Recording:
    made = healthy()
    for service, instance in who:
        made.beat("waggle_backend_up", from_s(since_s, 1, 0), service=service, instance=instance, backend=backend)
    return made


def test_a_backend_that_nobody_can_use_is_named_itself() -> None:
    (finding,) = found(BackendConnectionLost(), without("index"))

    assert (finding.subject.component, finding.subject.service, finding.subject.instance) == ("index", "", "")
    assert "embed, retrieve" in finding.summary
    assert finding.confidence > 0.85
    assert {each.labels["instance"] for each in finding.evidence} == {instance for _, instance in EVERYBODY}


def test_one_instance_that_misses_it_is_named_instead() -> None:
    (finding,) = found(BackendConnectionLost(), without("index", EVERYBODY[:1]))

    assert (finding.subject.component, finding.subject.instance) == ("retrieve", "retrieve-1")
    assert "index" in finding.summary


def test_whose_trouble_it_is_is_not_said_before_everybody_has_looked_again() -> None:
    """The first to notice that a backend is lost is not the only one who cannot use it."""
    assert found(BackendConnectionLost(), without("index", EVERYBODY[:1], since_s=3594)) == []
    assert found(BackendConnectionLost(), without("index", EVERYBODY[:1], since_s=3582))


def test_a_last_look_alone_is_less_sure_and_an_open_breaker_adds_to_it() -> None:
    lasting, short = without("index"), without("index", since_s=3590)
    opened = without("index", since_s=3590)
    for service, instance in EVERYBODY:
        who = {"service": service, "instance": instance, "waggle_backend": "index"}
        opened.gauge("waggle_breaker_state", 2.0, **who)

    by_look, by_breaker, by_time = (
        found(BackendConnectionLost(), made)[0].confidence for made in (short, opened, lasting)
    )

    assert by_look < by_breaker < by_time


def test_a_degraded_one_is_not_lost() -> None:
    made = healthy()
    for service, instance in EVERYBODY:
        made.beat("waggle_backend_up", 0.5, service=service, instance=instance, backend="index")

    assert found(BackendConnectionLost(), made) == []


def test_processes_that_start_are_left_out() -> None:
    made = without("index", EVERYBODY[:1])
    made.drop("waggle_process_state", instance="retrieve-1")
    made.beat("waggle_process_state", 1.0, service="retrieve", instance="retrieve-1", state="starting")

    assert found(BackendConnectionLost(), made) == []


def test_the_last_words_of_the_dead_and_old_looks_say_nothing() -> None:
    made = without("index")
    assert found(BackendConnectionLost(), made, after_s=10) == []
    for service, instance in EVERYBODY:
        made.beat("waggle_up", from_s(3595, 1, 0), service=service, instance=instance)
    assert found(BackendConnectionLost(), made) == []
    made.drop("waggle_backend_up")
    assert found(BackendConnectionLost(), made) == []


def test_after_a_restart_it_is_as_the_new_process_says() -> None:
    made = without("index", since_s=3300)
    for service, instance in EVERYBODY:
        who = {"service": service, "instance": instance}
        made.beat("waggle_backend_up", lambda t: ((t < 3300) | (t >= 3590)) * 1.0, **who, backend="index")
        made.beat("waggle_process_start_time_seconds", from_s(3590, -86_400, 3590), **who)

    assert found(BackendConnectionLost(), made) == []


def test_a_broker_that_does_not_answer_is_lost_too() -> None:
    made = healthy()
    made.gauge("waggle_broker_up", from_s(3580, 1, 0))

    (finding,) = found(BackendConnectionLost(), made)

    assert finding.subject.component == "broker"


def test_one_lost_heartbeat_does_not_hide_it() -> None:
    assert found(BackendConnectionLost(), without("index"), after_s=1.5 * BEAT_S)
