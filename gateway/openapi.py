"""What the OpenAPI document says about refusals and hand-read bodies."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from pydantic import BaseModel

from contracts.errors import ErrorCode
from contracts.identifiers import TOKEN
from gateway import idempotency, sse
from gateway.problems import MEDIA_TYPE, ProblemCode

MEANING: Final = {
    400: "Unreadable: not what it claims to be.",
    401: "No key or token that is in force was shown.",
    403: "What was shown does not allow this; or a page of another origin tried to change something.",
    404: "There is no such thing.",
    408: "The body came too slowly.",
    409: "It has ended already, or cannot be done as things stand.",
    412: "It is another one by now than `If-Match` says; nothing was changed.",
    413: "Larger than this route takes.",
    415: "A content type that this route does not take.",
    421: "This gateway serves the names of its own host only: nobody shows a key there.",
    422: "Readable, but not what this route takes; `errors` names the fields.",
    429: "Too much waits already: nothing was accepted, come back after Retry-After.",
    500: "It failed, and would fail again.",
    502: "Whose answer was needed failed, or cannot be reached. Nothing was accepted.",
    503: "Not now; `Retry-After` says when to try again. Nothing was accepted.",
    504: "No answer by the deadline.",
}

_CODES: Final = {
    400: ProblemCode.MALFORMED,
    401: ProblemCode.UNAUTHORIZED,
    403: ProblemCode.FORBIDDEN,
    404: ProblemCode.NOT_FOUND,
    408: ProblemCode.SLOW_BODY,
    409: ProblemCode.CONFLICT,
    412: ProblemCode.CHANGED,
    413: ProblemCode.TOO_LARGE,
    415: ProblemCode.UNSUPPORTED_MEDIA_TYPE,
    421: ProblemCode.FORBIDDEN_HOST,
    422: ProblemCode.INVALID,
    429: ProblemCode.TOO_MANY,
    500: ProblemCode.INTERNAL,
    502: ProblemCode.SOURCE_FAILED,
    503: ProblemCode.UNAVAILABLE,
    504: ErrorCode.DEADLINE_EXCEEDED,
}
JSON: Final = "application/json"
PROBLEM: Final = "Problem"
"""What the schema of a problem document is called."""


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problem responses of a route."""
    return {status: problem_response(status) for status in statuses}


def problem_response(status: int) -> dict[str, Any]:
    """A response that is a problem document."""
    code = _CODES[status]
    example = {
        "type": f"urn:waggle:problem:{code}", "title": HTTPStatus(status).phrase,
        "status": status, "detail": MEANING[status], "code": str(code),
    }  # fmt: skip
    content = {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{PROBLEM}"}, "example": example}}
    return {"description": MEANING[status], "content": content}


def stream(description: str, *, example: str) -> dict[str, Any]:
    """A response of server-sent events. Readers of the document differ on what a schema of such is about: the text, or each event."""
    return {"description": description, "content": {sse.MEDIA_TYPE: {"schema": {}, "example": example}}}


def text(description: str, *media_types: str, example: str) -> dict[str, Any]:
    """A response of text, of one of several types."""
    media = {"schema": {"type": "string"}, "example": example}
    content = {each: media for each in media_types if each != JSON}
    if JSON in media_types:
        content[JSON] = {"schema": {}, "example": []}
    return {"description": description, "content": content}


def json_body(model: type[BaseModel]) -> dict[str, Any]:
    """A body that the route reads by itself, within its limits."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": _schema(model)}}}}


def idempotent(extra: dict[str, Any] | None = None, *, says: str = "") -> dict[str, Any]:
    """What a route that takes an idempotency key says beside `extra`; `says` is what is particular to it."""
    description = f"A request that comes again with the same key within a day is answered, and not done again. {says}"
    parameter = {
        "name": idempotency.HEADER,
        "in": "header",
        "required": False,
        "description": description.strip(),
        "schema": {"type": "string", "pattern": f'^"?{TOKEN.pattern}"?$'},
        "example": "5f3c2d1e-8a97-4a55-9f43-0d7c5b6e1a20",
    }
    return {**(extra or {}), "parameters": [parameter]}


def upload_body(model: type[BaseModel]) -> dict[str, Any]:
    """Files, or one document as JSON text."""
    files = {
        "type": "object",
        "properties": {
            "metadata": {"type": "string", "description": "JSON object of strings for all files; before the files."},
            "document_id": {"type": "string", "description": "Only with a single file; before the file."},
            "files": {"type": "array", "items": {"type": "string", "format": "binary"}},
        },
        "required": ["files"],
    }
    content = {"multipart/form-data": {"schema": files}, "application/json": {"schema": _schema(model)}}
    return {"requestBody": {"required": True, "content": content}}


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    """The model's schema without references: this part of the document has no components of its own."""
    schema = model.model_json_schema()
    definitions = schema.pop("$defs", {})
    return dict(_inlined(schema, definitions))


def _inlined(node: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(node, dict):
        if "$ref" in node:
            return _inlined(definitions[node["$ref"].rsplit("/", 1)[1]], definitions)
        return {key: _inlined(value, definitions) for key, value in node.items()}
    if isinstance(node, list):
        return [_inlined(value, definitions) for value in node]
    return node
