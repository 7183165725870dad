"""What a question may end with, as Prometheus names it.

WaggleError
└── QueryError   has `kind` and, with it, the HTTP status
"""

from __future__ import annotations

from enum import StrEnum
from http import HTTPStatus
from typing import Final

from contracts.errors import WaggleError


class ErrorKind(StrEnum):
    """`errorType` of an answer."""

    BAD_DATA = "bad_data"
    EXECUTION = "execution"
    TIMEOUT = "timeout"
    NOT_FOUND = "not_found"


STATUS: Final = {
    ErrorKind.BAD_DATA: HTTPStatus.BAD_REQUEST,
    ErrorKind.EXECUTION: HTTPStatus.UNPROCESSABLE_ENTITY,
    ErrorKind.TIMEOUT: HTTPStatus.SERVICE_UNAVAILABLE,
    ErrorKind.NOT_FOUND: HTTPStatus.NOT_FOUND,
}


class QueryError(WaggleError):
    """A question that has no answer; the message says what to ask instead."""

    def __init__(self, kind: ErrorKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def bad_data(message: str) -> QueryError:
    """What was asked is no question."""
    return QueryError(ErrorKind.BAD_DATA, message)
