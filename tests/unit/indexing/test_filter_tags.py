"""Tags of metadata and groups of filters: a row has a tag of every group exactly when the filters hold for it."""

from __future__ import annotations

import math
import sys
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from contracts.comparisons import instant, number
from contracts.queries import Condition, Filters
from tests.unit.indexing.evaluation import holds
from tests.unit.indexing.rows import NASTY
from workers.indexing.filter_tags import tag_groups, tags

KEYS = ("k", "k2", "K")


def found(metadata: dict[str, str], filters: Filters) -> bool:
    """What an index does with tags."""
    row = set(tags(metadata))
    return all(row & set(group) for group in tag_groups(filters))


def matches(value: str, **condition: object) -> bool:
    filters = Filters.model_validate({"metadata": {"k": condition}})
    assert found({"k": value}, filters) == holds(filters, {"k": value})
    return found({"k": value}, filters)


class TestRanges:
    @pytest.mark.parametrize(
        "value", ["2020", "2020.0", "+2020", "2.02e3", "0002020", "20200e-1", "2020.00000000000000000000001"]
    )
    def test_numbers_are_compared_not_their_spelling(self, value: str) -> None:
        assert matches(value, gte=2020, lte=2020)
        assert not matches(value, gt=2020)
        assert not matches(value, lt=2020)

    @pytest.mark.parametrize(
        "value", ["", " 2020", "2020 ", "1_000", "0x10", "inf", "-Infinity", "nan", "1e400", "二", "٣"]
    )
    def test_what_is_no_finite_number_is_in_no_range_of_numbers(self, value: str) -> None:
        assert not matches(value, gte=-sys.float_info.max)
        assert not matches(value, lte=sys.float_info.max)

    def test_numbers_below_zero_come_before_those_above(self) -> None:
        ordered = [
            "-1e300",
            "-20",
            "-19.5",
            "-2",
            "-1e-300",
            "0",
            "5e-324",
            "1e-300",
            "0.1",
            "2",
            "19.5",
            "20",
            "1e300",
        ]
        for place, bound in enumerate(ordered):
            assert [v for v in ordered if matches(v, lt=float(bound))] == ordered[:place]
            assert [v for v in ordered if matches(v, gt=float(bound))] == ordered[place + 1 :]

    def test_minus_zero_is_zero(self) -> None:
        assert matches("-0.0", gte=0)
        assert matches("0", lte=-0.0)
        assert not matches("-0", lt=0)

    @pytest.mark.parametrize(
        "bound", [0.1, 1 / 3, 2.0**53, 1e22, -4.35, sys.float_info.max, sys.float_info.min, 5e-324]
    )
    def test_neighbouring_doubles_are_told_apart(self, bound: float) -> None:
        below, above = math.nextafter(bound, -math.inf), math.nextafter(bound, math.inf)
        assert not matches(repr(below), gte=bound)
        assert matches(repr(below), lt=bound)
        if math.isfinite(above):
            assert matches(repr(above), gt=bound)
            assert not matches(repr(above), lte=bound)

    @pytest.mark.parametrize(
        "value",
        [
            "2024-05-01",
            "2024-05-01T00:00Z",
            "2024-05-01 00:00:00.000",
            "2024-05-01T02:00+02:00",
            "2024-04-30T19:00-0500",
        ],
    )
    def test_instants_are_compared_wherever_they_were_written(self, value: str) -> None:
        for bound in ("2024-05-01", "2024-05-01T08:00:00+08:00"):
            assert matches(value, gte=bound, lte=bound)
            assert not matches(value, gt=bound)
            assert not matches(value, lt=bound)
        assert matches(value, gt="2024-04-30T23:59:59.999999", lt="2024-05-01T00:00:00.000001")

    @pytest.mark.parametrize(
        "value", ["2024-02-30", "2024-5-1", "20240501", "2024-W18", "2024-05-01T25:00", "12:00", "2024"]
    )
    def test_what_is_no_date_is_in_no_range_of_dates(self, value: str) -> None:
        assert not matches(value, gte="0001-01-01")
        assert not matches(value, lte="9999-12-31")

    def test_numbers_and_dates_do_not_meet(self) -> None:
        assert not matches("2024-05-01", gte=0)
        assert not matches("20240501", gte="2000-01-01")

    def test_bounds_that_leave_nothing_match_nothing(self) -> None:
        for nothing in ({"gt": 5, "lt": 5}, {"gte": 6, "lte": 5}, {"gt": 5, "lte": 5}):
            assert not matches("5", **nothing)
        assert [] in tag_groups(Filters(metadata={"k": Condition(any_of=())}))

    def test_the_first_and_the_last_instant_are_reached(self) -> None:
        assert matches("0001-01-01", lte="0001-01-01T00:00:00Z")
        assert matches("9999-12-31T23:59:59.999999", gte="9999-12-31T23:59:59.999999")


class TestBeginnings:
    @pytest.mark.parametrize("value", ["docs/bees/flight.md", "蜜蜂用舞蹈告诉同伴", "🐝🐝🐝🐝🐝", "x" * 1024, *NASTY])
    def test_every_beginning_is_found_and_no_other(self, value: str) -> None:
        for length in range(1, min(len(value), 64) + 1):
            beginning = value[:length]
            assert matches(value, prefix=beginning)
            assert not matches(value, prefix=beginning[:-1] + "\N{SNOWMAN}")

    def test_a_beginning_begins_at_the_beginning(self) -> None:
        assert not matches("docsdocs/x", prefix="docs/")
        assert not matches("abcdefgh", prefix="efgh")


class TestTags:
    @pytest.mark.parametrize("text", ["k=v", "^0:docs", "k^0:docs", "=docs", "#1504202.", "@2024", "0:docs", "docs"])
    def test_no_text_looks_like_a_tag_of_another_kind_or_key(self, text: str) -> None:
        row = set(tags({"k": text}))
        others: list[Condition] = [Condition(prefix="docs"), Condition(any_of=("docs", "v")), Condition(gte=0)]
        for condition in others:
            filters = Filters(metadata={"k": condition})
            assert all(row & set(group) for group in tag_groups(filters)) == holds(filters, {"k": text})
        assert not row & set(tags({"k2": text}))

    @given(st.lists(st.text(st.sampled_from("ab| \n\u3000\x85\xa0"), max_size=9), min_size=2, max_size=2, unique=True))
    def test_no_tag_ends_in_white_space_and_yet_every_value_has_its_own(self, values: list[str]) -> None:
        one, other = (tags({"k": value}) for value in values)
        assert not any(tag[-1].isspace() for tag in (*one, *other))
        assert one[0] != other[0]

    @pytest.mark.parametrize(
        ("value", "most"), [("en", 3), ("2020", 13), ("19.99", 15), ("2024-05-01", 20), ("x" * 1024, 65)]
    )
    def test_values_as_people_write_them_have_few(self, value: str, most: int) -> None:
        assert len(tags({"k": value})) <= most

    @pytest.mark.parametrize(
        ("condition", "most"),
        [
            ({"gte": 2020, "lt": 2024}, 10),
            ({"gte": "2024-01-01", "lt": "2025-01-01"}, 10),
            ({"gte": 19.95, "lte": 129.99}, 60),
            ({"gt": -1.1111111111111112e-99, "lt": 8.888888888888889e88}, 400),
            ({"gt": "1111-11-11T11:11:11.111111", "lt": "8888-08-28T18:58:58.888888"}, 400),
        ],
    )
    def test_ranges_ask_for_few(self, condition: dict[str, object], most: int) -> None:
        (group,) = tag_groups(Filters.model_validate({"metadata": {"k": condition}}))
        assert len(set(group)) == len(group) <= most


FLOATS = st.floats(allow_nan=False, allow_infinity=False)
PLAIN_NUMBERS = st.decimals(-1000, 1000, places=2).map(str) | st.integers(-(10**20), 10**20).map(str)
MOMENTS = st.datetimes(min_value=datetime(1, 1, 3), max_value=datetime(9999, 12, 29))  # noqa: DTZ001
OFFSETS = st.sampled_from(["", "Z", "+00:00", "+08:00", "-11:30", "+0545"])
DATES = MOMENTS.map(lambda moment: moment.date().isoformat())
DATE_TIMES = st.builds(lambda moment, offset: moment.isoformat() + offset, MOMENTS, OFFSETS)
TEXTS = st.text(st.sampled_from("ab=^#@:.|0123-é蜜🐝' "), max_size=9) | st.text(max_size=70).map(
    lambda t: t.replace("\0", "")
)
VALUES = st.one_of(TEXTS, FLOATS.map(repr), PLAIN_NUMBERS, DATES, DATE_TIMES)


@st.composite
def bounds(draw: st.DrawFn, values: list[str]) -> dict[str, object]:
    """Numbers or dates at, next to, or far from what the values are."""
    numbers = [one for value in values if (one := number(value)) is not None]
    dates = [moment for value in values if (moment := instant(value)) is not None]
    near = st.sampled_from(numbers).flatmap(lambda n: st.sampled_from([n, _next(n, -1), _next(n, 1)]))
    soon = st.sampled_from(dates).flatmap(lambda d: st.sampled_from([d, _later(d, -1), _later(d, 1)]))
    kind: st.SearchStrategy[object] = FLOATS | st.integers(-3000, 3000)
    kind = kind | near if numbers else kind
    if draw(st.booleans()):
        kind = DATES | DATE_TIMES
        kind = kind | soon if dates else kind
    lower = draw(st.sampled_from([None, "gt", "gte"]))
    upper = draw(st.sampled_from(["lt", "lte"] if lower is None else [None, "lt", "lte"]))
    return {name: draw(kind) for name in (lower, upper) if name}


@st.composite
def conditions(draw: st.DrawFn, values: list[str]) -> Condition:
    known = st.sampled_from(values)
    beginnings = known.flatmap(lambda value: st.integers(1, 64).map(lambda length: value[:length])) | TEXTS
    condition: dict[str, object] = {}
    for part in draw(st.sets(st.sampled_from(["any_of", "prefix", "bounds"]), min_size=1)):
        if part == "any_of":
            condition["any_of"] = draw(st.lists(known | VALUES, max_size=3))
        elif part == "prefix":
            condition["prefix"] = draw(beginnings)[:64] or "a"
        else:
            condition |= draw(bounds(values))
    return Condition.model_validate(condition)


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_tags_and_groups_meet_exactly_when_the_filters_hold(data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.dictionaries(st.sampled_from(KEYS), VALUES), min_size=1, max_size=6))
    values = [value for row in rows for value in row.values()] or ["a"]
    asked = data.draw(st.dictionaries(st.sampled_from(KEYS), conditions(values), max_size=2))
    filters = Filters(metadata=asked)
    for row in rows:
        assert found(row, filters) == holds(filters, row), (row, filters)


@settings(max_examples=300, deadline=None)
@given(FLOATS, FLOATS, FLOATS)
@example(0.0, -0.0, 5e-324)
def test_any_double_is_found_between_any_others(value: float, one: float, other: float) -> None:
    filters = Filters(metadata={"k": Condition(gt=min(one, other), lte=max(one, other))})
    assert found({"k": repr(value)}, filters) == (min(one, other) < value <= max(one, other))


def _next(value: float, direction: int) -> float:
    following = math.nextafter(value, math.inf * direction)
    return following if math.isfinite(following) else value


def _later(moment: datetime, microseconds: int) -> datetime:
    assert moment.tzinfo == UTC
    return moment + timedelta(microseconds=microseconds)
