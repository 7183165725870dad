"""What texts are numbers, what texts are instants."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.comparisons import instant, number


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("-12", -12),
        ("+3.50", 3.5),
        (".5", 0.5),
        ("5.", 5),
        ("1e3", 1000),
        ("1E-3", 0.001),
        ("007", 7),
        ("1e-400", 0),
    ],
)
def test_decimals_are_numbers(text: str, value: float) -> None:
    assert number(text) == value


@pytest.mark.parametrize(
    "text", ["", " 1", "1\n", "1,5", "1_0", "0x1f", "nan", "inf", "-inf", "1e999", "e5", ".", "١", "1 000"]
)
def test_anything_else_is_none(text: str) -> None:
    assert number(text) is None


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-05-01", datetime(2024, 5, 1, tzinfo=UTC)),
        ("2024-05-01T10:30", datetime(2024, 5, 1, 10, 30, tzinfo=UTC)),
        ("2024-05-01 10:30:15.5", datetime(2024, 5, 1, 10, 30, 15, 500_000, tzinfo=UTC)),
        ("2024-05-01T10:30:15.123456789Z", datetime(2024, 5, 1, 10, 30, 15, 123_456, tzinfo=UTC)),
        ("2024-05-01T00:30+01:00", datetime(2024, 4, 30, 23, 30, tzinfo=UTC)),
        ("2024-05-01T00:30-0530", datetime(2024, 5, 1, 6, 0, tzinfo=UTC)),
    ],
)
def test_dates_and_date_times_are_instants_in_utc(text: str, moment: datetime) -> None:
    found = instant(text)
    assert found == moment
    assert found is not None
    assert found.tzinfo == UTC


@pytest.mark.parametrize(
    "text",
    [
        *("", "2024", "2024-05", "2024-5-1", "20240501", "2024-W18-3", "2024-121", "01.05.2024", "2024-05-01Z"),
        *("2023-02-29", "2024-13-01", "2024-05-01T24:01", "2024-05-01T10:30:60", "2024-05-01T10", "２０２４-05-01"),
        *(
            "2024-05-01T10:30+25:00",
            "2024-05-01x10:30",
            "2024-05-01\n",
            "0001-01-01T00:00+01:00",
            "9999-12-31T23:59-01:00",
        ),
    ],
)
def test_what_is_no_instant_of_the_calendar_is_none(text: str) -> None:
    assert instant(text) is None


@given(st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31)), st.integers(-1439, 1439))  # noqa: DTZ001
def test_what_python_writes_is_read_as_the_same_instant(moment: datetime, offset_min: int) -> None:
    aware = moment.replace(tzinfo=timezone(timedelta(minutes=offset_min)))
    assert instant(aware.isoformat()) == aware


@given(st.text() | st.from_regex(r"[0-9:TZ+ .-]{1,30}"))
def test_any_text_is_judged_without_an_error(text: str) -> None:
    found = number(text)
    if found is not None:
        assert found == float(text)
    moment = instant(text)
    assert moment is None or moment.tzinfo == UTC
