"""An answer of the observer, cut into parts and put together again."""

from __future__ import annotations

import json
import zlib
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ValidationError

from contracts.observing import MOST_ANSWER_BYTES, PART_BYTES, ErrorType, ObserverReplyPart
from messaging.observing.errors import AnswerLostError

Model = TypeVar("Model", bound=BaseModel)

COMPRESSED_FROM_BYTES = 4 * 1024
"""Smaller answers travel as they are."""
_LEVEL = 1
"""Series as JSON shrink tenfold at the lowest level already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A body with its HTTP status. One that is no success holds Prometheus' error document."""

    body: bytes
    status: int = 200
    media_type: str = "application/json"

    @classmethod
    def of(cls, view: BaseModel) -> Self:
        """What was asked for."""
        return cls(body=view.model_dump_json().encode())

    @classmethod
    def document(cls, document: dict[str, Any]) -> Self:
        """A document of Prometheus' HTTP API, whose `errorType` decides the status."""
        kind = document.get("errorType")
        return cls(body=_json(document), status=200 if kind is None else ErrorType(kind).status)

    @classmethod
    def error(cls, kind: ErrorType, message: str) -> Self:
        """Why there is none."""
        return cls.document({"status": "error", "errorType": str(kind), "error": message})

    @property
    def is_success(self) -> bool:
        return self.status < 300

    def read(self, model: type[Model]) -> Model:
        """What was asked for, as what it is. Raises `AnswerLostError` when the observer is of a release that has it otherwise."""
        try:
            return model.model_validate_json(self.body)
        except ValidationError as error:
            raise AnswerLostError(
                f"the observer's answer is no {model.__name__} of this release: run observer and gateway of the same one"
            ) from error

    def problem(self) -> tuple[ErrorType, str]:
        """Of an answer that is no success: why."""
        try:
            document = json.loads(self.body)
            return ErrorType(document["errorType"]), str(document["error"])
        except (ValueError, KeyError, TypeError):
            return ErrorType.INTERNAL, f"the observer answered {self.status} without a reason that can be read"


def parts_of(answer: Answer, *, answerer: str) -> Iterator[ObserverReplyPart]:
    """The parts that the answer travels in: compressed where that pays, and an error in place of one that is too large."""
    if len(answer.body) > MOST_ANSWER_BYTES:
        answer = Answer.error(
            ErrorType.EXECUTION,
            f"the answer has {len(answer.body)} bytes and may have {MOST_ANSWER_BYTES}: ask for fewer series, a shorter "
            "range or a longer step",
        )
    data, compressed = _packed(answer.body)
    for start in range(0, max(len(data), 1), PART_BYTES):
        yield ObserverReplyPart(
            answerer=answerer,
            number=start // PART_BYTES,
            last=start + PART_BYTES >= len(data),
            status=answer.status,
            media_type=answer.media_type,
            compressed=compressed,
            data=b64encode(data[start : start + PART_BYTES]),
        )


class Assembly:
    """Puts an answer together from the parts of one observer; those of another, which believes that it leads, are left
    aside.
    """

    def __init__(self) -> None:
        self._first: ObserverReplyPart | None = None
        self._data = bytearray()
        self.received = 0

    def add(self, part: ObserverReplyPart) -> Answer | None:
        """The whole answer, once `part` is its last one. Raises `AnswerLostError` when one is missing."""
        if self._first is None:
            self._first = part
        elif part.answerer != self._first.answerer:
            return None
        if part.number != self.received:
            raise AnswerLostError(f"part {self.received} of the observer's answer was lost")
        self._data += part.data
        self.received += 1
        if not part.last:
            return None
        body = _unpacked(bytes(self._data)) if part.compressed else bytes(self._data)
        return Answer(body=body, status=part.status, media_type=part.media_type)


def _packed(body: bytes) -> tuple[bytes, bool]:
    if len(body) < COMPRESSED_FROM_BYTES:
        return body, False
    packed = zlib.compress(body, _LEVEL)
    return (packed, True) if len(packed) < len(body) else (body, False)


def _unpacked(data: bytes) -> bytes:
    """Never more than an answer may have, whatever the parts hold."""
    unpacker = zlib.decompressobj()
    try:
        body = unpacker.decompress(data, MOST_ANSWER_BYTES + 1)
    except zlib.error as error:
        raise AnswerLostError(f"the observer's answer cannot be unpacked: {error}") from error
    if len(body) > MOST_ANSWER_BYTES or not unpacker.eof:
        raise AnswerLostError("the observer's answer is cut short, or larger than an answer may be")
    return body


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
