"""A worker is stuck when it has work and finishes none for longer than anything may take; never otherwise."""

from __future__ import annotations

import pytest

from contracts.health import CheckStatus
from messaging.activity import Activity
from messaging.progress import Progress
from tests.support.clocks import Clock

LIMIT_S = 100.0


class Worker:
    """A worker whose time passes by hand."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.activity = Activity(monotonic=self.clock)
        self.paused = False
        self.progress = Progress(self.activity, limit_s=LIMIT_S, paused=lambda: self.paused, monotonic=self.clock)

    def pass_(self, seconds: float, *, waiting: int = 0) -> None:
        for _ in range(int(seconds // 10)):
            self.clock.now += 10
            self.progress.looked(waiting)

    def is_stuck(self) -> bool:
        return self.progress.check().status is CheckStatus.FAILING


@pytest.fixture
def worker() -> Worker:
    return Worker()


def test_one_whose_handler_never_returns_is_stuck_and_says_for_how_long(worker: Worker) -> None:
    worker.activity.begin("a")
    worker.pass_(100)
    assert not worker.is_stuck()
    worker.pass_(10)
    assert worker.is_stuck()
    assert worker.progress.check().detail == (
        "a message has been worked on for 110 s, and nothing was finished for 100 s"
    )
    worker.activity.end("a")
    assert not worker.is_stuck()


def test_one_that_hangs_after_a_long_idle_time_is_stuck_no_sooner(worker: Worker) -> None:
    worker.activity.begin("a")
    worker.activity.end("a")
    worker.pass_(5000)
    worker.activity.begin("b")
    worker.pass_(100)
    assert not worker.is_stuck()
    worker.pass_(10)
    assert worker.is_stuck()


def test_one_that_is_slow_is_not(worker: Worker) -> None:
    for number in range(50):
        worker.activity.begin(str(number))
        worker.pass_(90, waiting=1000)
        assert not worker.is_stuck()
        worker.activity.end(str(number))


def test_one_message_that_takes_long_beside_others_that_are_finished_is_no_reason(worker: Worker) -> None:
    worker.activity.begin("long")
    for number in range(50):
        worker.activity.begin(str(number))
        worker.pass_(50)
        worker.activity.end(str(number))
        assert not worker.is_stuck()
    worker.pass_(110)
    assert worker.is_stuck(), "and now nothing is finished any more"


def test_a_handler_that_says_that_it_gets_on_is_not(worker: Worker) -> None:
    worker.activity.begin("a")
    for _ in range(50):
        worker.pass_(90)
        worker.activity.get_on()
        assert not worker.is_stuck()
    worker.pass_(110)
    assert worker.is_stuck()


def test_what_is_held_is_not_worked_on(worker: Worker) -> None:
    worker.activity.begin("a")
    worker.pass_(90)
    with worker.activity.on_hold("a"):
        worker.pass_(5000)
        assert not worker.is_stuck()
    worker.pass_(90)
    assert not worker.is_stuck()
    worker.pass_(20)
    assert worker.is_stuck()


def test_one_that_is_idle_is_not(worker: Worker) -> None:
    worker.pass_(5000)
    assert not worker.is_stuck()


def test_one_that_is_paused_is_not_until_it_goes_on(worker: Worker) -> None:
    worker.paused = True
    worker.activity.begin("a")
    worker.pass_(5000, waiting=10)
    assert not worker.is_stuck()
    worker.activity.end("a")
    worker.pass_(5000, waiting=10)
    worker.paused = False
    assert not worker.is_stuck()
    worker.pass_(100, waiting=10)
    assert not worker.is_stuck()


def test_one_that_takes_nothing_of_what_waits_is(worker: Worker) -> None:
    worker.pass_(110, waiting=7)
    assert not worker.is_stuck()
    worker.pass_(10, waiting=7)
    assert worker.is_stuck()
    assert worker.progress.check().detail == "7 messages wait, and none was taken for 100 s"
    worker.activity.begin("a")
    worker.pass_(10, waiting=6)
    assert not worker.is_stuck()


def test_one_that_takes_and_finishes_between_two_looks_is_not(worker: Worker) -> None:
    for number in range(100):
        worker.activity.begin(str(number))
        worker.activity.end(str(number))
        worker.pass_(10, waiting=1000)
        assert not worker.is_stuck()


def test_what_is_not_known_to_wait_is_no_reason(worker: Worker) -> None:
    for _ in range(20):
        worker.pass_(50, waiting=5)
        worker.pass_(10, waiting=0)
        assert not worker.is_stuck()


def test_a_hold_that_outlives_its_message_leaves_nothing_behind(worker: Worker) -> None:
    worker.activity.begin("a")
    with worker.activity.on_hold("a"):
        worker.activity.end("a")
    worker.pass_(5000)
    assert (worker.is_stuck(), worker.activity.oldest_worked_on_s) == (False, None)
