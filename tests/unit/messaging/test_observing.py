"""Answers of the observer: cut into parts and put together again."""

from __future__ import annotations

import os
import zlib
from base64 import b64encode

import pytest

from contracts.observing import MOST_ANSWER_BYTES, PART_BYTES, ErrorType, ObserverReplyPart
from messaging.observing import Answer, AnswerLostError
from messaging.observing.answers import Assembly, parts_of

WIRE_BYTES = 256 * 1024
NOISE = os.urandom(3 * PART_BYTES // 2).hex().encode()


def assembled(parts: list[ObserverReplyPart]) -> Answer | None:
    assembly = Assembly()
    return [assembly.add(ObserverReplyPart.from_bytes(part.to_bytes())) for part in parts][-1]


@pytest.mark.parametrize(
    ("body", "number", "compressed"),
    [
        (b"", 1, False),
        (b"{}", 1, False),
        (b"up " * 500_000, 1, True),
        (NOISE, 2, True),
        (os.urandom(PART_BYTES), 1, False),
    ],
    ids=["nothing", "short", "repetitive", "noise as hex", "what cannot be compressed"],
)
def test_an_answer_comes_through_its_parts_as_it_was(body: bytes, number: int, compressed: bool) -> None:
    parts = list(parts_of(Answer(body=body, status=200, media_type="text/plain"), answerer="observer-1"))

    assert [(part.number, part.last, part.compressed) for part in parts] == [
        (n, n == number - 1, compressed) for n in range(number)
    ]
    assert all(len(part.to_bytes()) <= WIRE_BYTES for part in parts)
    assert assembled(parts) == Answer(body=body, status=200, media_type="text/plain")


def test_the_largest_answer_is_taken_and_one_byte_more_is_refused_with_what_to_do() -> None:
    whole = assembled(list(parts_of(Answer(body=bytes(MOST_ANSWER_BYTES)), answerer="o")))
    refused = assembled(list(parts_of(Answer(body=bytes(MOST_ANSWER_BYTES + 1)), answerer="o")))

    assert whole is not None
    assert refused is not None
    assert len(whole.body) == MOST_ANSWER_BYTES
    assert refused.status == 422
    assert refused.problem()[0] is ErrorType.EXECUTION
    assert "longer step" in refused.problem()[1]


def test_a_lost_part_is_noticed_by_the_next_one() -> None:
    first, last = parts_of(Answer(body=NOISE), answerer="o")
    with pytest.raises(AnswerLostError, match="part 0"):
        Assembly().add(last)
    assembly = Assembly()
    assembly.add(first)
    with pytest.raises(AnswerLostError, match="part 1"):
        assembly.add(first)


def test_parts_of_two_observers_are_never_joined() -> None:
    first, last = parts_of(Answer(body=NOISE), answerer="one")
    assembly = Assembly()
    assembly.add(first)
    for part in parts_of(Answer(body=b"another"), answerer="two"):
        assert assembly.add(part) is None
    whole = assembly.add(last)
    assert whole is not None
    assert whole.body == NOISE


@pytest.mark.parametrize(
    "data",
    [b"no zlib", zlib.compress(NOISE)[:-9], zlib.compress(bytes(MOST_ANSWER_BYTES + 1))],
    ids=["garbage", "cut short", "a bomb"],
)
def test_what_cannot_be_unpacked_is_an_answer_lost(data: bytes) -> None:
    whole = claiming_compression(data)
    assembly = Assembly()
    for part in whole[:-1]:
        assembly.add(part)
    with pytest.raises(AnswerLostError):
        assembly.add(whole[-1])


def claiming_compression(data: bytes) -> list[ObserverReplyPart]:
    return [
        ObserverReplyPart(
            answerer="o",
            number=start // PART_BYTES,
            last=start + PART_BYTES >= len(data),
            status=200,
            compressed=True,
            data=b64encode(data[start : start + PART_BYTES]),
        )
        for start in range(0, len(data), PART_BYTES)
    ]


@pytest.mark.parametrize(
    ("kind", "status"), [("bad_data", 400), ("execution", 422), ("timeout", 503), ("internal", 500)]
)
def test_errors_have_the_statuses_of_prometheus(kind: str, status: int) -> None:
    answer = Answer.document({"status": "error", "errorType": kind, "error": "no"})
    assert (answer.status, answer.is_success, answer.problem()) == (status, False, (kind, "no"))
    assert Answer.document({"status": "success", "data": []}).is_success


def test_an_error_without_a_reason_is_still_an_error() -> None:
    assert Answer(body=b"<html>", status=502).problem()[0] is ErrorType.INTERNAL
