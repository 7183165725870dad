"""Backlogs that grow, and those that are worked off."""

from __future__ import annotations

import numpy as np
import pytest

from observability.diagnosis.causes import BacklogGrowing
from tests.unit.observability.diagnosis.finding import found
from tests.unit.observability.diagnosis.recordings import Course, Floats, Recording, healthy, work

EMBED = {"stream": "EMBED", "consumer": "embed"}


def waiting(course: Course, **names: str) -> Recording:
    made = healthy()
    made.gauge("waggle_consumer_pending", course, **(names or EMBED))
    return made


def grows(times: Floats) -> Floats:
    """Three more each second, since ten minutes ago."""
    more: Floats = np.floor(np.maximum(0, times - 3000) * 3)
    return more


def test_more_that_comes_than_gets_done_is_named_with_its_rates() -> None:
    (finding,) = found(BacklogGrowing(), waiting(lambda t: 2500 + grows(t)))

    assert (finding.subject.component, finding.subject.consumer) == ("embed", "embed")
    assert finding.confidence > 0.7
    depth, rise, done, drain = (each.value for each in finding.evidence)
    assert depth == 4300
    assert rise == pytest.approx(3, abs=0.1)
    assert done == pytest.approx(2, rel=0.1)
    assert drain == pytest.approx(4300 / 2, rel=0.1)
    assert "5 come, 2 get done" in finding.summary


def test_a_large_upload_that_is_worked_off_is_none() -> None:
    assert found(BacklogGrowing(), waiting(lambda t: 9000 - 2 * t)) == []


def test_an_upload_that_has_just_come_is_none() -> None:
    assert found(BacklogGrowing(), waiting(lambda t: np.where(t < 3540, 0, 5000))) == []


def test_what_is_soon_worked_off_is_none() -> None:
    assert found(BacklogGrowing(), waiting(lambda t: grows(t) / 2)) == []


def test_questions_may_wait_less_than_documents() -> None:
    def rising(times: Floats) -> Floats:
        return np.floor(np.maximum(0, times - 3000) / 2)

    questions = waiting(rising, stream="QUERY", consumer="retrieve")

    assert [each.subject.consumer for each in found(BacklogGrowing(), questions)] == ["retrieve"]
    assert found(BacklogGrowing(), waiting(rising)) == []


def test_the_canary_is_the_work_of_generate_by_its_name() -> None:
    made = waiting(grows, stream="GENERATE", consumer="generate-canary")

    (finding,) = found(BacklogGrowing(), made)

    assert finding.subject.component == "generate"
    assert "not known" in finding.summary


def test_without_a_rate_it_is_less_sure() -> None:
    made = waiting(lambda t: 2500 + grows(t))
    (known,) = found(BacklogGrowing(), made)
    made.drop("messaging_process_duration_seconds_count", messaging_consumer_group_name="embed")
    (unknown,) = found(BacklogGrowing(), made)

    assert 0 < unknown.confidence < known.confidence
    assert len(unknown.evidence) == 2


def test_old_and_missing_samples_say_nothing() -> None:
    made = waiting(lambda t: 2500 + grows(t))
    assert found(BacklogGrowing(), made, after_s=25) == []
    made.begin("waggle_consumer_pending", at_s=3400, **EMBED)
    assert found(BacklogGrowing(), made) == [], "200 s are too few"
    made.drop("waggle_consumer_pending")
    assert found(BacklogGrowing(), made) == []


def test_a_worker_that_restarts_does_not_look_like_one_that_does_nothing() -> None:
    made = waiting(lambda t: grows(t) / 2)
    for instance in ("embed-1", "embed-2"):
        work(made, "embed", instance, 1.0, 0.3, restarts_s=[3500])

    assert found(BacklogGrowing(), made) == []


def test_work_that_stands_still_is_surest() -> None:
    going = waiting(lambda t: 2500 + grows(t))
    standing = waiting(lambda t: 2500 + grows(t))
    for instance in ("embed-1", "embed-2"):
        work(standing, "embed", instance, 0.0, 0.3)

    (slow,), (none,) = (found(BacklogGrowing(), made) for made in (going, standing))

    assert none.confidence > slow.confidence
    assert "nothing gets done" in none.summary
