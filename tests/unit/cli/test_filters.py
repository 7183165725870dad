"""How conditions are written on the command line."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.exits import CommandError, Exit
from cli.filters import metadata_filters
from contracts.queries import Filters


def read(*filters: str, literal: tuple[str, ...] = ()) -> dict[str, object]:
    return metadata_filters(filters, literal=literal)


@pytest.mark.parametrize(
    ("written", "condition"),
    [
        ("lang=en", ["en"]),
        ("lang=en|de", ["en", "de"]),
        ("lang = en | de", ["en", "de"]),
        ("lang=", [""]),
        ("lang=a=b", ["a=b"]),
        ("lang=two words", ["two words"]),
        ("lang=a>b", ["a>b"]),
        ("lang=a\nb", ["a\nb"]),
        ("path^=docs/", {"prefix": "docs/"}),
        ("path^=a|b", {"prefix": "a|b"}),
        ("path^=蜜蜂", {"prefix": "蜜蜂"}),
        ("year>=2020", {"gte": 2020}),
        ("year > -1.5e3", {"gt": -1500}),
        ("year<=2020", {"lte": 2020}),
        ("year<2020", {"lt": 2020}),
        ("date<2024-05-01", {"lt": "2024-05-01"}),
        ("date>=2024-05-01T12:30:00+02:00", {"gte": "2024-05-01T12:30:00+02:00"}),
    ],
)
def test_a_filter_is_a_key_an_operator_and_a_value(written: str, condition: object) -> None:
    (said,) = read(written).values()
    assert said == condition


def test_what_is_said_of_one_key_is_one_condition() -> None:
    assert read("year>=2020", "lang=en", "year<2024", "year=2020|2021") == {
        "year": {"gte": 2020, "lt": 2024, "any_of": ["2020", "2021"]},
        "lang": ["en"],
    }


def test_values_of_one_key_add_up_also_those_that_stand_as_they_are() -> None:
    assert read("lang=en", "lang=de|fr", literal=("lang=a|b", "lang==x", "kind=news")) == {
        "lang": ["en", "de", "fr", "a|b", "=x"],
        "kind": ["news"],
    }


@pytest.mark.parametrize(
    "written",
    [
        "",
        "lang",
        "=en",
        "lang!=en",
        "lang==en",
        "year=>2020",
        "year=<2020",
        "year<>2020",
        "year^2020",
        "1st=x",
        "a b=c",
        "a.b=c",
    ],
)
def test_anything_else_is_wrong_usage_with_examples(written: str) -> None:
    with pytest.raises(CommandError, match="is not a filter, for example") as refused:
        read(written)
    assert repr(written) in refused.value.message
    assert (refused.value.code, "--where" in refused.value.hint) == (Exit.USAGE, True)


@pytest.mark.parametrize("written", ["year>", "year>=now", "year<2024-02-30", "year>nan", "year<=inf", "year>1 000"])
def test_only_numbers_and_dates_are_compared(written: str) -> None:
    with pytest.raises(CommandError, match="neither a number nor a date") as refused:
        read(written)
    assert (refused.value.code, repr(written) in refused.value.message) == (Exit.USAGE, True)


@pytest.mark.parametrize("again", [("year>1", "year>2"), ("path^=a", "path^=b")])
def test_one_bound_is_not_given_twice(again: tuple[str, str]) -> None:
    with pytest.raises(CommandError, match="says again") as refused:
        read(*again)
    assert again[1] in refused.value.message


@pytest.mark.parametrize("literal", ["lang", ""])
def test_what_stands_as_it_is_has_a_key(literal: str) -> None:
    with pytest.raises(CommandError, match="is not KEY=VALUE"):
        read(literal=(literal,))


@given(st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,5} ?(=|\^=|>=|<=|>|<) ?[0-9a-z|=<>. -]{0,20}[0-9a-z]", fullmatch=True))
def test_what_is_read_is_what_a_question_takes(written: str) -> None:
    with suppress(CommandError):
        assert Filters.model_validate({"metadata": read(written)}).metadata
