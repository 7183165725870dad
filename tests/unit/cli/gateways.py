"""A gateway of a few lines for tests of the command line, answering as the real one does."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from cli.client import GatewayClient

ANSWER_QUOTE = "counted every two\nweeks"
ANSWER = {
    "query_id": "q1",
    "status": "completed",
    "answer": "Every two weeks [1].",
    "answered": True,
    "citations": [
        {
            "n": 1, "document_id": "d1", "name": "handbook.pdf", "page": 3, "heading": None,
            "start": 10, "end": 30, "quote": ANSWER_QUOTE, "generation": "g1",
        }
    ],
    "usage": {"prompt_tokens": 10, "completion_tokens": 4},
    "timings_ms": {"total": 12.5},
}  # fmt: skip
PASSAGE = {
    "document_id": "d1", "name": "handbook.pdf", "text": "The varroa mites are counted every two weeks.",
    "score": 0.91, "start": 0, "end": 45, "page": 3, "heading": None, "generation": "g1", "metadata": {},
}  # fmt: skip


MEMBER = {"service": "embed", "instance": "embed-1", "state": "ready", "in_flight": 0, "progress": 3}


def problem(status: int, code: str, detail: str, **headers: str) -> httpx.Response:
    document = {"type": f"urn:waggle:problem:{code}", "title": "…", "status": status, "detail": detail, "code": code}
    return httpx.Response(status, json=document, headers={k.replace("_", "-"): v for k, v in headers.items()})


def event_stream(*events: tuple[str, dict[str, Any]]) -> httpx.Response:
    text = "retry: 1000\n\n: waiting\n\n"
    text += "".join(f"id: {n}\nevent: {name}\ndata: {json.dumps(data)}\n\n" for n, (name, data) in enumerate(events))
    return httpx.Response(200, text=text, headers={"content-type": "text/event-stream"})


@dataclass
class FakeGateway:
    """Documents become ready (or what `fates` says of their name) at the second look."""

    fates: dict[str, dict[str, Any]] = field(default_factory=dict)
    documents: dict[str, dict[str, Any]] = field(default_factory=dict)
    looks: dict[str, int] = field(default_factory=dict)
    requests: list[httpx.Request] = field(default_factory=list)
    on_query: Callable[[dict[str, Any]], httpx.Response] | None = None
    checks: list[dict[str, Any]] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)
    """Of its one worker, both."""
    refusals: list[httpx.Response | httpx.TransportError] = field(default_factory=list)
    """What the next uploads meet instead."""

    def client(self) -> GatewayClient:
        return GatewayClient("http://gateway", transport=httpx.MockTransport(self.handle))

    async def handle(self, request: httpx.Request) -> httpx.Response:  # noqa: PLR0911  (one per route)
        self.requests.append(request)
        body = await request.aread()
        route = (request.method, request.url.path)
        if route == ("GET", "/health/ready"):
            return httpx.Response(200, json={"status": "ready", "checks": []})
        if route in (("POST", "/v1/documents"), ("POST", "/v1/documents/url")):
            return self._submit(body)
        if route == ("GET", "/v1/documents"):
            ready = [document for document in self.documents.values() if document["state"] == "ready"]
            return httpx.Response(200, json={"items": ready, "next": None})
        if route == ("GET", "/v1/fleet"):
            member = {**MEMBER, "checks": self.checks, "facts": self.facts}
            return httpx.Response(200, json={"items": [member], "next": None})
        if route == ("POST", "/v1/query"):
            return self._query(json.loads(body))
        if request.url.path.endswith("/text"):
            return httpx.Response(200, text=ANSWER_QUOTE)
        if request.url.path.startswith("/v1/documents/"):
            return self._document(request.method, request.url.path.rsplit("/", 1)[1])
        return problem(404, "not_found", "There is nothing at this path.")

    def _submit(self, body: bytes) -> httpx.Response:
        if self.refusals:
            refusal = self.refusals.pop(0)
            if isinstance(refusal, httpx.TransportError):
                raise refusal
            return refusal
        given = json.loads(body) if body.startswith(b"{") else {}
        document_id = given.get("document_id") or _field(body, rb'name="document_id"\r\n\r\n([^\r]+)')
        name = given.get("name") or given.get("url") or _field(body, rb'filename="([^"]+)"')
        version = self.documents.get(document_id, {}).get("version", 0) + 1
        accepted = {"document_id": document_id, "name": name, "version": version, "state": "submitted"}
        self.documents[document_id] = accepted
        accepted = {**accepted, "unchanged": False}
        return httpx.Response(202, json=accepted if given else {"items": [accepted]})

    def _document(self, method: str, document_id: str) -> httpx.Response:
        found = self.documents.get(document_id)
        if found is None:
            return problem(404, "not_found", f"There is no document {document_id}.")
        if method == "DELETE":
            return httpx.Response(202, json={**found, "state": "deleted"})
        self.looks[document_id] = self.looks.get(document_id, 0) + 1
        ended = {"state": "ready", "chunks": 4} if self.looks[document_id] > 1 else {}
        fate = self.fates.get(found["name"], ended) if ended else {}
        return httpx.Response(200, json={**found, **ended, **fate})

    def _query(self, body: dict[str, Any]) -> httpx.Response:
        if self.on_query is not None:
            return self.on_query(body)
        return self.answered(body)

    def answered(self, body: dict[str, Any]) -> httpx.Response:
        if body["stream"]:
            return event_stream(
                ("retrieved", {"query_id": "q1", "passages": [PASSAGE], "timings_ms": {}}),
                ("delta", {"query_id": "q1", "attempt": 1, "text": "Every two "}),
                ("delta", {"query_id": "q1", "attempt": 1, "text": "weeks [1]."}),
                ("completed", ANSWER),
            )
        return httpx.Response(200, json={**ANSWER, "passages": [PASSAGE]})


def _field(body: bytes, pattern: bytes) -> str:
    found = re.search(pattern, body)
    return found[1].decode() if found else ""
