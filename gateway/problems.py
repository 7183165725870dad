"""Errors over HTTP: problem documents (RFC 9457), each with a stable `code` and a sentence that says what to do.

Problem
├── built by the functions below, one per kind of refusal
└── made from framework errors by `install` (unknown path, wrong method, invalid parameter, a bug)
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from http import HTTPStatus
from typing import TYPE_CHECKING

import structlog
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from contracts.errors import TransientError
from gateway.fetching.errors import (
    FetchError,
    SourceFailedError,
    SourceTooSlowError,
    TooManyFetchesError,
    UrlRefusedError,
)
from gateway.openai_api import errors as openai_errors
from messaging.errors import BrokerFullError, MessageTooLargeError

if TYPE_CHECKING:
    from fastapi import FastAPI

MEDIA_TYPE = "application/problem+json"
_MAX_ERRORS = 10


class ProblemCode(StrEnum):
    """The codes of problems that the gateway itself finds; failed queries carry a `contracts.errors.ErrorCode`."""

    MALFORMED = "malformed_request"
    INVALID = "invalid_request"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    QUOTA_EXCEEDED = "quota_exceeded"
    FORBIDDEN_HOST = "forbidden_host"
    FORBIDDEN_ORIGIN = "forbidden_origin"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    SLOW_BODY = "request_timeout"
    CONFLICT = "conflict"
    KEY_REUSED = "idempotency_key_reused"
    UNDER_WAY = "request_under_way"
    OUTCOME_UNKNOWN = "outcome_unknown"
    QUERY_CANCELLED = "query_cancelled"
    QUERY_ENDED = "query_already_ended"
    CHANGED = "precondition_failed"
    TOO_LARGE = "too_large"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    TOO_MANY = "too_many_requests"
    UNAVAILABLE = "temporarily_unavailable"
    STORAGE_FULL = "storage_full"
    URL_REFUSED = "url_not_allowed"
    SOURCE_REFUSED = "source_refused"
    SOURCE_FAILED = "source_unavailable"
    SOURCE_SLOW = "source_timeout"
    INTERNAL = "internal_error"
    HTTP = "http_error"


class ProblemDocument(BaseModel):
    """What an error response holds (for the OpenAPI document)."""

    type: str
    title: str
    status: int
    detail: str
    code: str


class ClientGoneError(Exception):
    """The client closed the connection; there is nobody left to answer."""


class Problem(Exception):  # noqa: N818  (named after the RFC's noun)
    """A refusal on its way to the client. `extensions` are further members of the document."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        extensions: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = dict(headers or {})
        self.extensions = dict(extensions or {})

    def document(self) -> dict[str, object]:
        return {
            "type": f"urn:waggle:problem:{self.code}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "code": str(self.code),
            **self.extensions,
        }

    def response(self, path: str) -> Response:
        """In the shape that clients of this path read."""
        if path.startswith(openai_errors.PATHS):
            content = json.dumps(openai_errors.error_of(self), ensure_ascii=False).encode("utf-8", "replace")
            return Response(content, openai_errors.status_of(self), self.headers, media_type="application/json")
        content = json.dumps(self.document(), ensure_ascii=False).encode("utf-8", "replace")
        return Response(content, self.status, self.headers, media_type=MEDIA_TYPE)


def malformed(detail: str) -> Problem:
    """The bytes cannot be read as what they claim to be."""
    return Problem(400, ProblemCode.MALFORMED, detail)


def invalid(detail: str, errors: Sequence[Mapping[str, object]] = ()) -> Problem:
    """Readable, but not what this route takes."""
    return Problem(422, ProblemCode.INVALID, detail, extensions={"errors": list(errors)} if errors else None)


def unauthorized() -> Problem:
    """No key, or none that opens anything: which of them, and why, is told to nobody."""
    detail = "Show an API key that is in force: `Authorization: Bearer wk_…`. `waggle keys create` makes one."
    return Problem(401, ProblemCode.UNAUTHORIZED, detail, headers={"WWW-Authenticate": "Bearer"})


def forbidden(detail: str) -> Problem:
    """The key is in force, and does not allow this."""
    return Problem(403, ProblemCode.FORBIDDEN, detail)


def quota_exceeded(detail: str) -> Problem:
    """The tenant has as much as it may have."""
    return Problem(403, ProblemCode.QUOTA_EXCEEDED, detail)


def not_found(detail: str) -> Problem:
    return Problem(404, ProblemCode.NOT_FOUND, detail)


def conflict(detail: str) -> Problem:
    """What is asked for is not possible as things stand; the sentence says what to do instead."""
    return Problem(409, ProblemCode.CONFLICT, detail)


def too_large(detail: str) -> Problem:
    return Problem(413, ProblemCode.TOO_LARGE, detail)


def unsupported_media_type(detail: str) -> Problem:
    return Problem(415, ProblemCode.UNSUPPORTED_MEDIA_TYPE, detail)


def slow_body(detail: str) -> Problem:
    """The client stopped sending; the connection is of no more use."""
    return Problem(408, ProblemCode.SLOW_BODY, detail, headers={"Connection": "close"})


def too_many(detail: str, *, policy: str, allowed: int, window_s: int, retry_after_s: int) -> Problem:
    """Nothing was accepted since too much waits. `allowed` in `window_s` seconds is what could be done.

    The fields RateLimit and RateLimit-Policy are those of draft-ietf-httpapi-ratelimit-headers-10.
    """
    headers = {
        "Retry-After": str(retry_after_s),
        "RateLimit-Policy": f'"{policy}";q={allowed};w={window_s}',
        "RateLimit": f'"{policy}";r=0;t={retry_after_s}',
    }
    return Problem(429, ProblemCode.TOO_MANY, detail, headers=headers)


def busy(detail: str, *, retry_after_s: int = 1) -> Problem:
    """Nothing was accepted since as much is in hand as can be; it is soon done, at no rate that could be promised."""
    return Problem(429, ProblemCode.TOO_MANY, detail, headers={"Retry-After": str(retry_after_s)})


def unavailable(detail: str, *, retry_after_s: float = 2.0, **extensions: object) -> Problem:
    """Nothing was accepted; the same request may succeed after `retry_after_s`."""
    seconds = str(max(1, round(retry_after_s)))
    return Problem(
        503, ProblemCode.UNAVAILABLE, detail, headers={"Retry-After": seconds}, extensions=extensions or None
    )


def sentence(error: Exception) -> str:
    """What an error says, as a sentence."""
    return f"{str(error)[:1].upper()}{str(error)[1:]}."


def of_transient(error: TransientError) -> Problem:
    """Something behind the gateway is away or full."""
    problem = unavailable(sentence(error), retry_after_s=error.retry_after_s or 2.0)
    if isinstance(error, BrokerFullError):
        problem.code = ProblemCode.STORAGE_FULL
    return problem


def of_fetching(error: FetchError) -> Problem:
    """A document that was not fetched: 422 where asking again does not help, else 502, 503 or 504."""
    match error:
        case UrlRefusedError():
            return Problem(422, ProblemCode.URL_REFUSED, str(error))
        case SourceTooSlowError():
            return Problem(504, ProblemCode.SOURCE_SLOW, str(error))
        case SourceFailedError():
            return Problem(502, ProblemCode.SOURCE_FAILED, str(error))
        case TooManyFetchesError():
            return unavailable(str(error))
        case _:
            return Problem(422, ProblemCode.SOURCE_REFUSED, str(error))


def of_validation(error: ValidationError) -> Problem:
    """A body that broke its schema: 400 when it is no JSON at all, 422 with the first offending fields otherwise."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    if found and found[0]["type"] == "json_invalid":
        return malformed(f"The body is not valid JSON: {found[0]['msg']}.")
    return _of_errors([(item["loc"], item["msg"]) for item in found])


def _of_errors(found: Sequence[tuple[Sequence[int | str], str]]) -> Problem:
    errors = [{"field": ".".join(map(str, loc)) or "body", "message": _plain(msg)} for loc, msg in found[:_MAX_ERRORS]]
    detail = "; ".join(f"{item['field']}: {item['message']}" for item in errors[:3])
    return invalid(f"{detail}.", errors)


def _plain(message: str) -> str:
    return message.removeprefix("Value error, ")


def _of_http(error: HTTPException) -> Problem:
    if error.status_code == 404:
        return not_found("There is nothing at this path. /openapi.json lists every route.")
    if error.status_code == 405:
        detail = "This path does not take that method; the Allow header names those it takes."
        return Problem(405, ProblemCode.METHOD_NOT_ALLOWED, detail, headers=error.headers)
    return Problem(error.status_code, ProblemCode.HTTP, str(error.detail), headers=error.headers)


def install(app: FastAPI) -> None:
    """Have every error of `app` leave as a problem document."""
    log = structlog.get_logger("gateway")

    async def on_problem(request: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        return error.response(request.url.path)

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return _of_http(error).response(request.url.path)

    async def on_parameters(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        found = [(item["loc"][1:] or item["loc"], item["msg"]) for item in error.errors()]
        return _of_errors(found).response(request.url.path)

    async def on_transient(request: Request, error: Exception) -> Response:
        assert isinstance(error, TransientError)
        log.warning("refused for now", reason=str(error))
        return of_transient(error).response(request.url.path)

    async def on_too_large(request: Request, error: Exception) -> Response:
        return too_large(f"This is more than fits into one message: {error}.").response(request.url.path)

    async def on_gone(_: Request, __: Exception) -> Response:
        return Response(status_code=400)

    async def on_bug(request: Request, error: Exception) -> Response:
        log.error("request failed", error=repr(error))
        detail = "The gateway failed to handle this request; its log has the reason."
        return Problem(500, ProblemCode.INTERNAL, detail).response(request.url.path)

    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_parameters)
    app.add_exception_handler(TransientError, on_transient)
    app.add_exception_handler(MessageTooLargeError, on_too_large)
    app.add_exception_handler(ClientGoneError, on_gone)
    app.add_exception_handler(Exception, on_bug)
