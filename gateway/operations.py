"""What the OpenAPI document says of every operation, whichever module its route is in: its id, what it may refuse, examples."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Any, Final

from gateway import prometheus
from gateway.openai_api import errors as openai_errors
from gateway.openapi import MEANING, PROBLEM, problem_response
from gateway.problems import ProblemDocument

Json = dict[str, Any]

ALWAYS: Final = (421, 500)
OF_MOST: Final = (401, 403, 429, 503)
"""Of everything but what is open to all."""
OF_BODIES: Final = (400, 408, 413, 415, 422)
OF_PARAMETERS: Final = (422,)
_OPENAI_ERROR: Final = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": "string"},
            },
        }
    },
}


def completed(document: Json, *, open_to_all: Iterable[str]) -> Json:
    """The document with what every request shows, and what is answered to one that does not."""
    components = document.setdefault("components", {})
    components["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer", "description": "An API key (`wk_…`), or a JSON Web Token."},
        "key": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "An API key."},
    }
    schemas = components.setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas[PROBLEM] = ProblemDocument.model_json_schema()
    free = frozenset(open_to_all)
    examples = _examples()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            operation["operationId"] = operation_id(operation["operationId"], path, method)
            operation["security"] = [] if path in free else [{"bearer": []}, {"key": []}]
            operation.setdefault("description", operation["summary"])
            _refuse(operation, path, is_free=path in free)
            name = operation["operationId"]
            _show(operation, examples.get(name, examples.get(name.removesuffix(f"_{method}"))))
    return document


def operation_id(given: str, path: str, method: str) -> str:
    """The name of the route's function, which stays when its path changes."""
    return given.removesuffix(f"{re.sub(r'[^A-Za-z0-9]', '_', path)}_{method}")


def _refuse(operation: Json, path: str, *, is_free: bool) -> None:
    statuses = {*ALWAYS, *(() if is_free else OF_MOST)}
    if "requestBody" in operation:
        statuses |= {*OF_BODIES}
    if operation.get("parameters"):
        statuses |= {*OF_PARAMETERS}
    responses = operation["responses"]
    for status in statuses:
        known = responses.get(str(status), {})
        if status == 422 and "HTTPValidationError" in json.dumps(known):
            known = {}
        content = {**known.get("content", {}), **problem_response(status)["content"]}
        responses[str(status)] = {**problem_response(status), **known, "content": content}
    if path.startswith(openai_errors.PATHS):
        operation["responses"] = _as_openai(responses)
    elif path.startswith(prometheus.PREFIX):
        _as_prometheus(responses)


def _as_openai(responses: Json) -> Json:
    """What cannot be used is 400 there, also where it can be read."""
    shaped = {}
    for status, response in responses.items():
        if int(status) < 400:
            shaped[status] = response
        else:
            error = {"message": MEANING[int(status)], "type": "…", "param": None, "code": "…"}
            content = {"application/json": {"schema": _OPENAI_ERROR, "example": {"error": error}}}
            shaped["400" if status == "422" else status] = {**response, "content": content}
    return shaped


def _as_prometheus(responses: Json) -> None:
    """Errors are Prometheus' own, but for who may not ask at all."""
    for status in OF_BODIES:
        if str(status) in responses:
            responses[str(status)]["content"] = {"application/json": prometheus.error_example(status)}
    for other in ("401", "403", "421", "429", "500"):
        responses[other]["content"].pop("application/json", None)
    responses["503"]["content"]["application/json"] = prometheus.error_example(503)


def _show(operation: Json, example: Any) -> None:
    for media_type, media in operation.get("requestBody", {}).get("content", {}).items():
        if "example" not in media:
            media["example"] = _upload() if media_type == "multipart/form-data" else _of_schema(media["schema"])
    for status, response in operation["responses"].items():
        media = response.get("content", {}).get("application/json")
        if media is not None and example is not None:
            media.setdefault("example", example)
        for header in ("Retry-After",) if status in {"429", "503"} else ():
            response["headers"] = {header: {"description": "Seconds.", "schema": {"type": "string"}}}


def _of_schema(schema: Json) -> Any:
    """What its fields say by way of example."""
    if schema.get("examples"):
        return schema["examples"][0]
    shown = {}
    for name, field in schema.get("properties", {}).items():
        if field.get("examples"):
            shown[name] = field["examples"][0]
        elif name in schema.get("required", ()):
            shown[name] = _simplest(field)
    return shown


def _simplest(field: Json) -> Any:
    return {"boolean": True, "array": [], "integer": 1}.get(field.get("type", ""), "…")


def _upload() -> Json:
    return {"metadata": '{"topic": "bees"}', "files": ["…"]}


def _examples() -> Mapping[str, Any]:
    """Answers by operation."""
    text = (files("gateway") / "examples.json").read_text(encoding="utf-8")
    return dict(json.loads(text))
