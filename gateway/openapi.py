"""What the OpenAPI document says about refusals and hand-read bodies."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel

from contracts.identifiers import TOKEN
from gateway import idempotency, sse
from gateway.problems import MEDIA_TYPE, ProblemDocument

_MEANING = {
    400: "Unreadable: not what it claims to be.",
    401: "No key or token that is in force was shown.",
    403: "What was shown does not allow this; or a page of another origin tried to change something.",
    404: "There is no such thing.",
    408: "The body came too slowly.",
    409: "It has ended already, or cannot be done as things stand.",
    413: "Larger than this route takes.",
    415: "A content type that this route does not take.",
    422: "Readable, but not what this route takes; `errors` names the fields.",
    429: "Too much waits already: nothing was accepted, come back after Retry-After.",
    500: "It failed, and would fail again.",
    503: "Not now; `Retry-After` says when to try again. Nothing was accepted.",
    504: "No answer by the deadline.",
}


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problem responses of a route."""
    return {status: _problem(status) for status in statuses}


def _problem(status: int) -> dict[str, Any]:
    example = {
        "type": "urn:waggle:problem:…", "title": HTTPStatus(status).phrase,
        "status": status, "detail": _MEANING[status], "code": "…",
    }  # fmt: skip
    content = {MEDIA_TYPE: {"schema": ProblemDocument.model_json_schema(), "example": example}}
    return {"description": _MEANING[status], "content": content}


def stream(description: str) -> dict[str, Any]:
    """A response of server-sent events."""
    return {"description": description, "content": {sse.MEDIA_TYPE: {"schema": {"type": "string"}}}}


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


def secured(document: dict[str, Any], *, open_to_all: Iterable[str]) -> dict[str, Any]:
    """The document with what every request shows, and what is answered to one that does not."""
    document.setdefault("components", {})["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer", "description": "An API key (`wk_…`), or a JSON Web Token."},
        "key": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "An API key."},
    }
    free = frozenset(open_to_all)
    shown: list[dict[str, list[str]]] = [{"bearer": []}, {"key": []}]
    for path, operations in document["paths"].items():
        for operation in operations.values():
            operation["security"] = [] if path in free else shown
            if path not in free:
                operation["responses"] |= {str(status): _problem(status) for status in (401, 403, 429, 503)}
    return document
