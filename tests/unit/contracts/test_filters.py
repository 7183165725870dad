"""How filters are written, and what the refusal of a wrong one says."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from contracts.errors import InvalidMessageError
from contracts.queries import Condition, Filters, QueryRequest


def condition(written: object) -> Condition:
    return Filters.model_validate_json(json.dumps({"metadata": {"key": written}})).metadata["key"]


def refusal(written: object) -> tuple[str, str]:
    with pytest.raises(ValidationError) as refused:
        condition(written)
    (error,) = refused.value.errors()
    return ".".join(map(str, error["loc"])), error["msg"]


def test_a_text_stands_for_itself_and_a_list_for_any_of_it() -> None:
    assert condition("en") == condition(["en"]) == condition({"any_of": ["en"]}) == Condition(any_of=("en",))
    assert condition([]) == Condition(any_of=())


def test_bounds_are_numbers_or_instants() -> None:
    assert condition({"gte": 2020, "lt": 2024.5}) == Condition(gte=2020.0, lt=2024.5)
    may = datetime(2024, 5, 1, tzinfo=UTC)
    for written in ("2024-05-01", "2024-05-01T00:00", "2024-05-01T00:00:00Z", "2024-05-01T02:00:00+02:00"):
        assert condition({"gt": written}) == Condition(gt=may)


def test_what_is_null_is_not_asked_for() -> None:
    assert condition({"any_of": None, "prefix": "a", "gt": None}) == Condition(prefix="a")


@pytest.mark.parametrize(
    ("written", "field", "says"),
    [
        ({}, "", "needs one of any_of, prefix, gt, gte, lt, lte"),
        ({"gt": None}, "", "needs one of"),
        (None, "", "a string, a list of strings or an object"),
        (2020, "", "a string, a list of strings or an object"),
        ({"ge": 2020}, "", "has no 'ge', only any_of, prefix, gt, gte, lt, lte"),
        ({"not": "en", "gt": 1}, "", "has no 'not'"),
        ({"gt": 1, "gte": 2}, "", "gt and gte exclude each other"),
        ({"lt": 1, "lte": 2}, "", "lt and lte exclude each other"),
        ({"gt": 1, "lt": "2024-05-01"}, "", "two numbers or two dates"),
        ({"gt": "2020"}, ".gt", "a finite number without quotes"),
        ({"lt": "2024-02-30"}, ".lt", "an ISO 8601 date or date-time in quotes"),
        ({"lt": "yesterday"}, ".lt", "an ISO 8601 date or date-time in quotes"),
        ({"gte": True}, ".gte", "a finite number"),
        ({"gte": [1]}, ".gte", "a finite number"),
        ({"gte": 10**400}, ".gte", "a finite number"),
        ({"lte": float("nan")}, ".lte", "a finite number"),
        ({"lte": float("-inf")}, ".lte", "a finite number"),
        ({"any_of": "en"}, ".any_of", "a list of strings"),
        ([2020], ".any_of", "a list of strings"),
        ({"any_of": ["en", None]}, ".any_of", "a list of strings"),
        ({"prefix": ""}, ".prefix", "1 to 64 characters"),
        ({"prefix": "x" * 65}, ".prefix", "1 to 64 characters"),
        ({"prefix": ["docs/"]}, ".prefix", "1 to 64 characters"),
    ],
)
def test_a_wrong_condition_is_refused_where_it_is_wrong_with_an_example(written: object, field: str, says: str) -> None:
    place, message = refusal(written)
    assert place == f"metadata.key{field}"
    assert says in message
    assert "for example" in message


@pytest.mark.parametrize("written", [["x"] * 1001, "x" * 1025, ["a\0b"], {"prefix": "a\0b"}])
def test_there_are_bounds_to_what_is_asked(written: object) -> None:
    assert refusal(written)


def test_no_more_than_sixteen_keys_are_asked_for() -> None:
    with pytest.raises(ValidationError, match="at most 16"):
        Filters.model_validate({"metadata": {f"k{n}": "v" for n in range(17)}})


@pytest.mark.parametrize("key", ["", "a=b", "a#b", "1a", "a^", "jahr-zahl", "x" * 65])
def test_keys_are_those_that_metadata_may_have(key: str) -> None:
    with pytest.raises(ValidationError, match="pattern"):
        Filters.model_validate({"metadata": {key: "v"}})


def test_the_first_letters_of_an_unknown_member_are_told() -> None:
    _, message = refusal({"y" * 5000: 1})
    assert len(message) < 250


BOUNDS = st.floats(allow_nan=False, allow_infinity=False)
CONDITIONS = st.one_of(
    st.builds(Condition, any_of=st.lists(st.sampled_from(["", "a", "蜂"]), max_size=3).map(tuple)),
    st.builds(Condition, prefix=st.sampled_from(["a", "蜜蜂", "x" * 64]), gt=BOUNDS, lte=BOUNDS | st.none()),
    st.builds(Condition, gte=st.datetimes(timezones=st.just(UTC)), lt=st.datetimes(timezones=st.just(UTC)) | st.none()),
)


@given(CONDITIONS)
def test_conditions_survive_their_journey(asked: Condition) -> None:
    request = QueryRequest(query="why?", filters=Filters(metadata={"key": asked}))
    assert QueryRequest.from_bytes(request.to_bytes()) == request


@pytest.mark.parametrize("version", [1, 2])
def test_lists_of_older_versions_mean_what_they_meant(version: int) -> None:
    body = {"schema_version": version, "query": "why?", "filters": {"metadata": {"lang": ["en", "de"]}}}
    request = QueryRequest.from_bytes(json.dumps(body).encode())
    assert request.filters.metadata == {"lang": Condition(any_of=("en", "de"))}


def test_the_refusal_of_a_message_says_the_same() -> None:
    with pytest.raises(InvalidMessageError, match=r"filters\.metadata\.year\.gte: a bound is a finite number"):
        QueryRequest.from_bytes(b'{"query": "why?", "filters": {"metadata": {"year": {"gte": "2020"}}}}')


def test_the_schema_names_all_three_forms() -> None:
    forms: list[dict[str, Any]] = Filters.model_json_schema()["$defs"]["Condition"]["anyOf"]
    assert [form["type"] for form in forms] == ["string", "array", "object"]
    assert set(forms[2]["properties"]) == {"any_of", "prefix", "gt", "gte", "lt", "lte"}
