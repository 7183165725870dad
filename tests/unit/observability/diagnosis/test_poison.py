"""Messages that come again and again, and many that do."""

from __future__ import annotations

from observability.diagnosis.causes import PoisonMessage
from tests.unit.observability.diagnosis.finding import found
from tests.unit.observability.diagnosis.recordings import Recording, from_s, healthy, work

INGEST = {"stream": "INGEST", "consumer": "ingest"}
WHO = {"service": "ingest", "instance": "ingest-1"}


def again(count: float = 1.0, *, since_s: float = 3300) -> Recording:
    made = healthy()
    made.gauge("waggle_consumer_redelivered", from_s(since_s, 0, count), **INGEST)
    return made


def crashing(made: Recording) -> Recording:
    """Its process was started anew twice."""
    made.beat("waggle_process_start_time_seconds", lambda t: -86_400 + 89_700.0 * (t > 3300) + 200 * (t > 3500), **WHO)
    return made


def exhausted(made: Recording, count: float = 1.0) -> Recording:
    """Deliveries ran out; the series is new with that."""
    made.gauge("waggle_advisories_total", count, kind="max_deliveries", **INGEST)
    made.begin("waggle_advisories_total", at_s=3400)
    return made


def test_a_message_that_comes_again_and_ends_its_workers_is_named() -> None:
    (finding,) = found(PoisonMessage(), crashing(again()))

    assert (finding.subject.component, finding.subject.consumer) == ("ingest", "ingest")
    assert 0.6 < finding.confidence < 0.8
    assert "while others are done" in finding.summary


def test_each_further_sign_makes_it_surer() -> None:
    two, three = crashing(again()), exhausted(crashing(again()))
    letter = exhausted(crashing(again()))
    work(letter, "ingest", "ingest-1", from_s(3500, 0, 0.02), 1.0, outcome="dead_lettered", error_type="dead_lettered")

    certainties = [found(PoisonMessage(), made)[0].confidence for made in (two, three, letter)]

    assert certainties == sorted(set(certainties))
    assert certainties[-1] > 0.9


def test_deliveries_that_ran_out_are_enough() -> None:
    (finding,) = found(PoisonMessage(), exhausted(healthy()))

    assert finding.subject.consumer == "ingest"


def test_a_message_that_is_only_slow_is_none() -> None:
    assert found(PoisonMessage(), again()) == []


def test_crashes_without_a_message_that_comes_again_are_none() -> None:
    assert found(PoisonMessage(), crashing(healthy())) == []


def test_many_that_come_again_are_another_trouble() -> None:
    assert found(PoisonMessage(), exhausted(crashing(again(40.0)))) == []


def test_who_dies_of_one_message_has_others_in_hand() -> None:
    """Many come again, few are given up, and workers die."""
    made = exhausted(crashing(again(20.0)))
    work(made, "ingest", "ingest-1", from_s(3500, 0, 0.02), 1.0, outcome="dead_lettered", error_type="dead_lettered")

    (finding,) = found(PoisonMessage(), made)

    assert finding.subject.consumer == "ingest"
    assert found(PoisonMessage(), crashing(again(20.0))) == []


def test_what_comes_again_beside_it_is_soon_done() -> None:
    made = healthy()
    made.gauge("waggle_consumer_redelivered", lambda t: (t > 3300) * (1.0 + 15 * (t % 30 == 0)), **INGEST)

    assert found(PoisonMessage(), made) == []
    (finding,) = found(PoisonMessage(), crashing(made))
    assert 0.6 < finding.confidence < 0.8


def test_what_came_again_once_and_is_done_is_none() -> None:
    made = crashing(healthy())
    made.gauge("waggle_consumer_redelivered", lambda t: ((t > 3480) & (t < 3520)) * 1.0, **INGEST)

    assert found(PoisonMessage(), made) == []


def test_it_is_less_sure_where_nothing_else_gets_done_either() -> None:
    others, nobody = crashing(again()), crashing(again())
    work(nobody, "ingest", "ingest-1", 0.0, 1.0)

    (sure,), (unsure,) = (found(PoisonMessage(), made) for made in (others, nobody))

    assert unsure.confidence <= 0.5 * sure.confidence


def test_old_and_missing_signs_say_nothing() -> None:
    made = crashing(again())
    assert found(PoisonMessage(), made, after_s=25) == []
    made.drop("waggle_consumer_redelivered", **INGEST)
    assert found(PoisonMessage(), made) == []


def test_an_observer_that_began_anew_does_not_count_old_ends_again() -> None:
    made = healthy()
    made.gauge("waggle_advisories_total", 3.0, kind="max_deliveries", **INGEST)

    assert found(PoisonMessage(), made) == [], "all of them were long ago"
