"""Problems in the shape that clients of OpenAI's API read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from gateway.problems import Problem

PATHS: Final = ("/v1/chat/", "/v1/embeddings", "/v1/models")
"""Where they are answered so."""
_TYPES: Final[Mapping[int, str]] = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    429: "rate_limit_error",
}
_SERVER: Final = "server_error"
_REQUEST: Final = "invalid_request_error"


def status_of(problem: Problem) -> int:
    """What cannot be used is 400 there, also where it can be read."""
    return 400 if problem.status == 422 else problem.status


def error_of(problem: Problem) -> dict[str, Any]:
    """The document of an error: `{"error": {"message", "type", "param", "code"}}`."""
    kind = _SERVER if problem.status >= 500 else _TYPES.get(problem.status, _REQUEST)
    errors = problem.extensions.get("errors")
    first = errors[0].get("field") if isinstance(errors, list) and errors else None
    return {"error": {"message": problem.detail, "type": kind, "param": first, "code": str(problem.code)}}
