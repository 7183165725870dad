"""How bytes become messages, and what is refused."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from contracts.documents import IngestRequest
from contracts.errors import InvalidMessageError, NewerSchemaError
from contracts.identifiers import chunk_id, digest
from contracts.queries import QueryRequest


def test_a_message_survives_its_journey() -> None:
    request = QueryRequest(query="Wie hoch ist 蜂箱?", principal="ana")
    assert QueryRequest.from_bytes(request.to_bytes()) == request


def test_a_message_cannot_be_changed() -> None:
    request = QueryRequest(query="why?")
    with pytest.raises(ValidationError):
        request.query = "how?"  # type: ignore[misc]  # that it is refused is the point


def test_a_newer_version_is_left_for_a_worker_that_knows_it() -> None:
    body = json.dumps({"schema_version": 99, "query": "why?", "unheard_of": 1}).encode()
    with pytest.raises(NewerSchemaError, match="upgrade"):
        QueryRequest.from_bytes(body)


def test_a_newer_version_of_the_same_shape_is_not_read_either() -> None:
    with pytest.raises(NewerSchemaError):
        QueryRequest.from_bytes(f'{{"schema_version": {QueryRequest.VERSION + 1}, "query": "why?"}}'.encode())


def test_an_older_version_is_read_with_what_it_lacks_at_its_default() -> None:
    assert QueryRequest.from_bytes(b'{"schema_version": 1, "query": "why?"}').stream


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b'{"query": ""}',
        b'{"query": "a", "surplus": 1}',
        b'{"query": "a", "tenant": "a.b"}',
        b'{"query": "a", "query_id": "*"}',
        b"[" * 100_000,
        b'{"query": "\\ud800"}',
    ],
)
def test_what_is_no_message_is_refused_without_quoting_it(body: bytes) -> None:
    with pytest.raises(InvalidMessageError, match="not a QueryRequest"):
        QueryRequest.from_bytes(body)


@given(st.binary(max_size=200))
def test_any_bytes_either_parse_or_are_refused(body: bytes) -> None:
    with contextlib.suppress(InvalidMessageError, NewerSchemaError):
        assert IngestRequest.from_bytes(body).generation


def test_a_chunk_id_is_the_same_whenever_it_is_derived_and_differs_by_every_part() -> None:
    base = ("acme", "handbook", "01J", 3)
    assert chunk_id(*base) == chunk_id(*base)
    others = {chunk_id("acme", "handbook", "01J", 4), chunk_id("acme", "handbook", "01K", 3)}
    others |= {chunk_id("acme", "manual", "01J", 3), chunk_id("b", "handbook", "01J", 3)}
    assert len(others | {chunk_id(*base)}) == 5


def test_a_digest_knows_where_its_parts_end() -> None:
    assert digest("ab", "c") != digest("a", "bc")
