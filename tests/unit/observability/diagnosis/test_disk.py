"""Filesystems that fill, and those that only hold much."""

from __future__ import annotations

import numpy as np
import pytest

from observability.diagnosis.causes import DiskFilling
from tests.unit.observability.diagnosis.finding import found
from tests.unit.observability.diagnosis.recordings import Course, Floats, Recording, filesystem, healthy


def used(course: Course) -> Recording:
    made = healthy()
    filesystem(made, "keeper-1", course)
    return made


def fills(times: Floats) -> Floats:
    """From 70 to 80 % within the hour: full in two more."""
    return 0.7 + 0.1 * times / 3600


def test_it_says_when_it_will_be_full() -> None:
    (finding,) = found(DiskFilling(), used(fills))

    assert (finding.subject.component, finding.subject.host) == ("disk", "north")
    assert finding.evidence[1].value == pytest.approx(7200, rel=0.02)
    assert "will be full in 2.0 h" in finding.summary
    assert finding.confidence > 0.8


def test_a_full_one_is_named_whatever_its_pace() -> None:
    (finding,) = found(DiskFilling(), used(0.98))

    assert finding.confidence == pytest.approx(0.8)
    assert len(finding.evidence) == 1


def test_what_fills_slowly_is_none() -> None:
    assert found(DiskFilling(), used(lambda t: 0.7 + 0.05 * t / 3600)) == []


def test_one_large_file_is_none() -> None:
    assert found(DiskFilling(), used(lambda t: np.where(t < 2400, 0.6, 0.85))) == []


def test_a_nearly_empty_one_is_none() -> None:
    assert found(DiskFilling(), used(lambda t: 0.1 + 0.35 * t / 3600)) == []


def test_what_is_emptied_again_is_none() -> None:
    assert found(DiskFilling(), used(lambda t: 0.6 + 0.2 * (t % 900) / 900)) == []


def test_who_tells_of_the_host_may_change() -> None:
    made = used(fills)
    made.stop("system_filesystem_utilization", at_s=3000)
    filesystem(made, "embed-1", fills)
    made.begin("system_filesystem_utilization", at_s=3000, instance="embed-1")

    (finding,) = found(DiskFilling(), made)

    assert finding.evidence[1].value == pytest.approx(7200, rel=0.05)


def test_the_storage_of_the_broker_is_looked_at_too() -> None:
    made = healthy()
    made.gauge("waggle_broker_storage_limit_bytes", 1000.0)
    made.gauge("waggle_broker_storage_bytes", lambda t: 700 + 0.05 * t)

    (finding,) = found(DiskFilling(), made)

    assert (finding.subject.component, finding.subject.host) == ("broker", "")


def test_old_few_and_missing_samples_say_nothing() -> None:
    made = used(fills)
    assert found(DiskFilling(), made, after_s=25) == []
    made.begin("system_filesystem_utilization", at_s=2700)
    assert found(DiskFilling(), made) == []
    made.drop("waggle_process_info")
    assert found(DiskFilling(), made) == [], "of a host whose name nobody knows"
