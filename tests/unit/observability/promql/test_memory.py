"""Series in memory: their bounds, and what is found of them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.silences import MatchOperator
from observability.promql import STALE, Labels, MemorySeries, parse
from observability.promql.label_table import MOST_DERIVED
from observability.promql.matchers import Matcher, Selector
from observability.promql.staleness import is_stale

X = Labels({"__name__": "x"})
SELECT_X = Selector((Matcher(MatchOperator.EQUAL, "__name__", "x"),))


def labelled(number: int) -> Labels:
    return X.updated({"number": str(number)})


def found(source: MemorySeries, after_ms: int, until_ms: int) -> list[list[tuple[int, float]]]:
    windows = source.window(SELECT_X, after_ms=after_ms, until_ms=until_ms)
    columns = zip(windows.times_ms.T, windows.values.T, windows.counts, strict=True)
    return [list(zip(times[:n].tolist(), values[:n].tolist(), strict=True)) for times, values, n in columns]


def test_what_is_not_newer_is_refused_and_counted() -> None:
    source = MemorySeries()

    assert source.append(X, time_ms=10, value=1)
    assert not source.append(X, time_ms=10, value=2)
    assert not source.append(X, time_ms=9, value=2)

    assert found(source, 0, 100) == [[(10, 1.0)]]
    assert source.refused_samples == 2


def test_there_are_no_more_series_than_allowed() -> None:
    source = MemorySeries(most_series=3)

    taken = [source.append(labelled(number), time_ms=0, value=1) for number in range(5)]

    assert taken == [True, True, True, False, False]
    assert (len(source), source.refused_series) == (3, 2)
    assert source.append(labelled(0), time_ms=1, value=1), "a series that is there goes on"


def test_a_series_has_no_more_samples_than_allowed_and_keeps_the_newest() -> None:
    source = MemorySeries(most_samples=50)

    for time_ms in range(1, 1001):
        source.append(X, time_ms=time_ms, value=time_ms)

    (kept,) = found(source, 0, 2000)
    assert 40 <= len(kept) <= 50
    assert kept[-1] == (1000, 1000.0)
    assert [time for time, _ in kept] == list(range(1001 - len(kept), 1001))


def test_memory_stays_the_same_however_long_it_goes_on() -> None:
    source = MemorySeries(retention_ms=100)
    sizes = set()

    for time_ms in range(1, 5001):
        source.append(X, time_ms=time_ms, value=0)
        if time_ms > 1000:
            sizes.add(source.size_bytes)

    assert len(sizes) == 1
    assert len(found(source, 4900, 5000)[0]) == 100, "what is within the retention is all there"


def test_a_series_that_ended_makes_room_for_another() -> None:
    source = MemorySeries(most_series=2, retention_ms=100)
    source.append(labelled(1), time_ms=0, value=1)
    source.append(labelled(2), time_ms=150, value=2)

    assert source.drop_ended(now_ms=200) == [labelled(1)]

    assert source.append(labelled(3), time_ms=200, value=3)
    assert found(source, 0, 200) == [[(150, 2.0)], [(200, 3.0)]]


def test_a_metric_that_ended_and_came_again_is_found() -> None:
    source, query = MemorySeries(retention_ms=100), parse("x")
    source.append(X, time_ms=0, value=1)
    assert query.instant(source, at_ms=0).samples

    source.drop_ended(now_ms=1000)
    assert not query.instant(source, at_ms=1000).samples

    source.append(X, time_ms=1000, value=2)
    assert [sample.value for sample in query.instant(source, at_ms=1000).samples] == [2]


def test_what_questions_leave_behind_is_bounded() -> None:
    source = MemorySeries()
    source.append(X, time_ms=0, value=1)

    for number in range(3 * MOST_DERIVED):
        parse(f"sum by (label{number}) (x)").instant(source, at_ms=0)

    table = source.latest(SELECT_X, at_ms=0, lookback_ms=1).table
    assert len(table._derived) <= MOST_DERIVED


Samples = st.lists(st.tuples(st.integers(1, 400), st.one_of(st.integers(0, 9), st.just("stale"))), max_size=60)


@settings(deadline=None)
@given(st.lists(Samples, min_size=1, max_size=4), st.integers(-5, 420), st.integers(0, 300))
def test_windows_and_latest_values_are_those_of_a_plain_list(
    given_series: list[list[tuple[int, int | str]]], until_ms: int, length_ms: int
) -> None:
    source, plain = MemorySeries(retention_ms=10**6), list[list[tuple[int, float]]]()
    for number, samples in enumerate(given_series):
        kept: list[tuple[int, float]] = []
        for time_ms, value in samples:
            sample = STALE if value == "stale" else float(value)
            if source.append(labelled(number), time_ms=time_ms, value=sample):
                kept.append((time_ms, sample))
        plain.append(kept)

    in_range = [[s for s in samples if until_ms - length_ms < s[0] <= until_ms] for samples in plain]
    values = [[(t, v) for t, v in samples if not is_stale(v)] for samples in in_range]
    assert found(source, until_ms - length_ms, until_ms) == [samples for samples in values if samples]
    latest = source.latest(SELECT_X, at_ms=until_ms, lookback_ms=length_ms)
    last = [samples[-1] for samples in in_range if samples]
    assert latest.values.tolist() == [value for _, value in last if not is_stale(value)]


@pytest.mark.parametrize("text", ["x", 'x{number="1"}', '{number=~"."}'])
def test_series_that_come_and_go_are_told_apart(text: str) -> None:
    source, query = MemorySeries(retention_ms=50), parse(f"count({text})")
    for time_ms in range(0, 1000, 10):
        source.append(labelled(1), time_ms=time_ms, value=1)
        source.append(labelled(time_ms % 7), time_ms=time_ms + 1, value=1)
        source.drop_ended(now_ms=time_ms)
        wanted = {"x": len(source), 'x{number="1"}': 1, '{number=~"."}': len(source)}[text]
        assert query.instant(source, at_ms=time_ms + 1).values.tolist() == [wanted]


DAY_MS = 24 * 3_600_000


def test_an_hour_of_ten_seconds_takes_hardly_more_than_its_samples() -> None:
    source = MemorySeries()
    for number in range(8):
        for time_ms in range(0, 3 * 3_600_000, 10_000):
            source.append(labelled(number), time_ms=time_ms, value=1)

    assert len(found(source, 2 * 3_600_000, 3 * 3_600_000)[0]) == 359
    assert source.size_bytes <= 8 * 360 * 12 * 1.15


@pytest.mark.parametrize("retention_ms", [3_600_000, 40 * DAY_MS])
def test_a_series_may_rest_for_longer_than_four_bytes_can_tell(retention_ms: int) -> None:
    source = MemorySeries(retention_ms=retention_ms)
    for time_ms in (1_000, 2_000, 100 * DAY_MS, 100 * DAY_MS + 1, 149 * DAY_MS, 149 * DAY_MS + 1):
        assert source.append(X, time_ms=time_ms, value=time_ms)

    for after_ms in (100 * DAY_MS, 149 * DAY_MS):
        (samples,) = found(source, after_ms, after_ms + 10)
        assert samples == [(after_ms + 1, float(after_ms + 1))]


def test_what_lies_ahead_can_be_dropped() -> None:
    source = MemorySeries()
    for number in range(2):
        for time_ms in (10, 20, 30):
            source.append(labelled(number), time_ms=time_ms + 100 * number, value=time_ms)

    assert source.drop_after(20) == [labelled(1)]

    assert found(source, 0, 1000) == [[(10, 10.0), (20, 20.0)]]
    assert source.append(labelled(0), time_ms=21, value=1)
    assert (len(source), source.newest_ms) == (1, 21)


def test_a_selection_that_is_held_finds_what_was_there_while_series_end() -> None:
    source = MemorySeries(retention_ms=100)
    source.append(labelled(1), time_ms=0, value=1)
    source.append(labelled(2), time_ms=150, value=2)
    held = source.select(SELECT_X)

    source.drop_ended(now_ms=200)
    source.append(labelled(3), time_ms=200, value=3)

    assert held.window(after_ms=-1, until_ms=1000).values.tolist() == [[1.0, 2.0]]
    assert all(held is not kept for _, kept in source._selections.values()), "nothing keeps what has ended"


def test_threads_that_evaluate_at_once_share_what_they_work_out() -> None:
    source, queries = MemorySeries(), [parse(f"sum by (number) (rate(x[{minutes}m]))") for minutes in range(1, 40)]
    for number in range(20):
        for time_ms in range(0, 100_000, 10_000):
            source.append(labelled(number), time_ms=time_ms, value=time_ms)

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda query: len(query.instant(source, at_ms=100_000)), queries * 8))

    assert set(results) == {20}
