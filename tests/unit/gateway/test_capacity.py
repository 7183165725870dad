"""What is known of a stage's backlog and rate, from readings alone."""

from __future__ import annotations

import math

import pytest

from gateway.capacity import PATIENCE_S, Reading, StageLoad


class Stage:
    """A stage that does `rate` a second, read every half second."""

    def __init__(self, *, rate: float, workers: int = 4) -> None:
        self.rate = rate
        self.load = StageLoad()
        self._workers = workers
        self._now = 0.0
        self._arrived = 0.0
        self._done = 0.0
        self.read()

    @property
    def now(self) -> float:
        return self._now

    @property
    def left(self) -> float:
        return self._arrived - self._done

    def read(self) -> None:
        hand = min(self.left, self._workers if self.rate else 0)
        self.load.observe(
            Reading(
                at_s=self._now,
                waiting=round(self.left - hand),
                in_flight=round(hand),
                handed_out=round(self._done + hand),
            )
        )

    def run(self, seconds: float, *, arrivals: float = 0.0) -> None:
        for _ in range(round(seconds * 2)):
            self._now += 0.5
            self._arrived += arrivals / 2
            self._done = min(self._arrived, self._done + self.rate / 2)
            self.read()

    def arrive(self, number: int) -> None:
        self._arrived += number

    @property
    def wait_s(self) -> float:
        return self.load.wait_s(self.load.backlog(self.now))


def test_nothing_is_known_at_first_and_nothing_is_refused_for_it() -> None:
    load = StageLoad()
    for _ in range(100):
        load.let_in()
    assert load.rate is None
    assert load.wait_s(load.backlog(1.0)) == 0.0


def test_a_stage_that_keeps_up_tells_nothing_of_what_it_can_do() -> None:
    stage = Stage(rate=50)
    stage.run(10, arrivals=5)
    assert stage.load.rate is None


def test_what_waits_shows_the_rate_and_the_wait() -> None:
    stage = Stage(rate=20)
    stage.run(10, arrivals=50)
    assert stage.load.rate == pytest.approx(20, rel=0.1)
    assert stage.wait_s == pytest.approx(stage.left / 20, rel=0.1)


def test_the_estimate_follows_what_was_let_in_and_what_gets_done_between_readings() -> None:
    stage = Stage(rate=20)
    stage.run(10, arrivals=50)
    before = stage.load.backlog(stage.now)
    for _ in range(40):
        stage.load.let_in()
    assert stage.load.backlog(stage.now) == before + 40
    assert stage.load.backlog(stage.now + 1) == pytest.approx(before + 20, rel=0.1)
    stage.read()
    assert stage.load.backlog(stage.now) == before, "a reading replaces what was guessed"


def test_workers_that_are_replaced_are_waited_for() -> None:
    stage = Stage(rate=20)
    stage.run(10, arrivals=25)
    stage.rate = 0
    stage.run(3, arrivals=20)
    assert stage.wait_s < 20


def test_workers_that_stay_away_make_the_wait_grow_without_end() -> None:
    stage = Stage(rate=20)
    stage.run(10, arrivals=25)
    stage.rate = 0
    stage.run(60, arrivals=5)
    assert stage.wait_s > 300


def test_a_stage_that_never_did_anything_counts_as_starting_then_as_standing_still() -> None:
    stage = Stage(rate=0)
    stage.run(PATIENCE_S / 2, arrivals=5)
    assert stage.wait_s == 0.0
    stage.run(PATIENCE_S, arrivals=5)
    assert stage.wait_s == math.inf


def test_it_recovers_when_the_workers_do() -> None:
    stage = Stage(rate=0)
    stage.run(3 * PATIENCE_S, arrivals=1)
    assert stage.wait_s == math.inf
    stage.rate = 50
    stage.run(5)
    assert stage.left == 0
    stage.arrive(200)
    stage.run(1)
    assert stage.wait_s < 10


def test_a_faster_stage_is_believed_when_it_shows() -> None:
    stage = Stage(rate=5)
    stage.run(20, arrivals=10)
    assert stage.load.rate == pytest.approx(5, rel=0.1)
    stage.rate = 100
    stage.run(10)
    assert stage.load.rate is None or stage.load.rate > 20


def test_what_came_too_late_is_not_counted_as_done() -> None:
    load = StageLoad()
    for second in range(1, 20):
        load.observe(Reading(at_s=second, waiting=50, in_flight=0, handed_out=100 * second), useful=0.1)
    assert load.rate == pytest.approx(10)


def test_a_consumer_that_was_made_anew_starts_from_nothing() -> None:
    stage = Stage(rate=20)
    stage.run(10, arrivals=50)
    stage.load.observe(Reading(at_s=stage.now + 1, waiting=100, in_flight=0, handed_out=0))
    assert stage.load.rate is None
