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


class Bench:
    """A stage of `places`, each of which takes `takes_s` for a question, read every half second."""

    def __init__(self, *, places: int, takes_s: float) -> None:
        self.places = places
        self.load = StageLoad()
        self.now = 0.0
        self.waiting = 0
        self._takes_s = takes_s
        self._in_hand: list[float] = []
        self._handed_out = 0
        self.read()

    def read(self) -> None:
        self.load.observe(
            Reading(at_s=self.now, waiting=self.waiting, in_flight=len(self._in_hand), handed_out=self._handed_out)
        )

    def run(self, seconds: float, *, keep_waiting: int = 0) -> None:
        """So many wait again after every reading."""
        for _ in range(round(seconds * 2)):
            self.waiting = max(self.waiting, keep_waiting)
            self._take()
            self.now += 0.5
            self._in_hand = [ends_s for ends_s in self._in_hand if ends_s > self.now]
            self._take()
            self.read()

    def _take(self) -> None:
        taken = min(self.waiting, self.places - len(self._in_hand))
        self.waiting -= taken
        self._handed_out += taken
        self._in_hand += [self.now + self._takes_s] * taken


def test_the_first_answer_of_a_slow_stage_counts_the_time_that_it_took() -> None:
    stage = Bench(places=1, takes_s=5)
    stage.run(6, keep_waiting=10)
    assert stage.load.rate == pytest.approx(0.2, rel=0.2)


@pytest.mark.parametrize("waiting", [1, 2, 5])
def test_the_rate_of_a_slow_stage_is_known_however_few_wait_for_it(waiting: int) -> None:
    stage = Bench(places=1, takes_s=5)
    stage.run(60, keep_waiting=waiting)
    assert stage.load.rate == pytest.approx(0.2, rel=0.5)
    assert stage.load.is_going(stage.now)


def test_what_was_in_hand_already_does_not_show_that_a_stage_can_do_more() -> None:
    stage = Bench(places=2, takes_s=5)
    stage.run(30, keep_waiting=2)
    stage.run(10)
    assert stage.load.rate == pytest.approx(0.4, rel=0.4)


def test_a_stage_with_places_left_shows_that_it_does_more_than_was_thought() -> None:
    stage = Bench(places=0, takes_s=5)
    stage.run(2 * PATIENCE_S, keep_waiting=9)
    assert stage.load.rate == 0
    stage.places = 16
    for _ in range(12):
        stage.waiting += 1
        stage.run(1)
    assert stage.load.rate is None


def test_a_stage_that_gets_nothing_done_is_not_going_after_a_while() -> None:
    stage = Bench(places=2, takes_s=1)
    assert not stage.load.is_going(stage.now)
    stage.run(10, keep_waiting=4)
    assert stage.load.is_going(stage.now)
    stage.places = 0
    stage.run(2 * PATIENCE_S, keep_waiting=4)
    assert not stage.load.is_going(stage.now)


def test_a_stage_that_rests_is_not_relied_on_after_a_while() -> None:
    stage = Bench(places=2, takes_s=1)
    stage.run(10, keep_waiting=4)
    stage.run(3)
    assert not stage.load.is_going(stage.now + 2 * PATIENCE_S)
