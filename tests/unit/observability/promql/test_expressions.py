"""What expressions yield: the rules that people trip over. Everything else is told by promtool (tests/engines)."""

from __future__ import annotations

import math

import pytest

from observability.promql import EvaluationError, ExpressionError, Labels, MemorySeries, parse
from tests.unit.observability.promql.series import MINUTE_MS, at, series


class TestSelecting:
    def test_a_value_lasts_five_minutes_and_not_a_millisecond_more(self) -> None:
        source = series({"up": "1"})

        assert at(source, "up", 5 - 1 / MINUTE_MS) == {"up": 1}
        assert at(source, "up", 5) == {}

    def test_a_staleness_marker_ends_a_series_at_once(self) -> None:
        source = series({"up": "1 stale"})

        assert at(source, "up", 0.99) == {"up": 1}
        assert at(source, "up", 1) == {}

    def test_a_nan_is_a_value(self) -> None:
        assert math.isnan(at(series({"x": "NaN"}), "x", 0)["x"])

    def test_regular_expressions_match_whole_values(self) -> None:
        source = series({'x{a="embed"}': "1", 'x{a="embedded"}': "2"})

        assert list(at(source, 'x{a=~"emb.d"}', 0)) == ['x{a="embed"}']

    def test_a_range_does_not_hold_its_left_end(self) -> None:
        source = series({"x": "1 2 3 4"})

        assert at(source, "count_over_time(x[2m])", 3) == {"{}": 2}

    def test_markers_are_no_samples_of_a_range(self) -> None:
        assert at(series({"x": "1 stale 3"}), "sum_over_time(x[10m])", 2) == {"{}": 4}

    def test_several_metrics_can_be_selected_at_once(self) -> None:
        source = series({"a": "1 2", "b": "3 4 5", "c": "9"})

        assert at(source, '{__name__=~"a|b"}', 1) == {"a": 2, "b": 4}
        assert at(source, 'last_over_time({__name__=~"a|b"}[5m])', 2) == {"a": 2, "b": 5}


class TestRates:
    def test_a_counter_that_fell_was_reset(self) -> None:
        source = series({"x": "0 60 120 0 60"})

        assert at(source, "increase(x[5m])", 4) == {"{}": 180}
        assert at(source, "resets(x[5m])", 4) == {"{}": 1}

    def test_a_rate_needs_two_samples(self) -> None:
        assert at(series({"x": "1 2"}), "rate(x[1m])", 1) == {}

    def test_a_counter_is_not_extrapolated_below_zero(self) -> None:
        source = series({"x": "_ _ 0 60 120"})

        assert at(source, "increase(x[5m])", 4) == {"{}": 120}


class TestNames:
    def test_names_go_where_the_result_is_another_metric(self) -> None:
        source = series({'x{a="1"}': "5"})

        assert list(at(source, "x > 1", 0)) == ['x{a="1"}']
        assert list(at(source, "x > bool 1", 0)) == ['{a="1"}']
        assert list(at(source, "x * 1", 0)) == ['{a="1"}']
        assert list(at(source, "last_over_time(x[1m])", 0)) == ['x{a="1"}']
        assert list(at(source, "max_over_time(x[1m])", 0)) == ['{a="1"}']

    def test_two_series_that_only_their_names_told_apart_are_an_error(self) -> None:
        source = series({"a": "1", "b": "2"})

        with pytest.raises(EvaluationError, match="same labelset") as raised:
            at(source, '-{__name__=~"a|b"}', 0)
        assert raised.value.expression == '-{__name__=~"a|b"}'

    def test_such_a_series_that_is_gone_is_none(self) -> None:
        assert at(series({"a": "stale", "b": "2"}), '-{__name__=~"a|b"}', 0) == {"{}": -2}


class TestMatching:
    def test_many_to_one_has_to_be_said(self) -> None:
        source = series({'m{j="1",i="a"}': "4", 'm{j="1",i="b"}': "6", 'o{j="1",v="x"}': "2"})

        with pytest.raises(EvaluationError, match="group_left"):
            at(source, "m / on (j) o", 0)
        assert at(source, "m / on (j) group_left (v) o", 0) == {
            '{i="a", j="1", v="x"}': 2,
            '{i="b", j="1", v="x"}': 3,
        }

    def test_what_matches_can_change_from_one_evaluation_to_the_next(self) -> None:
        source = series({'m{j="1"}': "4x5", 'o{j="1",v="x"}': "2 2 stale", 'o{j="1",v="y"}': "_ _ _ 1"})
        query = parse("m / on (j) group_left (v) o")

        found = [query.instant(source, at_ms=minute * MINUTE_MS).samples for minute in (1, 2, 3)]

        assert [[(labels["v"], value) for labels, value in samples] for samples in found] == [
            [("x", 2)],
            [],
            [("y", 4)],
        ]

    def test_a_series_that_is_new_is_seen_by_a_query_that_ran_before(self) -> None:
        source, query = series({'x{a="1"}': "1"}), parse("sum by (a) (x)")
        query.instant(source, at_ms=0)

        source.append(Labels({"__name__": "x", "a": "2"}), time_ms=0, value=5)

        assert {labels["a"]: value for labels, value in query.instant(source, at_ms=0).samples} == {"1": 1, "2": 5}


@pytest.mark.parametrize(
    "expression",
    [
        "sum by (a) (x)",
        "count without (a) (x) > 0",
        "x / on (a) y",
        "x * on (a) group_left (b) y",
        "x or vector(0)",
        "x unless absent(y)",
        "x or absent_over_time(nothing[5m])",
        "x or (nothing * x)",
        "-x + ignoring (b) y",
        'label_replace(x, "c", "$1", "a", "(.*)") or y',
        "histogram_quantile(0.5, sum by (a, le) (z))",
    ],
)
def test_what_depends_on_labels_alone_is_worked_out_once(expression: str, monkeypatch: pytest.MonkeyPatch) -> None:
    source = series({'x{a="1"}': "1x9", 'y{a="1",b="2"}': "2x9", 'z{a="1",le="1"}': "3x9", 'z{a="1",le="+Inf"}': "4x9"})
    query = parse(expression)
    first = query.instant(source, at_ms=MINUTE_MS).samples

    def never(*_: object) -> Labels:
        raise AssertionError("labels were looked at again")

    for name in ("without", "only", "updated"):
        monkeypatch.setattr(Labels, name, never)

    assert query.instant(source, at_ms=MINUTE_MS).samples == first
    assert first


class TestTopK:
    def test_nan_comes_last(self) -> None:
        source = series({'x{a="1"}': "NaN", 'x{a="2"}': "1", 'x{a="3"}': "2"})

        assert list(at(source, "topk(2, x)", 0)) == ['x{a="3"}', 'x{a="2"}']
        assert list(at(source, "bottomk(3, x)", 0)) == ['x{a="2"}', 'x{a="3"}', 'x{a="1"}']

    def test_sorting_puts_nan_last_either_way(self) -> None:
        source = series({'x{a="1"}': "NaN", 'x{a="2"}': "1", 'x{a="3"}': "2"})

        assert list(at(source, "sort(x)", 0)) == ['x{a="2"}', 'x{a="3"}', 'x{a="1"}']
        assert list(at(source, "sort_desc(x)", 0)) == ['x{a="3"}', 'x{a="2"}', 'x{a="1"}']

    def test_not_a_number_of_series_is_an_error(self) -> None:
        with pytest.raises(EvaluationError, match="NaN"):
            at(series({"x": "1"}), "topk(NaN, x)", 0)


class TestRangeQueries:
    def test_each_step_is_the_instant_value_at_that_time(self) -> None:
        source = series({'x{a="1"}': "0+60x10", 'x{a="2"}': "1 2 stale"})
        query = parse("x")

        points = query.range(source, start_ms=0, end_ms=3 * MINUTE_MS, step_ms=MINUTE_MS)

        assert [(series.labels["a"], series.points) for series in points] == [
            ("1", ((0, 0), (60_000, 60), (120_000, 120), (180_000, 180))),
            ("2", ((0, 1), (60_000, 2))),
        ]

    def test_the_ends_of_the_query_can_be_looked_at(self) -> None:
        source = series({"x": "0+1x10"})

        points = parse("x @ end() - x @ start()").range(source, start_ms=0, end_ms=120_000, step_ms=60_000)

        assert [value for _, value in points[0].points] == [2, 2, 2]

    @pytest.mark.parametrize(("end_ms", "step_ms"), [(10, 0), (-1, 1), (10**9, 1)])
    def test_a_range_of_no_use_is_refused(self, end_ms: int, step_ms: int) -> None:
        with pytest.raises(ExpressionError):
            parse("x").range(MemorySeries(), start_ms=0, end_ms=end_ms, step_ms=step_ms)


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("1 + time()", (200_000, 200_000)),
        ("x", (70_000, 200_000)),
        ("sum(rate(x[1m])) > scalar(y offset 10s)", (40_000, 200_000)),
        ("abs(-max_over_time(x[1m] offset 5m))", (-260_000, -100_000)),
        ("x offset -1m", (130_000, 260_000)),
        ("x @ 50", (20_000, 50_000)),
        ("x @ end()", (170_000, 200_000)),
        ("increase(x[1m] @ start())", (40_000, 100_000)),
    ],
)
def test_what_a_query_may_read_is_known_before(text: str, span: tuple[int, int]) -> None:
    assert parse(text).span(start_ms=100_000, end_ms=200_000, lookback_ms=30_000) == span
