"""Recurring times: nights, weekends, holidays."""

from __future__ import annotations

import calendar
import re
from datetime import UTC, datetime, time
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BeforeValidator, Field, field_validator, model_validator

from observability.notifications.configuration.base import Name, Part

MINUTES_A_DAY = 24 * 60
_CLOCK = re.compile(r"([01][0-9]|2[0-4]):([0-5][0-9])")
_WEEKDAYS = {name: number for number, name in enumerate(day.lower() for day in calendar.day_name)}
_MONTHS = {calendar.month_name[number].lower(): number for number in range(1, 13)}
Range = tuple[int, int]


def _minutes(value: Any) -> Any:
    """`09:30` as minutes since midnight; `24:00` is the day's end."""
    found = _CLOCK.fullmatch(value) if isinstance(value, str) else None
    minutes = int(found[1]) * 60 + int(found[2]) if found else MINUTES_A_DAY + 1
    if minutes > MINUTES_A_DAY:
        raise ValueError(f"{value!r} is not a time from '00:00' to '24:00', in quotation marks")
    return minutes


def _ranges(value: Any, names: dict[str, int], low: int, high: int, *, what: str) -> tuple[Range, ...]:
    if not isinstance(value, list | tuple) or not value:
        raise ValueError(f"is a list of {what}")
    return tuple(_range(str(item), names, low, high, what) for item in value)


def _range(text: str, names: dict[str, int], low: int, high: int, what: str) -> Range:
    first, _, last = text.partition(":")
    begin, end = (_number(part.strip().lower(), names) for part in (first, last or first))
    if begin is None or end is None or not all(low <= number <= high and number for number in (begin, end)):
        raise ValueError(f"{text!r} is none of {what}")
    return begin, end


def _number(text: str, names: dict[str, int]) -> int | None:
    if text in names:
        return names[text]
    return int(text) if re.fullmatch(r"-?[0-9]{1,4}", text) else None


def _ordered(ranges: tuple[Range, ...]) -> tuple[Range, ...]:
    for begin, end in ranges:
        if begin > end and (begin > 0) == (end > 0):
            raise ValueError(f"{begin}:{end} ends before it begins")
    return ranges


def _weekdays(value: Any) -> Any:
    numbered = {name: number + 1 for name, number in _WEEKDAYS.items()}
    return _ranges(value, numbered, 1, 7, what="monday to sunday, as 'monday:friday'")


def _days(value: Any) -> Any:
    return _ordered(_ranges(value, {}, -31, 31, what="1 to 31, or from the month's end -1 to -31, as '-7:-1'"))


def _months(value: Any) -> Any:
    return _ordered(_ranges(value, _MONTHS, 1, 12, what="january to december or 1 to 12, as 'june:august'"))


def _years(value: Any) -> Any:
    return _ordered(_ranges(value, {}, 1970, 9999, what="years, as '2026:2028'"))


class TimesOfDay(Part):
    """From `start_time` up to but not including `end_time`."""

    start_time: Annotated[int, BeforeValidator(_minutes)]
    end_time: Annotated[int, BeforeValidator(_minutes)]

    @model_validator(mode="after")
    def _forward(self) -> TimesOfDay:
        if self.end_time <= self.start_time:
            raise ValueError("ends before it begins: give a night as two, up to '24:00' and from '00:00'")
        return self

    def holds(self, moment: time) -> bool:
        return self.start_time <= moment.hour * 60 + moment.minute < self.end_time


class Recurring(Part):
    """All that is given has to hold: a time of day, a weekday, a day, a month, a year, by the clock of `location`."""

    times: tuple[TimesOfDay, ...] | None = Field(default=None, min_length=1)
    weekdays: Annotated[tuple[Range, ...], BeforeValidator(_weekdays)] | None = None
    days_of_month: Annotated[tuple[Range, ...], BeforeValidator(_days)] | None = None
    months: Annotated[tuple[Range, ...], BeforeValidator(_months)] | None = None
    years: Annotated[tuple[Range, ...], BeforeValidator(_years)] | None = None
    location: str = "UTC"

    @field_validator("location")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"{name!r} is not a time zone such as Europe/Berlin") from error
        return name

    def holds(self, moment: datetime) -> bool:
        here = moment.astimezone(UTC if self.location == "UTC" else ZoneInfo(self.location))
        return (
            (self.times is None or any(times.holds(here.time()) for times in self.times))
            and _within(self.weekdays, here.isoweekday())
            and self._day_holds(here)
            and _within(self.months, here.month)
            and _within(self.years, here.year)
        )

    def _day_holds(self, here: datetime) -> bool:
        if self.days_of_month is None:
            return True
        last = calendar.monthrange(here.year, here.month)[1]
        counted = ((_from_start(begin, last), _from_start(end, last)) for begin, end in self.days_of_month)
        return any(begin <= here.day <= end for begin, end in counted)


class TimeInterval(Part):
    """A name for times; it holds when one of them does."""

    name: Name
    time_intervals: tuple[Recurring, ...] = Field(min_length=1, max_length=64)

    def holds(self, moment: datetime) -> bool:
        return any(recurring.holds(moment) for recurring in self.time_intervals)


def _within(ranges: tuple[Range, ...] | None, number: int) -> bool:
    """A range that ends before it begins goes on at the beginning: saturday:monday."""
    if ranges is None:
        return True
    return any(b <= number <= e if b <= e else number >= b or number <= e for b, e in ranges)


def _from_start(day: int, last: int) -> int:
    return day if day > 0 else last + 1 + day
