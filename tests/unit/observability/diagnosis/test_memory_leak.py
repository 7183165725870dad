"""Memory leaks, and what looks like one."""

from __future__ import annotations

import numpy as np
import pytest

from observability.diagnosis.causes import MemoryLeak
from tests.unit.observability.diagnosis.finding import found
from tests.unit.observability.diagnosis.recordings import MIB, Course, Floats, Recording, healthy

WHO = {"service": "embed", "instance": "embed-1"}


def taking(course: Course, *, minutes: float = 60) -> Recording:
    made = healthy(minutes=minutes)
    made.gauge("process_memory_usage_bytes", course, **WHO)
    return made


def leak(times: Floats) -> Floats:
    """5 MiB each minute, on a saw of 20 MiB."""
    return (400 + times / 12 + (times % 60) / 3) * MIB


def test_a_process_that_grows_for_an_hour_is_named_with_its_pace() -> None:
    (finding,) = found(MemoryLeak(), taking(leak))

    assert (finding.subject.service, finding.subject.instance) == ("embed", "embed-1")
    assert finding.confidence > 0.7
    growth = finding.evidence[0]
    assert growth.value == pytest.approx(300 * MIB, rel=0.1)


def test_what_fills_and_is_full_is_none() -> None:
    assert found(MemoryLeak(), taking(lambda t: (400 + 300 * np.minimum(t / 1800, 1)) * MIB)) == []


def test_one_step_is_none() -> None:
    assert found(MemoryLeak(), taking(lambda t: np.where(t < 1800, 400, 700) * MIB)) == []


def test_a_saw_is_none() -> None:
    assert found(MemoryLeak(), taking(lambda t: (400 + 200 * (t % 900) / 900) * MIB)) == []


def test_a_little_growth_is_none() -> None:
    assert found(MemoryLeak(), taking(lambda t: (400 + t / 200) * MIB)) == []


def test_the_warm_up_of_a_process_is_none() -> None:
    old, young = taking(leak, minutes=38), taking(leak, minutes=38)
    young.gauge("process_uptime_seconds", lambda t: t, **WHO)

    assert len(found(MemoryLeak(), old)) == 1
    assert found(MemoryLeak(), young) == [], "28 minutes after its warm-up"


def test_a_restart_begins_anew() -> None:
    def twice(times: Floats) -> Floats:
        return np.where(times < 3000, leak(times), leak(times - 3000))

    restarted = taking(twice)
    restarted.gauge("process_uptime_seconds", lambda t: np.where(t < 3000, t + 86_400, t - 3000), **WHO)

    assert found(MemoryLeak(), restarted) == []


def test_growth_before_a_restart_is_not_its_successors() -> None:
    restarted = taking(lambda t: np.where(t < 1000, 400 + t / 2, 900) * MIB)
    restarted.gauge("process_uptime_seconds", lambda t: np.where(t < 1000, t + 86_400, t - 1000), **WHO)

    assert found(MemoryLeak(), restarted) == []


def test_without_its_uptime_it_is_less_sure_and_what_fell_began_anew() -> None:
    made = taking(leak)
    (known,) = found(MemoryLeak(), made)
    made.drop("process_uptime_seconds", **WHO)
    (unknown,) = found(MemoryLeak(), made)
    assert 0 < unknown.confidence < 0.8 * known.confidence

    fallen = taking(lambda t: np.where(t < 2400, 2000 * MIB, leak(t - 2400)))
    fallen.drop("process_uptime_seconds", **WHO)
    assert found(MemoryLeak(), fallen) == []


def test_few_and_old_samples_say_nothing() -> None:
    made = taking(leak)
    assert found(MemoryLeak(), made, after_s=25) == []
    made.begin("process_memory_usage_bytes", at_s=2700, **WHO)
    assert found(MemoryLeak(), made) == []


def test_one_sample_each_minute_is_enough() -> None:
    made = taking(leak)
    made.gauge("process_uptime_seconds", lambda t: t + 86_400, 60, **WHO)
    made.gauge("process_memory_usage_bytes", leak, 60, **WHO)

    assert len(found(MemoryLeak(), made, rolled_up=True)) == 1
