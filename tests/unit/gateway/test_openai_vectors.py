"""Vectors as clients of OpenAI's API read them, and what they may ask for."""

from __future__ import annotations

import asyncio
import base64
import json
import struct
from collections.abc import Mapping, MutableMapping
from contextlib import AsyncExitStack
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway.encoding import Encoded
from gateway.openai_api.embedding_schemas import EmbeddingList, EmbeddingsBody
from gateway.openai_api.vectors import VectorList, pieces

Row = list[float]
floats = st.floats(width=32, allow_nan=False, allow_infinity=False)


def encoded(*rows: Row, tokens: int | None = 7) -> Encoded:
    vectors = [base64.b64encode(struct.pack(f"<{len(row)}f", *row)).decode() for row in rows]
    return Encoded(model='all-"Mini"', vectors=vectors, tokens=tokens)


def written(found: Encoded, *, as_numbers: bool) -> EmbeddingList:
    return EmbeddingList.model_validate_json(b"".join(pieces(found, as_numbers=as_numbers)))


@given(rows=st.lists(st.lists(floats, min_size=1, max_size=5), min_size=1, max_size=4))
def test_numbers_are_exactly_those_that_were_encoded(rows: list[Row]) -> None:
    found = written(encoded(*rows), as_numbers=True)

    for row, read in zip(rows, found.data, strict=True):
        assert [struct.unpack("<f", struct.pack("<f", number))[0] for number in read.embedding] == row
    assert [each.index for each in found.data] == list(range(len(rows)))


def test_in_base64_they_pass_as_they_came() -> None:
    found = encoded([0.5, -1.0], [0.0, 1.0])

    assert [each.embedding for each in written(found, as_numbers=False).data] == found.vectors


@pytest.mark.parametrize(("tokens", "told"), [(7, 7), (None, 0)])
def test_tokens_are_told_where_they_are_known(tokens: int | None, told: int) -> None:
    found = written(encoded([1.0], tokens=tokens), as_numbers=True)

    assert (found.model, found.usage.prompt_tokens, found.usage.total_tokens) == ('all-"Mini"', told, told)


class Closing:
    def __init__(self) -> None:
        self.stack = AsyncExitStack()
        self.closed = False
        self.stack.callback(self._close)

    def _close(self) -> None:
        self.closed = True


async def receive() -> MutableMapping[str, Any]:
    raise AssertionError("the body was read before")


async def test_what_is_sent_is_whole_and_lets_go_of_what_it_held() -> None:
    sent, closing = list[Mapping[str, Any]](), Closing()

    async def send(message: MutableMapping[str, Any]) -> None:
        assert not closing.closed
        sent.append(message)

    response = VectorList(encoded([1.0]), as_numbers=True, within_s=10, resources=closing.stack)
    await response({"type": "http"}, receive, send)

    body = b"".join(message.get("body", b"") for message in sent)
    assert json.loads(body)["data"][0]["embedding"] == [1.0]
    assert (sent[0]["status"], sent[-1]["more_body"], closing.closed) == (200, False, True)
    assert (b"content-type", b"application/json") in sent[0]["headers"]


async def test_a_reader_that_does_not_read_is_let_go() -> None:
    sent, closing = list[Mapping[str, Any]](), Closing()

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)
        if message.get("body"):
            await asyncio.Event().wait()

    response = VectorList(encoded([1.0]), as_numbers=True, within_s=0.05, resources=closing.stack)
    await response({"type": "http"}, receive, send)

    assert closing.closed
    assert sent[-1]["more_body"]  # it has no end, so the server closes the connection


@pytest.mark.parametrize("given", ["Bees dance.", ["Bees dance."]])
def test_one_text_is_as_good_as_a_list_of_one(given: object) -> None:
    body = EmbeddingsBody.model_validate({"model": "waggle", "input": given, "user": "somebody"})

    assert body.input == ("Bees dance.",)
    assert (body.extension.input_type, body.extension.deadline_s) == ("passage", 60)


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"input": [1, 2]}, "tokens of another model"),
        ({"input": [[1, 2], [3]]}, "check_embedding_ctx_length=False"),
        ({"input": []}, "at least 1 item"),
        ({"input": ""}, "at least 1 character"),
        ({"input": ["a", ""]}, r"input\.1"),
        ({"input": "a" * 32_769}, "at most 32768 characters"),
        ({"input": ["a"] * 2049}, "at most 2048 items"),
        ({"input": None}, "input"),
        ({"input": {"text": "a"}}, "input"),
        ({}, "required"),
        ({"input": "a", "model": ""}, "model"),
        ({"input": "a", "encoding_format": "int8"}, "encoding_format"),
        ({"input": "a", "dimensions": 0}, "dimensions"),
        ({"input": "a", "waggle": {"input_type": "image"}}, "input_type"),
        ({"input": "a", "waggle": {"deadline_s": 1e9}}, "deadline_s"),
        ({"input": "a", "waggle": {"tenant": "other"}}, "tenant"),
    ],
)
def test_what_cannot_be_encoded_is_refused_by_name(given: dict[str, object], what: str) -> None:
    with pytest.raises(ValidationError, match=what):
        EmbeddingsBody.model_validate_json(json.dumps({"model": "waggle", **given}))
