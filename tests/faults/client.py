"""Hands in documents and asks questions over HTTP, and keeps the books."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from tests.faults.books import Books, Promise
from tests.faults.documents import Text

TIMEOUT_S = 40.0
PATIENCE_S = 30.0
PAUSE_S = 0.1
ACCEPTED = 202
UNAVAILABLE = 503
TOO_MANY = 429
UNCERTAIN = frozenset({0, UNAVAILABLE})
"""After these it is not known whether it happened."""
LATER = UNCERTAIN | {TOO_MANY}
"""After these a patient client comes back."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What came back; status 0: nothing, the connection broke."""

    status: int
    body: dict[str, Any]
    headers: httpx.Headers

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300


class Client:
    """A client of one gateway."""

    def __init__(self, http: httpx.AsyncClient, books: Books) -> None:
        self._http = http
        self.books = books

    @classmethod
    @asynccontextmanager
    async def of(cls, url: str, books: Books) -> AsyncIterator[Client]:
        async with httpx.AsyncClient(base_url=url, timeout=TIMEOUT_S, trust_env=False) as http:
            yield cls(http, books)

    @property
    def url(self) -> str:
        return str(self._http.base_url)

    async def ready(self) -> bool:
        return (await self._call("GET", "/health/ready")).ok

    async def submit(self, text: Text) -> Reply:
        """Hand in a document once. Cut off, it may have been accepted or not."""
        try:
            reply = await self._call("POST", "/v1/documents", text.body)
        except asyncio.CancelledError:
            self.books.uncertain.add(text.document_id)
            raise
        if reply.status == ACCEPTED:
            sha256 = hashlib.sha256(text.content.encode()).hexdigest()
            self.books.accepted(Promise(document_id=text.document_id, version=reply.body["version"], sha256=sha256))
        elif reply.status in UNCERTAIN:
            self.books.uncertain.add(text.document_id)
        return reply

    async def submit_surely(self, text: Text) -> None:
        """Hand in a document until it is accepted, as a patient client does."""
        await self._until_accepted(f"submission of {text.document_id}", lambda: self.submit(text))

    async def delete(self, document_id: str) -> None:
        """Delete a document, again until that is accepted."""
        await self._until_accepted(
            f"deletion of {document_id}", lambda: self._call("DELETE", f"/v1/documents/{document_id}")
        )
        self.books.deleted.add(document_id)

    async def show(self, document_id: str) -> dict[str, Any] | None:
        """The document as the gateway shows it; None when it cannot now, or there is none."""
        reply = await self._call("GET", f"/v1/documents/{document_id}")
        return reply.body if reply.ok else None

    async def ask(
        self,
        question: str,
        *,
        deadline_s: float = 20.0,
        generate: bool = True,
        documents: tuple[str, ...] = (),
        mode: str = "hybrid",
        cache: bool = True,
    ) -> Reply:
        """Ask a question once and wait for its end."""
        body: dict[str, Any] = {
            "query": question,
            "generate": generate,
            "deadline_s": deadline_s,
            "top_k": 50,
            "mode": mode,
            "cache": cache,
        }
        if documents:
            body["filters"] = {"document_ids": documents}
        reply = await self._call("POST", "/v1/query", body)
        if query_id := reply.headers.get("Waggle-Query-Id") or reply.body.get("query_id"):
            self.books.questions.add(query_id)
        return reply

    async def stream(self, question: str, *, deadline_s: float = 20.0, cache: bool = True) -> Reply:
        """Ask a question and follow the answer piece by piece; the reply is its end."""
        body = {"query": question, "stream": True, "deadline_s": deadline_s, "cache": cache}
        last = ""
        try:
            async with self._http.stream("POST", "/v1/query", json=body) as response:
                if query_id := response.headers.get("Waggle-Query-Id"):
                    self.books.questions.add(query_id)
                async for line in response.aiter_lines():
                    last = line.removeprefix("event:").strip() if line.startswith("event:") else last
        except httpx.HTTPError:
            return Reply(status=0, body={}, headers=httpx.Headers())
        return Reply(status=response.status_code, body={"end": last}, headers=response.headers)

    async def _until_accepted(self, what: str, attempt: Any) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not (reply := await attempt()).ok:
            if time.monotonic() > deadline or reply.status not in LATER:
                raise AssertionError(f"{what}: {reply.status} {reply.body}")
            await asyncio.sleep(PAUSE_S)

    async def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Reply:
        try:
            response = await self._http.request(method, path, json=body)
        except httpx.HTTPError:
            return Reply(status=0, body={}, headers=httpx.Headers())
        try:
            answered = response.json()
        except json.JSONDecodeError:
            answered = {}
        return Reply(
            status=response.status_code,
            body=answered if isinstance(answered, dict) else {},
            headers=response.headers,
        )
