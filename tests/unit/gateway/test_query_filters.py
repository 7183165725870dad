"""Filters in the body of a question, and the problems that wrong ones are."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from contracts.queries import Condition
from gateway import problems
from gateway.openapi import json_body
from gateway.query_schemas import QueryBody


def body(metadata: object) -> str:
    return json.dumps({"query": "x", "filters": {"metadata": metadata}})


def problem(metadata: object) -> dict[str, Any]:
    with pytest.raises(ValidationError) as refused:
        QueryBody.model_validate_json(body(metadata))
    return problems.of_validation(refused.value).document()


def test_all_forms_are_taken() -> None:
    written = {"lang": "en", "kind": ["a", "b"], "year": {"gte": 2020, "lt": 2024}, "path": {"prefix": "docs/"}}
    assert QueryBody.model_validate_json(body(written)).filters.metadata == {
        "lang": Condition(any_of=("en",)),
        "kind": Condition(any_of=("a", "b")),
        "year": Condition(gte=2020.0, lt=2024.0),
        "path": Condition(prefix="docs/"),
    }


def test_a_problem_names_the_field_and_shows_an_example() -> None:
    said = problem({"year": {"gte": "2020"}})
    assert (said["status"], said["code"]) == (422, "invalid_request")
    (error,) = said["errors"]
    assert error["field"] == "filters.metadata.year.gte"
    assert "finite number without quotes, for example 2020" in error["message"]
    assert said["detail"] == f"filters.metadata.year.gte: {error['message']}."


def test_every_wrong_condition_is_named() -> None:
    said = problem({"a": {"gt": 1, "gte": 2}, "b": {"like": "x"}, "c": {}})
    assert [error["field"] for error in said["errors"]] == [f"filters.metadata.{key}" for key in "abc"]


def test_the_examples_of_the_schema_are_bodies() -> None:
    for example in QueryBody.model_json_schema()["examples"]:
        assert QueryBody.model_validate(example).query


def test_openapi_shows_the_forms_of_a_condition() -> None:
    schema = json_body(QueryBody)["requestBody"]["content"]["application/json"]["schema"]
    (condition,) = schema["properties"]["filters"]["properties"]["metadata"]["patternProperties"].values()
    assert [form["type"] for form in condition["anyOf"]] == ["string", "array", "object"]
    assert set(condition["anyOf"][2]["properties"]) == {"any_of", "prefix", "gt", "gte", "lt", "lte"}
