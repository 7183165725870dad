"""The store: what is found where, and what is refused."""

from __future__ import annotations

import math
import threading
from pathlib import Path

import pytest

from observability.promql import STALE, parse
from observability.promql.errors import SampleLimitError
from observability.series import SeriesLimits, Source
from tests.unit.observability.series.stores import (
    HOUR_MS,
    MINUTE_MS,
    START_MS,
    Clock,
    fill,
    labelled,
    of_process,
    record,
    samples,
    selector,
    store,
)

X = of_process()


class TestRollUps:
    def test_what_memory_has_no_more_is_found_as_the_last_sample_of_each_minute(
        self, tmp_path: Path, clock: Clock
    ) -> None:
        series = store(tmp_path, clock)
        fill(series, clock, X, minutes=180)

        (found,) = samples(series, after_ms=START_MS).values()

        times = [time_ms for time_ms, _ in found]
        assert times == sorted(set(times)), "none twice, none out of order"
        assert [value for _, value in found] == [(time_ms - START_MS) / 10_000 for time_ms in times]
        raw = [time_ms for time_ms in times if time_ms > clock.now_ms - HOUR_MS]
        assert raw == list(range(clock.now_ms - HOUR_MS + 10_000, clock.now_ms + 1, 10_000))
        rolled_up = times[: -len(raw)]
        assert rolled_up == list(range(START_MS + 50_000, clock.now_ms - HOUR_MS, MINUTE_MS))
        series.close()

    def test_rates_are_right_across_the_seam(self, tmp_path: Path, clock: Clock) -> None:
        series = store(tmp_path, clock)
        fill(series, clock, X, minutes=130)
        rate = parse("rate(x[10m])")

        found = rate.range(series, start_ms=START_MS + 20 * MINUTE_MS, end_ms=clock.now_ms, step_ms=MINUTE_MS)

        assert len(found[0].points) == 111
        # Where distances of a minute and of ten seconds meet, the rule of extrapolation yields a little less.
        assert all(value == pytest.approx(0.1, rel=0.1) for _, value in found[0].points)
        assert sum(value == pytest.approx(0.1, rel=1e-9) for _, value in found[0].points) > 95
        series.close()

    def test_a_counter_that_was_reset_is_still_one_on_disk(self, tmp_path: Path, clock: Clock) -> None:
        series = store(tmp_path, clock)
        fill(series, clock, X, minutes=5)
        for value in (1.0, 2.0, 3.0):
            clock.now_ms += MINUTE_MS
            record(series, [(X, value)], time_ms=clock.now_ms)
        before_ms = clock.now_ms
        fill(series, clock, of_process("other"), minutes=100)

        resets = parse("resets(x{instance='i1'}[6m])").instant(series, at_ms=before_ms)
        (found,) = samples(series, "x{instance='i1'}", after_ms=START_MS, until_ms=before_ms).values()
        assert resets.values.tolist() == [1.0]
        assert [value for _, value in found] == [5.0, 11.0, 17.0, 23.0, 29.0, 30.0, 1.0, 2.0, 3.0]
        series.close()

    def test_an_end_is_kept(self, tmp_path: Path, clock: Clock) -> None:
        series = store(tmp_path, clock)
        fill(series, clock, X, minutes=10)
        series.append(X, time_ms=clock.now_ms + 1, value=STALE)
        ended_ms = clock.now_ms
        fill(series, clock, of_process("i2"), minutes=120)

        present = [
            parse("x{instance='i1'}").instant(series, at_ms=ended_ms + after_ms).values.tolist() for after_ms in (-1, 2)
        ]

        assert len(present[0]) == 1
        assert present[1] == []
        series.close()

    def test_late_samples_of_rules_that_look_back_are_kept_too(self, tmp_path: Path, clock: Clock) -> None:
        series, recorded = store(tmp_path, clock), labelled("a:b")
        for minute in range(100):
            clock.now_ms += MINUTE_MS
            record(series, [(X, 1.0)], time_ms=clock.now_ms)
            series.append(recorded, time_ms=clock.now_ms - 5 * MINUTE_MS, value=float(minute))
            series.maintain()

        (found,) = samples(series, "a:b", after_ms=START_MS - HOUR_MS).values()

        assert [value for _, value in found] == [float(minute) for minute in range(100)]
        series.close()

    def test_what_is_older_than_the_disk_keeps_is_gone(self, tmp_path: Path, clock: Clock) -> None:
        series = store(tmp_path, clock, disk_ms=2 * HOUR_MS)
        fill(series, clock, X, of_process("gone"), minutes=1)
        fill(series, clock, X, minutes=200)

        found = samples(series, after_ms=0)

        assert list(found) == [X]
        assert found[X][0][0] >= clock.now_ms - 2 * HOUR_MS - 2 * MINUTE_MS
        listed = series.series(selector("x"), after_ms=0, until_ms=clock.now_ms)
        assert listed == [X]
        series.close()

    def test_the_oldest_go_first_when_the_file_grows_too_large(self, tmp_path: Path, clock: Clock) -> None:
        many = [of_process(number=f"{number:04}") for number in range(200)]
        series = store(tmp_path, clock, disk_bytes=100_000)
        fill(series, clock, *many, minutes=240, every_ms=30_000)

        figures, found = series.figures(), samples(series, 'x{number="0000"}', after_ms=0)

        assert figures.disk.size_bytes <= 100_000
        assert (tmp_path / "series.db").stat().st_size <= 200_000
        assert figures.disk.deleted_batches > 0
        assert found[many[0]][0][0] > START_MS + 30 * MINUTE_MS
        assert found[many[0]][-1][0] == clock.now_ms
        series.close()

    def test_a_question_that_would_load_too_much_is_refused(self, tmp_path: Path, clock: Clock) -> None:
        series = store(tmp_path, clock)
        fill(series, clock, X, minutes=100)

        reader = series.reader(after_ms=START_MS, until_ms=clock.now_ms, most_samples=50)
        with pytest.raises(SampleLimitError, match="too many samples"):
            samples(reader, after_ms=START_MS, until_ms=clock.now_ms)
        series.close()


class TestRestart:
    def test_the_last_hour_goes_on(self, tmp_path: Path, clock: Clock) -> None:
        series = store(tmp_path, clock)
        fill(series, clock, X, minutes=150)
        before = samples(series, after_ms=START_MS, until_ms=clock.now_ms - HOUR_MS)
        series.close()

        again = store(tmp_path, clock)

        assert len(again) == 1
        assert samples(again, after_ms=START_MS, until_ms=clock.now_ms - HOUR_MS) == before
        rate = parse("rate(x[10m])").instant(again, at_ms=clock.now_ms)
        assert rate.values.tolist() == pytest.approx([0.1], rel=1e-9)
        fill(again, clock, X, minutes=10)
        (found,) = samples(again, after_ms=clock.now_ms - 20 * MINUTE_MS).values()
        assert [time_ms for time_ms, _ in found] == sorted({time_ms for time_ms, _ in found})
        assert len(found) == 10 + 1 + 60
        again.close()

    def test_after_a_long_rest_the_time_before_is_on_disk(self, tmp_path: Path, clock: Clock) -> None:
        series = store(tmp_path, clock)
        fill(series, clock, X, minutes=120)
        series.close()
        stopped_ms = clock.now_ms
        clock.now_ms += 5 * HOUR_MS

        again = store(tmp_path, clock)

        assert len(again) == 0
        assert len(samples(again, after_ms=START_MS, until_ms=stopped_ms)[X]) == 121
        assert again.series(selector("x"), after_ms=START_MS, until_ms=clock.now_ms) == [X]
        assert again.series(selector("x"), after_ms=clock.now_ms - HOUR_MS, until_ms=clock.now_ms) == []
        again.close()

    def test_labels_of_any_kind_come_back(self, tmp_path: Path, clock: Clock) -> None:
        odd = [of_process(odd=text) for text in ("ü", '"\\\n', "\x00", "\ud800", "搜索", "' OR 1=1 --")]
        series = store(tmp_path, clock)
        fill(series, clock, *odd, minutes=2)
        series.close()

        again = store(tmp_path, clock)

        assert set(samples(again)) == set(odd)
        again.close()

    def test_without_a_folder_nothing_outlives_the_process(self, clock: Clock) -> None:
        series = store(None, clock)
        fill(series, clock, X, minutes=5)
        series.close()

        assert samples(store(None, clock)) == {}


class TestRefusals:
    def test_what_is_not_newer_is_refused_and_counted(self, clock: Clock) -> None:
        series = store(None, clock)

        taken = [series.append(X, time_ms=time_ms, value=1.0) for time_ms in (10, 10, 9, 11)]

        assert taken == [True, False, False, True]
        assert series.figures().refused_samples == 2

    def test_nan_is_a_value_and_no_end(self, clock: Clock) -> None:
        series = store(None, clock)

        record(series, [(X, math.nan)], time_ms=10)
        record(series, [(X, math.inf)], time_ms=30)

        (found,) = samples(series).values()
        assert [str(value) for _, value in found] == ["nan", "inf"]
        series.append(X, time_ms=40, value=STALE)
        assert parse("x").instant(series, at_ms=40).values.tolist() == []

    def test_a_flood_from_one_process_leaves_room_for_the_others(self, clock: Clock) -> None:
        limits = SeriesLimits(in_all=1_000, of_source=100, of_metric=50)
        series = store(None, clock, limits=limits)

        for number in range(500):
            record(series, [(of_process("bad", user=str(number)), 1.0)], time_ms=10)
        for number in range(500):
            record(series, [(of_process("bad", name=f"m{number}"), 1.0)], time_ms=10)
        taken = record(series, [(of_process("good", user=str(number)), 1.0) for number in range(50)], time_ms=10)

        assert taken == 50
        assert len(series) == 150
        assert series.figures().refused_series == {Source("embed", "bad"): 900}
        assert record(series, [(of_process("bad", user="0"), 2.0)], time_ms=20) == 1, "what is there goes on"

    def test_sources_made_up_without_end_are_bounded_too(self, clock: Clock) -> None:
        series = store(None, clock, limits=SeriesLimits(in_all=100))

        for number in range(1_000):
            record(series, [(of_process(str(number)), 1.0)], time_ms=10)

        assert len(series) == 100
        refused = series.figures().refused_series
        assert refused.total() == 900
        assert len(refused) <= 257

    def test_processes_that_come_and_go_leave_room_for_the_next(self, tmp_path: Path, clock: Clock) -> None:
        series = store(tmp_path, clock, limits=SeriesLimits(in_all=100))
        fill(series, clock, *(of_process(f"old{number}") for number in range(99)), of_process("stays"), minutes=1)
        for number in range(99):
            clock.now_ms += 100
            series.append(of_process(f"old{number}"), time_ms=clock.now_ms, value=STALE)
        assert not series.append(of_process("new"), time_ms=clock.now_ms, value=1.0)

        clock.now_ms += MINUTE_MS
        series.maintain()

        assert series.append(of_process("new"), time_ms=clock.now_ms, value=1.0)
        left = {labels["instance"] for labels in samples(series)}
        assert len(left) == 91
        assert {"stays", "new", "old98"} <= left
        assert "old0" not in left, "those that ended first go first"
        series.close()
        again = store(tmp_path, clock, memory_ms=0)
        assert of_process("old0") in again.series(selector("x"), after_ms=START_MS, until_ms=clock.now_ms)
        again.close()

    def test_who_lives_is_never_forgotten_for_others(self, clock: Clock) -> None:
        series = store(None, clock, limits=SeriesLimits(in_all=100))
        fill(series, clock, *(of_process(str(number)) for number in range(100)), minutes=2)

        assert len(series) == 100

    def test_series_that_ended_make_room(self, tmp_path: Path, clock: Clock) -> None:
        series = store(tmp_path, clock, limits=SeriesLimits(of_metric=1))
        fill(series, clock, of_process(user="1"), minutes=1)
        fill(series, clock, labelled("clock"), minutes=65)

        assert record(series, [(of_process(user="2"), 1.0)], time_ms=clock.now_ms) == 1
        series.close()


class TestClock:
    def test_set_back_by_an_hour_new_samples_are_taken_again(self, tmp_path: Path, clock: Clock) -> None:
        series = store(tmp_path, clock)
        fill(series, clock, X, minutes=90)
        right_ms = clock.now_ms
        clock.now_ms += HOUR_MS
        fill(series, clock, X, minutes=3)
        clock.now_ms = right_ms + 3 * MINUTE_MS
        assert record(series, [(X, 0.0)], time_ms=clock.now_ms) == 0

        series.maintain()

        fill(series, clock, X, minutes=5)
        (found,) = samples(series, after_ms=START_MS).values()
        times = [time_ms for time_ms, _ in found]
        assert times == sorted(set(times))
        assert times[-1] == clock.now_ms
        assert any(right_ms - 5 * MINUTE_MS < time_ms <= right_ms for time_ms in times), "what was before is there"
        assert not any(right_ms < time_ms <= right_ms + 3 * MINUTE_MS for time_ms in times)
        assert series.figures().clock_steps == 1
        series.close()

    def test_set_back_between_two_lives_the_future_on_disk_is_dropped(self, tmp_path: Path, clock: Clock) -> None:
        series = store(tmp_path, clock)
        fill(series, clock, X, minutes=10)
        right_ms = clock.now_ms
        clock.now_ms += HOUR_MS
        fill(series, clock, X, minutes=10)
        series.close()
        clock.now_ms = right_ms

        again = store(tmp_path, clock)

        assert record(again, [(X, 1.0)], time_ms=clock.now_ms + 1) == 1
        again.close()

    def test_set_forward_by_an_hour_it_goes_on(self, tmp_path: Path, clock: Clock) -> None:
        series = store(tmp_path, clock)
        fill(series, clock, X, minutes=10)
        clock.now_ms += HOUR_MS
        fill(series, clock, X, minutes=10)

        assert parse("rate(x[5m])").instant(series, at_ms=clock.now_ms).values.tolist() == pytest.approx([0.1])
        assert len(samples(series, after_ms=START_MS, until_ms=START_MS + HOUR_MS)[X]) == 11
        series.close()


def test_threads_may_append_read_and_tidy_at_once(tmp_path: Path, clock: Clock) -> None:
    """Each sample's value is its time: whatever is torn would show."""
    series, failed = store(tmp_path, clock, memory_ms=50_000), list[str]()
    many = [of_process(str(number % 10), number=str(number)) for number in range(50)]
    stopped = threading.Event()

    def is_torn(found: list[tuple[int, float]]) -> bool:
        times = [time_ms for time_ms, _ in found]
        return times != sorted(set(times)) or [value for _, value in found] != times

    def read() -> None:
        while not (stopped.is_set() or failed):
            found = samples(series, after_ms=clock.now_ms - 30_000).values()
            failed.extend(f"torn: {each}" for each in found if is_torn(each))

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for step in range(1_500):
        clock.now_ms += 100
        record(series, [(labels, float(clock.now_ms)) for labels in many[step % 5 :]], time_ms=clock.now_ms)
        if step % 50 == 0:
            series.maintain()
    stopped.set()
    for reader in readers:
        reader.join(timeout=60)
    assert not failed
    series.close()


class TestWhoLeftMeanwhile:
    def test_is_over_after_a_minute(self, tmp_path: Path, clock: Clock) -> None:
        back, gone = of_process("i1"), of_process("i2")
        before = store(tmp_path, clock)
        fill(before, clock, back, gone, minutes=3)
        before.close()
        clock.now_ms += 5_000
        after = store(tmp_path, clock)

        def present() -> set[str]:
            found = after.latest(selector("x"), at_ms=clock.now_ms, lookback_ms=5 * MINUTE_MS)
            return {labels["instance"] for labels in found.labels}

        assert present() == {"i1", "i2"}
        fill(after, clock, back, minutes=1, maintained=False)
        after.maintain()

        assert present() == {"i1"}
        assert after.figures().refused_samples == 0
